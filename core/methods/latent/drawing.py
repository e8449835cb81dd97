"""Pictures out of a latent space: drawn from a distribution, or laid out along lines and over a plane.

Sources: Kingma & Welling 2014, arXiv:1312.6114, appendix A (the plane in quantiles of the prior); White 2016,
arXiv:1609.04468 (spherical interpolation); Tomczak & Welling 2018, arXiv:1705.07120 (the aggregate posterior).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.errors import ConfigError, IncompatibleError, ShapeError
from core.finite import require_finite
from core.methods.latent.passes import decoded
from core.methods.latent.statistics import LatentStatistics
from core.models.priors import UNIT_VARIANCE, draw_prior
from core.models.vae import VAE
from core.seeding import stream, stream_seed, torch_generator

Source = Literal["normal", "laplace", "posterior", "mixture"]
Way = Literal["linear", "spherical"]
Layout = Literal["quantiles", "even"]

_MIXTURE_IMAGES = 5000


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Pictures of latents, one each.

    Attributes:
        latents: (count, latent_dim).
        pictures: (count, height, width, channels) in [0, 1]: what the decoder expects of every pixel.
    """

    latents: np.ndarray
    pictures: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Traversal:
    """One latent dimension changed at a time, all others as they were.

    Attributes:
        dimensions: (rows,) which dimension each row changes.
        values: (steps,) what it is set to.
        pictures: (rows, steps, height, width, channels) in [0, 1].
        change: (rows,) by how much a pixel differs between the row's first and last picture, on average: near 0 for a
            dimension that the decoder does not listen to.
    """

    dimensions: np.ndarray
    values: np.ndarray
    pictures: np.ndarray
    change: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """The way from one latent to another, both ends included.

    Attributes:
        shares: (steps,) in [0, 1].
        latents: (steps, latent_dim).
        pictures: (steps, height, width, channels) in [0, 1].
    """

    shares: np.ndarray
    latents: np.ndarray
    pictures: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Manifold:
    """The plane of two latents as a grid of pictures.

    Attributes:
        axis: (side,) the values of either latent, ascending.
        pictures: (side, side, height, width, channels) in [0, 1]; the first row has the largest second latent, as on
            a plot, and the first column the smallest first one.
    """

    axis: np.ndarray
    pictures: np.ndarray


def draw_latents(
    source: Source,
    count: int,
    dims: int,
    *,
    seed: int = 0,
    scale: float = UNIT_VARIANCE,
    statistics: LatentStatistics | None = None,
    components: int = 10,
) -> np.ndarray:
    """(count, dims) latents from a distribution.

    Args:
        source: "normal" is what most VAEs are trained for. "laplace" has heavier tails: a stress test, unless the
            model was trained for it. "posterior" takes a picture's posterior and draws from that: what the decoder
            was in fact shown. "mixture" is a Gaussian mixture fitted to such draws.
        scale: of the Laplace; the default has the Normal's variance.
        statistics: of many pictures; for "posterior" and "mixture".
        components: of the mixture.

    Raises:
        ConfigError: nothing is to be drawn, or the posteriors are asked for and not given.
        ShapeError: the posteriors are of another number of dimensions.
    """
    if count < 1:
        raise ConfigError(f"{count} pictures were asked for.", "Draw at least one.")
    generator = torch_generator(stream_seed("drawn latents", seed))
    if source in ("normal", "laplace"):
        return draw_prior(source, count, dims, generator, scale).numpy()
    if statistics is None:
        raise ConfigError(f"Drawing from the {source} takes the posteriors of pictures.", "Encode a data set first.")
    if statistics.means.shape[1] != dims:
        raise ShapeError(f"The posteriors have {statistics.means.shape[1]} dimensions, and the model {dims}.")
    random = stream("aggregate posterior", seed)
    if source == "posterior":
        return _from_posteriors(statistics, random, count)
    return _from_mixture(_from_posteriors(statistics, random, _MIXTURE_IMAGES), count, components, seed)


