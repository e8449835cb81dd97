"""Alignments on clouds whose truth is known: what is recovered, what leaks, what hurts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ortho_group

from core.errors import ConfigError, NotFiniteError, ShapeError, UnknownNameError
from core.methods.modality_gap.alignment import VARIANTS, find_variant, fit_alignment
from core.methods.modality_gap.alignment_steps import alignment_shares, alignment_steps
from core.methods.modality_gap.modality_gap import (
    Pairs,
    classify,
    compare_variants,
    finding,
    measure,
    modality_gap,
    pair_budget,
    split_pairs,
)
from core.methods.modality_gap.procrustes import unit_vectors
from core.seeding import stream

ROTATING = [name for name, variant in VARIANTS.items() if variant.rotate]


def make_pairs(
    count: int,
    *,
    classes: int = 10,
    dim: int = 32,
    noise: float = 0.6,
    gap: float = 1.5,
    templates: int = 3,
    seed: int = 0,
    world: int = 0,
) -> Pairs:
    """Images and captions of the same concepts in two cones; `world` fixes the cones, `seed` the concepts.

    Lengths differ between images, as they do in real models.
    """
    shared, random = stream("test cones", world), stream("test concepts", world, seed)
    image_cone, text_cone = unit_vectors(shared.standard_normal((2, dim)))
    concepts = random.standard_normal((classes, dim))
    # What a class is has nothing to do with where the cones point; otherwise one class would win by its place.
    basis = np.linalg.qr(np.stack([image_cone, text_cone]).T)[0]
    concepts = unit_vectors(concepts - concepts @ basis @ basis.T)
    labels = random.integers(classes, size=count)
    images = unit_vectors(
        concepts[labels] + noise * unit_vectors(random.standard_normal((count, dim))) + gap * image_cone
    )
    wording = 0.2 * unit_vectors(random.standard_normal((templates, dim)))
    captions = 7 * unit_vectors(concepts[:, None] + wording + gap * text_cone)
    lengths = random.uniform(8, 12, (count, 1))
    return Pairs(
        images=lengths * images, labels=labels, captions=captions, chosen=random.integers(templates, size=count)
    )


def halves(count: int, **world: float) -> tuple[Pairs, Pairs]:
    """Two sets of different images of the same classes."""
    pairs = make_pairs(count, **world)  # type: ignore[arg-type]
    fitted, held_out = split_pairs(pairs.labels)
    return pairs.take(fitted), pairs.take(held_out)


def test_the_gap_of_two_points_by_hand() -> None:
    gap = modality_gap(np.array([[2.0, 0.0], [0.0, 5.0]]), np.array([[0.0, 1.0], [0.0, 3.0]]))
    # Means (.5, .5) and (0, 1); cosines 0 and 1.
    assert gap.distance == pytest.approx(np.sqrt(0.5))
    assert gap.paired_cosine == pytest.approx(0.5)


def test_distance_of_pairs_and_their_cosine_are_one_figure() -> None:
    pairs = make_pairs(50)
    squared = ((unit_vectors(pairs.images) - unit_vectors(pairs.texts)) ** 2).sum(axis=1).mean()
    assert squared == pytest.approx(2 - 2 * modality_gap(pairs.images, pairs.texts).paired_cosine)


def test_the_gap_is_unchanged_by_a_shared_rotation_and_zero_after_centring() -> None:
    pairs = make_pairs(80)
    rotation = ortho_group.rvs(32, random_state=0)
    before, after = (modality_gap(pairs.images @ each, pairs.texts @ each) for each in (np.eye(32), rotation))
    assert after.distance == pytest.approx(before.distance)
    assert after.paired_cosine == pytest.approx(before.paired_cosine)
    centred = fit_alignment(pairs.images, pairs.texts, find_variant("centred"))
    images, texts = centred.move_images(pairs.images), centred.move_texts(pairs.texts)
    np.testing.assert_allclose(images.mean(axis=0), texts.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("name", ROTATING)
def test_a_planted_rotation_is_recovered_by_every_variant(name: str) -> None:
    random = np.random.default_rng(0)
    planted = ortho_group.rvs(12, random_state=random)
    images = random.standard_normal((60, 12)) + 1
    alignment = fit_alignment(images, images @ planted, find_variant(name))
    np.testing.assert_allclose(alignment.rotation, planted, atol=1e-9)
    assert alignment.residual == pytest.approx(0, abs=1e-9)
    assert alignment.scale == pytest.approx(1)
    np.testing.assert_allclose(
        unit_vectors(alignment.move_images(images)), unit_vectors(alignment.move_texts(images @ planted)), atol=1e-9
    )


def test_a_planted_similarity_is_recovered() -> None:
    random = np.random.default_rng(0)
    images = random.standard_normal((60, 12))
    texts = 2.5 * images @ ortho_group.rvs(12, random_state=random) + random.standard_normal(12)
    alignment = fit_alignment(images, texts, find_variant("raw_similarity"))
    assert alignment.scale == pytest.approx(2.5)
    np.testing.assert_allclose(alignment.move_images(images), texts, atol=1e-9)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_residual_is_that_of_the_moved_pairs(name: str) -> None:
    fitted, _ = halves(90)
    alignment = fit_alignment(fitted.images, fitted.texts, find_variant(name))
    moved, texts = alignment.move_images(fitted.images), alignment.move_texts(fitted.texts)
    size = ((texts - texts.mean(axis=0) * alignment.variant.place) ** 2).sum()
    assert alignment.residual == pytest.approx(((moved - texts) ** 2).sum() / size)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_fit_never_sees_the_pairs_it_is_measured_on(name: str) -> None:
    pairs = make_pairs(120)
    fitted, held_out = split_pairs(pairs.labels, seed=3)
    assert not set(fitted) & set(held_out)
    assert len(fitted) + len(held_out) == 120
    honest = fit_alignment(pairs.take(fitted).images, pairs.take(fitted).texts, find_variant(name))
    poisoned = pairs.images.copy()
    poisoned[held_out] = np.nan
    spoiled = Pairs(images=poisoned, labels=pairs.labels, captions=pairs.captions, chosen=pairs.chosen).take(fitted)
    again = fit_alignment(spoiled.images, spoiled.texts, find_variant(name))
    np.testing.assert_array_equal(again.rotation, honest.rotation)
    np.testing.assert_array_equal(again.image_mean, honest.image_mean)
    np.testing.assert_array_equal(
        measure(pairs.take(fitted), pairs.take(held_out), find_variant(name), shuffles=0).alignment.rotation,
        honest.rotation,
    )


def test_splitting_by_classes_shares_none_of_them() -> None:
    pairs = make_pairs(200)
    fitted, held_out = split_pairs(pairs.labels, by="classes")
    assert not set(pairs.labels[fitted]) & set(pairs.labels[held_out])
    few = pairs.of_classes(np.unique(pairs.labels[held_out]))
    assert few.classes == len(set(pairs.labels[held_out]))
    np.testing.assert_array_equal(few.texts, pairs.take(held_out).texts)
    with pytest.raises(ConfigError, match="cannot be divided by classes"):
        split_pairs(np.zeros(10, dtype=int), by="classes")


@pytest.mark.parametrize("name", ROTATING)
def test_rotating_both_sides_changes_no_logit(name: str) -> None:
    fitted, held_out = halves(120)
    alignment = fit_alignment(fitted.images, fitted.texts, find_variant(name))
    images, texts = unit_vectors(held_out.images), unit_vectors(held_out.captions[:, 0])
    turned = (images @ alignment.rotation) @ (texts @ alignment.rotation).T
    np.testing.assert_allclose(turned, images @ texts.T, atol=1e-12)
    outcome = measure(fitted, held_out, alignment.variant, shuffles=0)
    still = "centred_only" if alignment.variant.centre and alignment.variant.normalise else "before"
    if alignment.variant.normalise or not alignment.variant.centre:
        assert outcome.both_correct is not None
        np.testing.assert_array_equal(
            outcome.both_correct, measure(fitted, held_out, find_variant(still), shuffles=0).correct
        )


def test_scale_alone_changes_no_answer_but_the_residual() -> None:
    fitted, held_out = halves(120)
    plain, scaled = (measure(fitted, held_out, find_variant(name), shuffles=0) for name in ("raw", "raw_scaled"))
    np.testing.assert_array_equal(plain.correct, scaled.correct)
    assert scaled.alignment.residual < plain.alignment.residual


def test_image_only_alignment_hurts_with_few_pairs_though_its_cosine_looks_best() -> None:
    """The simulation of the reference: other concepts to fit on, ten unseen classes to tell apart."""
    dim = 256
    held_out = make_pairs(1000, dim=dim, noise=0.8, gap=1.0, templates=1, seed=1)
    others = make_pairs(1000, classes=1000, dim=dim, noise=0.8, gap=1.0, templates=1, seed=2)
    # One image of each concept.
    others = Pairs(
        images=others.images, labels=np.arange(1000), captions=others.texts[:, None], chosen=np.zeros(1000, int)
    )
    rows = pair_budget(others, held_out, find_variant("normalised"), counts=(20, 100, 256, 1000))
    accuracies, cosines = [row.accuracy for row in rows], [row.fitted_cosine for row in rows]
    assert measure(others, held_out, find_variant("before")).accuracy == 1
    assert measure(others, held_out, find_variant("mean_shift")).accuracy == pytest.approx(1, abs=0.01)
    assert accuracies[0] < 0.5 < accuracies[1] < accuracies[3]
    assert accuracies[3] == pytest.approx(1, abs=0.01)
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[0] > 0.97
    kept = measure(others.take(np.arange(20)), held_out, find_variant("centred_least"), shuffles=0)
    assert kept.accuracy > 0.95  # what hurt was the part that the pairs had not determined


@pytest.mark.parametrize(("count", "expected"), [(100, 1.0), (500, 0.92), (2000, 0.54)])
def test_leakage_lifts_only_the_pairs_that_were_fitted(count: int, expected: float) -> None:
    """Random features and labels, 512 dimensions, 10 classes: figures of the reference."""
    random = np.random.default_rng(0)
    captions = random.standard_normal((10, 1, 512))
    fitted, held_out = (
        Pairs(
            images=random.standard_normal((size, 512)),
            labels=random.integers(10, size=size),
            captions=captions,
            chosen=np.zeros(size, dtype=int),
        )
        for size in (count, 3000)
    )
    outcome = measure(fitted, held_out, find_variant("normalised"), shuffles=0)
    assert outcome.fitted_accuracy == pytest.approx(expected, abs=0.03)
    assert outcome.accuracy == pytest.approx(0.1, abs=0.02)


def test_shuffled_captions_leave_chance_on_others_and_memory_on_their_own() -> None:
    fitted, held_out = halves(200, dim=256)
    outcome = measure(fitted, held_out, find_variant("centred"), shuffles=8)
    assert outcome.accuracy > 0.8
    assert len(outcome.shuffled_accuracies) == 8
    assert outcome.shuffled_accuracies.mean() == pytest.approx(0.1, abs=0.06)
    assert outcome.shuffled_fitted_accuracies.min() > 0.3
    shuffled = fitted.shuffled(1)
    np.testing.assert_array_equal(shuffled.images, fitted.images)
    assert (shuffled.labels == fitted.labels).mean() < 0.3
    assert sorted(shuffled.labels) == sorted(fitted.labels)


def test_classification_is_that_of_the_mean_of_unit_captions() -> None:
    # The order oracle: prompts (3, 0) and (0, 1) give (.7071, .7071), not (.9487, .3162).
    captions = np.array([[[3.0, 0.0], [0.0, 1.0]], [[0.9, 0.3], [0.9, 0.3]]])
    assert classify(np.array([[1.0, 1.0], [0.95, 0.31]]), captions).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["centred", "normalised", "similarity", "raw_centred", "mean_shift", "centred_least"])
def test_the_way_begins_with_nothing_and_ends_with_the_variant(name: str) -> None:
    fitted, held_out = halves(120)
    variant = find_variant(name)
    steps_shown = alignment_steps(fitted, held_out, variant, steps=3, shuffles=2)
    assert len(steps_shown) == len(alignment_shares(variant, 3)) == 1 + 3 * (variant.centre + variant.rotate)
    whole = measure(fitted, held_out, variant, shuffles=2)
    assert steps_shown[0].gap.distance == pytest.approx(modality_gap(held_out.images, held_out.texts).distance)
    assert steps_shown[-1].gap.distance == pytest.approx(whole.held_out.distance)
    assert steps_shown[-1].gap.paired_cosine == pytest.approx(whole.held_out.paired_cosine)
    np.testing.assert_array_equal(steps_shown[-1].correct, whole.correct)
    assert steps_shown[-1].fitted_accuracy == pytest.approx(whole.fitted_accuracy)
    if variant.rotate:
        assert steps_shown[-1].shuffled_accuracy == pytest.approx(whole.shuffled_accuracies.mean())
    for station in steps_shown:
        assert all(points.shape == (len(held_out), 2) for points in (*station.images.values(), *station.texts.values()))
    # Along the gap the means are as far apart as they are in all dimensions, and nowhere else.
    apart = steps_shown[0].images["gap"].mean(axis=0) - steps_shown[0].texts["gap"].mean(axis=0)
    np.testing.assert_allclose(apart, [steps_shown[0].gap.distance, 0], atol=1e-6)


def test_comparing_changes_no_input_and_gives_the_same_twice() -> None:
    fitted, held_out = halves(60)
    copies = [array.copy() for pairs in (fitted, held_out) for array in (pairs.images, pairs.captions, pairs.labels)]
    first, second = (compare_variants(fitted, held_out, shuffles=2, seed=4) for _ in range(2))
    assert list(first) == list(VARIANTS)
    for name in VARIANTS:
        np.testing.assert_array_equal(first[name].correct, second[name].correct)
        np.testing.assert_array_equal(first[name].shuffled_accuracies, second[name].shuffled_accuracies)
    for pairs, start in ((fitted, 0), (held_out, 3)):
        for array, copy in zip((pairs.images, pairs.captions, pairs.labels), copies[start : start + 3], strict=True):
            np.testing.assert_array_equal(array, copy)


def test_the_finding_says_which_way_it_went() -> None:
    fitted, held_out = halves(1000, dim=256, gap=1.0, noise=0.8)
    outcomes = compare_variants(fitted, held_out, shuffles=0)
    assert "was not what limited it" in finding(outcomes["before"], outcomes["centred"])
    few = measure(fitted.take(np.arange(8)), held_out, find_variant("normalised"), shuffles=0)
    assert "got worse" in finding(outcomes["before"], few)
    assert "did not close the gap" in finding(outcomes["before"], outcomes["before"])
    better = measure(fitted, fitted, find_variant("centred"), shuffles=0)
    worse = replace(better, correct=~better.correct)
    assert "training, not zero-shot" in finding(worse, replace(better, held_out=replace(better.held_out, distance=0)))
    assert finding(worse, replace(better, held_out=replace(better.held_out, distance=0)), seen_classes=False).endswith(
        "closing it helped."
    )
    tiny = held_out.take(np.arange(4))
    assert "too few images" in finding(
        measure(fitted, tiny, find_variant("before"), shuffles=0),
        measure(fitted, tiny, find_variant("centred"), shuffles=0),
    )


def test_what_cannot_be_aligned_is_said() -> None:
    pairs = make_pairs(10)
    with pytest.raises(ConfigError, match="at least 2"):
        fit_alignment(pairs.images[:1], pairs.texts[:1], find_variant("centred"))
    with pytest.raises(ShapeError, match="expected the same"):
        fit_alignment(pairs.images, pairs.texts[:5], find_variant("centred"))
    with pytest.raises(UnknownNameError, match="centred"):
        find_variant("centered")
    with pytest.raises(NotFiniteError, match="not numbers"):
        fit_alignment(pairs.images * np.nan, pairs.texts, find_variant("centred"))
    with pytest.raises(ShapeError, match="dimensions"):
        Pairs(images=pairs.images[:, :5], labels=pairs.labels, captions=pairs.captions, chosen=pairs.chosen)


@pytest.mark.parametrize("name", VARIANTS)
def test_identical_embeddings_give_numbers_and_no_warning(name: str) -> None:
    same = np.ones((6, 4))
    pairs = Pairs(images=same, labels=np.arange(6) % 2, captions=np.ones((2, 1, 4)), chosen=np.zeros(6, dtype=int))
    with np.errstate(all="raise"):
        outcome = measure(pairs, pairs, find_variant(name), shuffles=1)
    assert np.isfinite(outcome.held_out.distance)


def test_of_a_few_images_the_finding_gives_counts_and_no_interval():
    random = np.random.default_rng(3)
    pairs = Pairs(
        images=random.normal(size=(3, 6)), labels=np.array([0, 1, 1]), captions=random.normal(size=(2, 1, 6)),
        chosen=np.zeros(3, np.int64),
    )  # fmt: skip
    outcomes = compare_variants(pairs, pairs, [VARIANTS["before"], VARIANTS["mean_shift"]], shuffles=0)
    said = finding(outcomes["before"], outcomes["mean_shift"])
    assert "of 3 images" in said
    assert "interval" not in said
    assert said.endswith("too few images to tell.") or said.startswith("This did not close the gap")
