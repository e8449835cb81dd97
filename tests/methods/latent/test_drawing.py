"""Latents come from the distribution that was asked for, and pictures lie where their latents say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.errors import ConfigError, IncompatibleError, ShapeError
from core.methods.latent.drawing import draw, draw_latents, interpolate, linear, manifold, spherical, traverse
from core.methods.latent.passes import decoded
from core.methods.latent.statistics import LatentStatistics, latent_statistics
from tests.methods.latent.toy_vae import pictures, tiny

POSTERIORS = LatentStatistics(
    means=np.array([[-5, 1], [5, 1]], dtype=np.float32).repeat(50, axis=0),
    log_variances=np.full((100, 2), 2 * np.log(0.5), dtype=np.float32),
    kl=np.zeros(2, dtype=np.float32),
)


@pytest.mark.parametrize(("source", "tail"), [("normal", 0.0027), ("laplace", 0.01437)])
def test_priors_have_unit_variance_and_the_tails_of_their_kind(source: str, tail: float) -> None:
    found = draw_latents(source, 50_000, 4, seed=1)  # type: ignore[arg-type]
    assert found.shape == (50_000, 4)
    assert found.var() == pytest.approx(1, abs=0.03)
    assert (np.abs(found) > 3).mean() == pytest.approx(tail, rel=0.15)
    assert np.array_equal(found, draw_latents(source, 50_000, 4, seed=1))  # type: ignore[arg-type]
    assert not np.array_equal(found, draw_latents(source, 50_000, 4, seed=2))  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["posterior", "mixture"])
def test_the_aggregate_posterior_is_where_pictures_are(source: str) -> None:
    found = draw_latents(source, 4000, 2, statistics=POSTERIORS, components=2)  # type: ignore[arg-type]
    assert found.dtype == np.float32
    assert (np.abs(found[:, 0]) > 3).mean() > 0.999  # two heaps, and next to nothing between
    assert (found[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.03)
    assert found[:, 1].mean() == pytest.approx(1, abs=0.03)
    assert found[:, 1].std() == pytest.approx(0.5, abs=0.03)
    assert (found[:100, 0] > 0).any()  # in no order
    assert (found[:100, 0] < 0).any()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_mixture_is_fitted_exactly_enough_to_be_drawn_from() -> None:
    """Covariances in single precision are not symmetric to the digits that NumPy asks for."""
    means = (stats.norm.rvs(size=(24, 6), random_state=3) @ stats.norm.rvs(size=(6, 6), random_state=4)).astype("f4")
    wide = LatentStatistics(means=means, log_variances=np.full((24, 6), 1, np.float32), kl=np.zeros(6, np.float32))
    found = draw_latents("mixture", 5000, 6, statistics=wide)
    expected = means.var(axis=0) + np.e
    np.testing.assert_allclose(found.var(axis=0), expected, rtol=0.15)


def test_pictures_are_of_their_latents() -> None:
    model = tiny()
    found = draw(model, "posterior", 5, statistics=latent_statistics(model, pictures()))
    np.testing.assert_array_equal(found.pictures, decoded(model, found.latents))
    assert found.pictures.shape == (5, 4, 4, 1)
    assert found.pictures.dtype == np.float32
    assert ((found.pictures >= 0) & (found.pictures <= 1)).all()


def test_a_traversal_changes_one_latent_at_a_time() -> None:
    model, point = tiny(), np.array([0.3, -0.2, 1.0], dtype=np.float32)
    model.decoder[0].weight.data[:, 1] = 0  # type: ignore[index,union-attr]
    found = traverse(model, point, [2, 1], extent=2, steps=5)
    assert found.values.tolist() == [-2, -1, 0, 1, 2]
    assert found.pictures.shape == (2, 5, 4, 4, 1)
    expected = decoded(model, np.array([[0.3, -0.2, -1.0]]))
    np.testing.assert_allclose(found.pictures[0, 1], expected[0], atol=1e-6)
    assert found.change[0] > 0.01
    assert found.change[1] == 0  # the decoder does not listen to it
    assert point.tolist() == pytest.approx([0.3, -0.2, 1.0])


def test_an_interpolation_ends_where_it_should() -> None:
    model = tiny()
    first, last = np.array([2.0, 0, 0]), np.array([0, 1.0, 0])
    straight, turned = (interpolate(model, first, last, steps=3, way=way) for way in ("linear", "spherical"))
    for found in (straight, turned):
        np.testing.assert_allclose(found.latents[[0, -1]], [first, last], atol=1e-6)
        np.testing.assert_array_equal(found.pictures, decoded(model, found.latents))
        assert found.shares.tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(straight.latents[1], [1, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(turned.latents[1], 1.5 / np.sqrt(2) * np.array([1, 1, 0]), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4),
    st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4),
)
def test_a_turn_never_leaves_the_lengths_of_its_ends(first: list[float], last: list[float]) -> None:
    begin, end = np.array(first, dtype=np.float32), np.array(last, dtype=np.float32)
    shares = np.linspace(0, 1, 7, dtype=np.float32)
    found = spherical(begin, end, shares)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[[0, -1]], [begin, end], atol=1e-3)
    norms, ends = np.linalg.norm(found, axis=1), sorted([np.linalg.norm(begin), np.linalg.norm(end)])
    assert (norms <= ends[1] + 1e-3).all()
    if not np.allclose(found, linear(begin, end, shares), atol=1e-6):
        assert (norms >= ends[0] - 1e-3).all()


@pytest.mark.parametrize("prior", ["normal", "laplace"])
def test_a_map_has_equal_shares_of_the_prior_and_is_the_right_way_up(prior: str) -> None:
    model = tiny(latent_dim=2, prior=prior)
    found = manifold(model, 5)
    law = stats.norm if prior == "normal" else stats.laplace(scale=2**-0.5)
    np.testing.assert_allclose(law.cdf(found.axis), [0.1, 0.3, 0.5, 0.7, 0.9], atol=1e-6)
    corner = decoded(model, np.array([[found.axis[0], found.axis[-1]]]))
    np.testing.assert_allclose(found.pictures[0, 0], corner[0], atol=1e-6)
    even = manifold(model, 3, layout="even", extent=2)
    assert even.axis.tolist() == [-2, 0, 2]
    assert even.pictures.shape == (3, 3, 4, 4, 1)


def test_a_map_of_two_among_many_latents_leaves_the_others_where_they_are() -> None:
    model, point = tiny(latent_dim=4), np.array([0.5, -1.0, 0.25, 2.0], dtype=np.float32)
    found = manifold(model, 3, layout="even", extent=1, dimensions=(3, 1), point=point)
    # The upper right corner: the largest of both, across is the first one named.
    corner = decoded(model, np.array([[0.5, 1.0, 0.25, 1.0]]))
    np.testing.assert_allclose(found.pictures[0, -1], corner[0], atol=1e-6)
    centre = manifold(model, 3, layout="even", extent=1, dimensions=(3, 1)).pictures[1, 1]
    np.testing.assert_allclose(centre, decoded(model, np.zeros((1, 4)))[0], atol=1e-6)


def test_what_does_not_fit_is_said() -> None:
    model = tiny()
    with pytest.raises(IncompatibleError, match="this VAE has 1"):
        manifold(tiny(latent_dim=1), dimensions=(0, 1))
    for wrong in ((0, 0), (0, 3), (-1, 1)):
        with pytest.raises(ConfigError, match="two different ones"):
            manifold(model, dimensions=wrong)
    with pytest.raises(ShapeError):
        manifold(model, dimensions=(0, 1), point=np.zeros(2))
    with pytest.raises(IncompatibleError, match="A map needs two latents, and this VAE has 3"):
        manifold(model)
    with pytest.raises(ConfigError, match="shows nothing"):
        manifold(tiny(latent_dim=2), 1)
    with pytest.raises(ConfigError, match="leads nowhere"):
        traverse(model, np.zeros(3), [0], steps=1)
    for wrong in ([], [3], [-1]):
        with pytest.raises(ConfigError, match="the model has 0 to 2"):
            traverse(model, np.zeros(3), wrong)
    with pytest.raises(ShapeError, match="3 latents, got an array of shape"):
        traverse(model, np.zeros(2), [0])
    with pytest.raises(ConfigError, match="two ends"):
        interpolate(model, np.zeros(3), np.ones(3), steps=1)
    with pytest.raises(ConfigError, match="0 pictures"):
        draw(model, "normal", 0)
    with pytest.raises(ConfigError, match="takes the posteriors"):
        draw(model, "posterior", 3)
    with pytest.raises(ShapeError, match="have 2 dimensions, and the model 3"):
        draw(model, "mixture", 3, statistics=POSTERIORS)