def draw(
    model: VAE,
    source: Source,
    count: int,
    *,
    seed: int = 0,
    scale: float = UNIT_VARIANCE,
    statistics: LatentStatistics | None = None,
    components: int = 10,
) -> Drawn:
    """`count` pictures of latents from a distribution; the arguments and errors are those of `draw_latents`."""
    latents = draw_latents(
        source, count, model.config.latent_dim, seed=seed, scale=scale, statistics=statistics, components=components
    )
    return Drawn(latents=latents, pictures=decoded(model, latents))


def traverse(
    model: VAE, latent: np.ndarray, dimensions: Sequence[int], *, extent: float = 3.0, steps: int = 9
) -> Traversal:
    """Set one dimension after the other to values from −extent to extent.

    Args:
        latent: (latent_dim,) where all other dimensions stay.

    Raises:
        ConfigError: fewer than two steps, no extent, or a dimension that the model does not have.
        ShapeError: the latent has another number of dimensions.
    """
    point = _point(model, latent)
    if steps < 2 or extent <= 0:
        raise ConfigError(f"A row of {steps} pictures over ±{extent:g} leads nowhere.", "Take two steps or more.")
    chosen = np.array(list(dimensions), dtype=np.int64)
    if not len(chosen) or chosen.min() < 0 or chosen.max() >= len(point):
        raise ConfigError(
            f"Dimensions {chosen.tolist()} were asked for, and the model has 0 to {len(point) - 1}.",
            "Choose among those.",
        )
    values = np.linspace(-extent, extent, steps, dtype=np.float32)
    latents = np.tile(point, (len(chosen), steps, 1))
    latents[np.arange(len(chosen))[:, None], np.arange(steps), chosen[:, None]] = values
    pictures = decoded(model, latents.reshape(-1, len(point)))
    pictures = pictures.reshape(len(chosen), steps, *pictures.shape[1:])
    change = np.abs(pictures[:, -1] - pictures[:, 0]).mean(axis=(1, 2, 3))
    return Traversal(dimensions=chosen, values=values, pictures=pictures, change=change)


def interpolate(
    model: VAE, first: np.ndarray, last: np.ndarray, *, steps: int = 9, way: Way = "linear"
) -> Interpolation:
    """Pictures on the way from one latent to another.

    Args:
        first, last: (latent_dim,) each.
        way: "linear" goes straight, past the centre, where a Normal in many dimensions hardly ever is; "spherical"
            turns from one direction to the other and changes the length evenly.

    Raises:
        ConfigError: fewer than two steps.
        ShapeError: a latent has another number of dimensions.
    """
    if steps < 2:
        raise ConfigError(f"An interpolation of {steps} pictures has no two ends.", "Take two steps or more.")
    begin, end = _point(model, first), _point(model, last)
    shares = np.linspace(0, 1, steps, dtype=np.float32)
    latents = linear(begin, end, shares) if way == "linear" else spherical(begin, end, shares)
    return Interpolation(shares=shares, latents=latents, pictures=decoded(model, latents))


