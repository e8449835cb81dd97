"""Neighbourhoods: equal to scikit-learn and to definitions written out, and honest about ties and small numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from core.errors import ShapeError
from core.methods.embeddings.embedding_quality import (
    LIMIT,
    agreement,
    debiased_cka,
    directions,
    faithfulness,
    nearest,
    neighbours_right,
    overlap,
    overlap_by_chance,
)


def cloud(count: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


@pytest.mark.parametrize("dim", [2, 3, 20])
def test_nearest_equals_scikit_learn_in_every_chunk(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.methods.embeddings.embedding_quality._CHUNK", 64)
    points = cloud(150, dim)
    found = nearest(points, 7)
    distances, indices = NearestNeighbors(n_neighbors=7).fit(points).kneighbors()
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, atol=1e-3)


def test_nearest_of_few_and_of_identical_points() -> None:
    assert nearest(cloud(1, 4), 5).indices.shape == (1, 0)
    assert nearest(cloud(3, 4), 5).indices.shape == (3, 2)
    same = nearest(np.ones((4, 2), np.float32), 3).indices
    assert all(set(row) == {0, 1, 2, 3} - {index} for index, row in enumerate(same))


@settings(max_examples=15, deadline=None)
@given(count=st.integers(12, 60), k=st.integers(1, 5), seed=st.integers(0, 99))
def test_trustworthiness_and_continuity(count: int, k: int, seed: int) -> None:
    original, plane = cloud(count, 8, seed), cloud(count, 2, seed + 1)
    plane += original[:, :2]
    found = faithfulness(original, plane, k)
    assert found is not None
    assert found.trustworthiness == pytest.approx(trustworthiness(original, plane, n_neighbors=k), abs=1e-6)
    # Continuity is trustworthiness with the two spaces exchanged.
    assert found.continuity == pytest.approx(trustworthiness(plane, original, n_neighbors=k), abs=1e-6)


def test_a_faithful_plane_is_perfect_and_a_shuffled_one_is_not() -> None:
    points = cloud(80, 2)
    perfect, shuffled = faithfulness(points, 3 * points), faithfulness(points, points[::-1])
    assert perfect is not None
    assert (perfect.trustworthiness, perfect.continuity, perfect.kept) == (1, 1, 1)
    assert shuffled is not None
    assert shuffled.trustworthiness < 0.7
    assert faithfulness(points[:2], points[:2]) is None
    with pytest.raises(ShapeError, match="80 feature vectors and 3 points"):
        faithfulness(points, points[:3])


def test_more_than_the_limit_are_sampled_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.methods.embeddings.embedding_quality.LIMIT", 50)
    assert LIMIT == 5000
    found = faithfulness(cloud(90, 5), cloud(90, 2))
    assert found is not None
    assert (found.count, found.of) == (50, 90)
    assert found == faithfulness(cloud(90, 5), cloud(90, 2))


def test_directions_forget_length_and_keep_cosines() -> None:
    vectors = cloud(30, 6) + 5
    scaled = vectors * np.random.default_rng(1).uniform(0.1, 9, (30, 1)).astype(np.float32)
    np.testing.assert_allclose(directions(vectors), directions(scaled), atol=1e-6)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    squared = ((directions(vectors)[:, None] - directions(vectors)[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(squared, 2 - 2 * unit @ unit.T, atol=1e-5)
    assert np.isfinite(directions(np.zeros((3, 2)))).all()


def test_neighbours_vote() -> None:
    points = np.array([[0.0], [0.1], [0.2], [10.0], [10.1], [10.2], [0.15]], np.float32)
    labels = np.array([4, 4, 4, 9, 9, 9, 9])
    near = nearest(points, 3)
    assert neighbours_right(near, labels, 3).tolist() == [True, True, True, True, True, True, False]
    np.testing.assert_allclose(agreement(near, labels, 3)[[0, 6]], [2 / 3, 0])
    # One vote each: the nearer side wins.
    tie = nearest(np.array([[0.0], [1.0], [-2.0]], np.float32), 2)
    assert neighbours_right(tie, np.array([1, 1, 2]), 2)[0]
    assert not neighbours_right(nearest(points[:1], 3), labels[:1]).any()


def test_overlap_is_the_jaccard_index() -> None:
    first, second = nearest(cloud(60, 5), 10), nearest(cloud(60, 5, seed=1), 10)
    expected = [len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(first.indices, second.indices, strict=True)]
    np.testing.assert_allclose(overlap(first, second), expected, rtol=1e-6)
    np.testing.assert_array_equal(overlap(first, first), 1)
    unrelated = overlap(nearest(cloud(1000, 5), 10), nearest(cloud(1000, 5, seed=1), 10)).mean()
    assert unrelated == pytest.approx(overlap_by_chance(1000), rel=0.3)


def test_debiased_cka_sees_rotations_and_no_ghosts() -> None:
    features = cloud(200, 10)
    rotation = np.linalg.qr(cloud(10, 10, seed=1))[0]
    assert debiased_cka(features, 3 * features @ rotation + 2) == pytest.approx(1, abs=1e-6)
    # More dimensions than images: the plain estimate would be about 0.9.
    assert abs(debiased_cka(cloud(50, 500), cloud(50, 500, seed=1))) < 0.05
    assert debiased_cka(np.ones((5, 3)), features[:5]) == 0
    with pytest.raises(ShapeError, match="at least 4"):
        debiased_cka(features[:3], features[:3])
