"""The rotation that fits, against planted ones, and rotations done in part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, logm, orthogonal_procrustes
from scipy.stats import ortho_group, special_ortho_group

from core.methods.modality_gap.procrustes import PartialRotation, best_rotation, unit_vectors


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), dim=st.integers(2, 12), extra=st.integers(0, 30))
def test_a_planted_rotation_is_recovered(seed: int, dim: int, extra: int) -> None:
    random = np.random.default_rng(seed)
    planted = ortho_group.rvs(dim, random_state=random)
    images = random.standard_normal((dim + extra + 1, dim))
    rotation, total, determined = best_rotation(images, images @ planted)
    np.testing.assert_allclose(rotation, planted, atol=1e-9)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(dim), atol=1e-12)
    assert determined == dim
    assert total == pytest.approx((images**2).sum())


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), pairs=st.integers(2, 20))
def test_the_residual_is_what_the_singular_values_say(seed: int, pairs: int) -> None:
    random = np.random.default_rng(seed)
    images, texts = random.standard_normal((2, pairs, 8))
    for free in ("arbitrary", "least_motion"):
        rotation, total, _ = best_rotation(images, texts, free)  # type: ignore[arg-type]
        residual = ((images @ rotation - texts) ** 2).sum()
        assert residual == pytest.approx((images**2).sum() + (texts**2).sum() - 2 * total, abs=1e-9)


def test_few_pairs_leave_directions_free_and_least_motion_leaves_them_alone() -> None:
    random = np.random.default_rng(0)
    images, texts = random.standard_normal((2, 5, 40))
    arbitrary, _, determined = best_rotation(images, texts)
    least, _, same = best_rotation(images, texts, "least_motion")
    assert determined == same == 5
    np.testing.assert_allclose(arbitrary, orthogonal_procrustes(images, texts)[0])
    np.testing.assert_allclose(least @ least.T, np.eye(40), atol=1e-12)
    np.testing.assert_allclose(images @ least, images @ arbitrary, atol=1e-9)
    # Directions that no pair touches, on either side, are not moved at all.
    untouched = np.linalg.svd(np.concatenate([images, texts]))[2][10:]
    np.testing.assert_allclose(untouched @ least, untouched, atol=1e-9)
    assert np.trace(least) > 29 > np.trace(arbitrary)
    for seed in range(3):  # no other orthogonal matrix that fits as well is nearer to the identity
        inner = special_ortho_group.rvs(35, random_state=seed)
        free = np.linalg.svd(images.T @ texts)[0][:, 5:]
        other = (np.eye(40) - free @ free.T + free @ inner @ free.T) @ least
        assert np.trace(other) <= np.trace(least) + 1e-9


def test_scipys_scale_is_the_sum_of_singular_values_and_no_scale() -> None:
    random = np.random.default_rng(1)
    images = random.standard_normal((50, 6))
    planted = ortho_group.rvs(6, random_state=random)
    rotation, total, _ = best_rotation(images, 3 * images @ planted)
    assert total / (images**2).sum() == pytest.approx(3)
    np.testing.assert_allclose(rotation, planted, atol=1e-12)


@pytest.mark.parametrize("dim", [2, 5, 8])
def test_part_of_a_rotation_lies_on_the_geodesic(dim: int) -> None:
    rotation = special_ortho_group.rvs(dim, random_state=3)
    turn = PartialRotation(rotation)
    assert turn.mirrored == 0
    logarithm = logm(rotation)
    for share in (0.0, 0.25, 0.6, 1.0):
        np.testing.assert_allclose(turn.part(share), expm(share * logarithm).real, atol=1e-9)


@pytest.mark.parametrize("determinant", [1, -1])
def test_part_of_a_mirror_image_ends_where_it_should(determinant: int) -> None:
    rotation = ortho_group.rvs(7, random_state=0)
    if np.sign(np.linalg.det(rotation)) != determinant:
        rotation[:, 0] *= -1
    turn = PartialRotation(rotation)
    assert turn.mirrored == (determinant < 0)
    np.testing.assert_allclose(turn.part(0), np.eye(7), atol=1e-12)
    np.testing.assert_allclose(turn.part(1), rotation, atol=1e-9)
    singular = np.linalg.svd(turn.part(0.5))[1]
    np.testing.assert_allclose(np.sort(singular)[turn.mirrored :], 1, atol=1e-9)
    assert singular.min() < 1e-9 or determinant > 0


def test_half_turns_of_diagonal_signs_stay_orthogonal() -> None:
    turn = PartialRotation(np.diag([1.0, -1.0, -1.0, 1.0]))
    halfway = turn.part(0.5)
    assert turn.mirrored == 0
    np.testing.assert_allclose(halfway @ halfway.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(turn.part(1), np.diag([1.0, -1.0, -1.0, 1.0]), atol=1e-12)


def test_unit_leaves_zero_alone() -> None:
    np.testing.assert_allclose(unit_vectors(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])


def test_it_is_what_scipy_finds():
    random = np.random.default_rng(5)
    images, texts = random.normal(size=(2, 30, 8))
    theirs, total = orthogonal_procrustes(images, texts)
    ours, sizes, determined = best_rotation(images, texts)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)
    assert (sizes, determined) == (pytest.approx(total), 8)


@pytest.mark.parametrize("determinant", [1, -1])
def test_vectors_are_turned_as_by_the_matrix(determinant: int):
    random = np.random.default_rng(6)
    rotation = np.linalg.qr(random.normal(size=(7, 7)))[0]
    rotation[0] *= np.sign(np.linalg.det(rotation)) * determinant
    turn, vectors = PartialRotation(rotation), random.normal(size=(5, 7))
    np.testing.assert_allclose(turn.apply(vectors, 1), vectors @ rotation, atol=1e-10)
    np.testing.assert_allclose(turn.apply(vectors, 0.3), vectors @ turn.part(0.3), atol=1e-10)
    np.testing.assert_allclose(turn.apply(vectors, 0), vectors, atol=1e-10)