def linear(first: np.ndarray, last: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(steps, dims) on the straight line."""
    require_finite("The latents", np.concatenate([first, last]))
    return ((1 - shares[:, None]) * first + shares[:, None] * last).astype(np.float32)


def spherical(first: np.ndarray, last: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(steps, dims): the direction turns at a constant rate, the length changes evenly.

    Where there is no single shortest turn (a latent at the centre, equal or opposite directions) the line is straight.
    Differs from the paper: lengths are interpolated apart from directions, so that they stay between the two ends'.
    """
    require_finite("The latents", np.concatenate([first, last]))
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    if min(lengths) < 1e-6:
        return linear(first, last, shares)
    ends = first / lengths[0], last / lengths[1]
    angle = math.acos(float(np.clip(ends[0] @ ends[1], -1, 1)))
    if math.sin(angle) < 1e-4:
        return linear(first, last, shares)
    weights = np.sin((1 - shares) * angle)[:, None], np.sin(shares * angle)[:, None]
    turned = (weights[0] * ends[0] + weights[1] * ends[1]) / math.sin(angle)
    return (turned * ((1 - shares) * lengths[0] + shares * lengths[1])[:, None]).astype(np.float32)


def manifold(
    model: VAE,
    side: int = 20,
    *,
    layout: Layout = "quantiles",
    extent: float = 3.0,
    dimensions: tuple[int, int] | None = None,
    point: np.ndarray | None = None,
) -> Manifold:
    """The plane of two latents, `side` pictures a side.

    Args:
        layout: "quantiles": each tile stands for an equal share of the prior. "even": equal distances over ±extent.
        dimensions: which latents lie across and up; may be left out for a model of two.
        point: (latent_dim,) where all other latents stay; by default at 0.

    Raises:
        IncompatibleError: the model has not two latents, or others and none were chosen.
        ConfigError: fewer than two pictures a side, no extent, or dimensions that the model does not have.
        ShapeError: the point has another number of dimensions.
    """
    config = model.config
    if config.latent_dim < 2 or (dimensions is None and config.latent_dim != 2):
        raise IncompatibleError(
            f"A map needs two latents, and this VAE has {config.latent_dim}.", "Choose one with two, such as vae_2d."
        )
    if side < 2 or extent <= 0:
        raise ConfigError(f"A map of {side} pictures a side over ±{extent:g} shows nothing.", "Take two or more.")
    first, second = dimensions or (0, 1)
    if first == second or not {first, second} <= set(range(config.latent_dim)):
        raise ConfigError(
            f"Dimensions {first} and {second} were asked for, and the model has 0 to {config.latent_dim - 1}.",
            "Choose two different ones of those.",
        )
    axis = plane_axis(model, side, layout=layout, extent=extent)
    latents = np.tile(np.zeros(config.latent_dim, np.float32) if point is None else _point(model, point), (side**2, 1))
    across, up = np.meshgrid(axis, axis[::-1])
    latents[:, first], latents[:, second] = across.ravel(), up.ravel()
    pictures = decoded(model, latents)
    return Manifold(axis=axis, pictures=pictures.reshape(side, side, *pictures.shape[1:]))


def plane_axis(model: VAE, side: int, *, layout: Layout = "quantiles", extent: float = 3.0) -> np.ndarray:
    """(side,) float32, ascending: the values of a latent along one side of a `manifold`."""
    if layout == "even":
        return np.linspace(-extent, extent, side, dtype=np.float32)
    from scipy import stats

    shares, config = (np.arange(side) + 0.5) / side, model.config
    values = stats.norm.ppf(shares) if config.prior == "normal" else stats.laplace.ppf(shares, scale=config.prior_scale)
    return np.asarray(values, dtype=np.float32)


def _point(model: VAE, latent: np.ndarray) -> np.ndarray:
    """(latent_dim,) float32, checked."""
    point = np.asarray(latent, dtype=np.float32)
    if point.shape != (model.config.latent_dim,):
        raise ShapeError(f"This VAE has {model.config.latent_dim} latents, got an array of shape {point.shape}.")
    return point


def _from_posteriors(statistics: LatentStatistics, random: np.random.Generator, count: int) -> np.ndarray:
    rows = random.integers(0, len(statistics.means), count)
    means, deviations = statistics.means[rows], np.exp(statistics.log_variances[rows] / 2)
    return (means + deviations * random.standard_normal(means.shape)).astype(np.float32)


def _from_mixture(latents: np.ndarray, count: int, components: int, seed: int) -> np.ndarray:
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-4)
    # In single precision a component of few, nearly equal latents has a covariance with negative eigenvalues.
    drawn, _ = mixture.fit(latents.astype(np.float64)).sample(count)
    # It returns them component by component.
    return stream("swarm order", seed).permutation(drawn).astype(np.float32)
