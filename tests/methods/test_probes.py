"""Probes: the values of the reference, choices made on validation only, neighbours as scikit-learn counts them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from core.errors import ShapeError
from core.intervals import wilson_interval
from core.methods.embeddings.features import Features
from core.methods.embeddings.probes import C_GRID, fit_linear, linear_probe, nearest_neighbours
from core.reports import finish


def clusters(count: int, *, seed: int, spread: float = 1.0, classes: int = 3, dim: int = 6) -> Features:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, dim)) * 2
    labels = np.arange(count) % classes
    vectors = (centres[labels] + random.normal(size=(count, dim)) * spread).astype(np.float32)
    return Features(vectors=vectors, labels=labels)


@pytest.mark.parametrize(("C", "weight"), [(1.0, 0.674832), (0.1, 0.095242)])
def test_two_points_have_a_closed_form(C, weight):
    """w = 2C / (1 + exp(w)) for x = ±1: the sum of losses counts, not their mean."""
    head = fit_linear(np.array([[-1.0], [1.0]]), np.array([0, 1]), C)
    assert head.coef_[0, 0] == pytest.approx(weight, abs=1e-4)
    assert head.intercept_[0] == pytest.approx(0, abs=1e-6)


def test_the_final_fit_is_scikit_learns_on_both_parts():
    train, val, test = (clusters(count, seed=seed, spread=3) for count, seed in ((90, 0), (60, 1), (120, 2)))
    result = finish(linear_probe(train, val, test, max_iterations=60))
    both = np.concatenate([train.vectors, val.vectors]), np.concatenate([train.labels, val.labels])
    reference = LogisticRegression(C=result.C, max_iter=60).fit(*both)
    assert result.accuracy == reference.score(test.vectors, test.labels)
    assert result.interval == wilson_interval(round(result.accuracy * 120), 120)
    assert (result.count, result.train_count, result.converged) == (120, 150, True)
    on_train = LogisticRegression(C=result.C, max_iter=60).fit(train.vectors, train.labels)
    assert result.val_accuracy == on_train.score(val.vectors, val.labels)


def test_c_is_the_best_of_a_coarse_to_fine_sweep():
    assert len(C_GRID) == 97
    assert C_GRID[[0, 48, 56, 96]] == pytest.approx([1e-6, 1, 10, 1e6])
    train, val, test = (clusters(60, seed=seed, spread=4) for seed in range(3))
    reports = []
    result = finish(linear_probe(train, val, test, max_iterations=20), reports.append)
    tried = dict(result.sweep)
    assert set(C_GRID[::16]) <= set(tried)
    assert tried[result.C] == max(tried.values()) == result.val_accuracy
    neighbours = C_GRID[np.argmin(abs(C_GRID - result.C)) + np.array([-1, 1])]
    assert set(neighbours) <= set(tried)
    assert len(reports) == len(tried) + 1 <= 16
    assert reports[-1].step == reports[-1].steps == 16


def test_test_labels_do_not_change_what_is_chosen():
    train, val, test = (clusters(60, seed=seed, spread=3) for seed in range(3))
    shuffled = Features(vectors=test.vectors, labels=np.roll(test.labels, 1))
    first, second = (finish(linear_probe(train, val, each, max_iterations=20)) for each in (test, shuffled))
    assert (first.C, first.sweep) == (second.C, second.sweep)
    assert first.accuracy > second.accuracy


@pytest.mark.parametrize("neighbours", [1, 5, 20])
def test_neighbours_are_those_of_scikit_learn(neighbours):
    train, test = clusters(100, seed=0, spread=2, classes=2), clusters(80, seed=1, spread=2, classes=2)
    # A third class that no query is near, so that labels are not simply 0 and 1.
    train = Features(vectors=train.vectors, labels=np.where(train.labels == 1, 7, 0))
    test = Features(vectors=test.vectors, labels=np.where(test.labels == 1, 7, 0))
    reference = KNeighborsClassifier(neighbours, metric="cosine", algorithm="brute").fit(train.vectors, train.labels)
    expected = reference.predict(test.vectors)
    if neighbours == 20:  # ties are decided differently
        votes = reference.predict_proba(test.vectors)[:, 0]
        kept = votes != 0.5
        test, expected = Features(vectors=test.vectors[kept], labels=test.labels[kept]), expected[kept]
    assert nearest_neighbours(train, test, neighbours=neighbours).accuracy == np.mean(expected == test.labels)


def test_the_nearer_side_wins_a_tie():
    train = Features(vectors=np.array([[1.0, 0.0], [0.0, 1.0]]), labels=np.array([0, 1]))
    test = Features(vectors=np.array([[0.4, 1.0], [1.0, 0.4]]), labels=np.array([1, 0]))
    assert nearest_neighbours(train, test, neighbours=2).accuracy == 1
    assert nearest_neighbours(train, test, neighbours=20).accuracy == 1


def test_separated_clusters_are_found_and_noise_is_not():
    near = [clusters(60, seed=seed, spread=0.1) for seed in range(3)]
    assert finish(linear_probe(*near, max_iterations=20)).accuracy == nearest_neighbours(near[0], near[2]).accuracy == 1
    random = np.random.default_rng(0)
    noise = [Features(vectors=each.vectors, labels=random.permutation(each.labels)) for each in near]
    low, high = finish(linear_probe(*noise, max_iterations=20)).interval
    assert low < 1 / 3 < high + 0.1


def test_features_of_different_models_do_not_mix():
    with pytest.raises(ShapeError, match=r"\[4, 6\]"):
        nearest_neighbours(clusters(10, seed=0, dim=4), clusters(10, seed=1))
    with pytest.raises(ShapeError):
        next(linear_probe(clusters(9, seed=0), clusters(9, seed=1), clusters(9, seed=2, dim=4)))
