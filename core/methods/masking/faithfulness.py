"""Does the map matter? Remove or restore patches in the order that an explanation gives, beside random orders.

Source: Petsiuk et al. 2018, "RISE", arXiv:1806.07421 (deletion and insertion, area under the curve).
Differs from the paper: whole patches instead of single pixels, and both curves use one fill; the paper deletes to grey
and inserts into a blurred image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from core.configs import from_dict
from core.data.transforms import Normalisation
from core.errors import ConfigError, UnknownNameError
from core.finite import require_finite
from core.methods.accuracy.targets import Target
from core.methods.masking.masking import masked_responses
from core.methods.masking.orders import (
    Fill,
    MaskingCurve,
    RandomBand,
    masking_order,
    removal_keeps,
    removal_shares,
    scores_on_grid,
)
from core.methods.masking.passes import PLAIN, Passes
from core.notebook import Drawn
from core.reports import OnProgress, silent
from core.seeding import stream

if TYPE_CHECKING:
    from torch import Tensor, nn

Outcome = Literal["beats random", "no better than random", "worse than random"]
TrackOutcome = Literal["beats random", "no better than random", "worse than random", "too few images"]
Falls = Literal["sooner", "later", "no differently"]
# An area this small is rounding, not an effect.
SMALLEST_MARGIN = 1e-3
# The bootstrap interval of fewer images is far too narrow; that of one image has no width at all.
FEWEST_IMAGES = 5


@dataclass(frozen=True, kw_only=True)
class FaithfulnessCurves:
    """One explanation put to the test on one image.

    Attributes:
        deletion: (steps + 1,) confidence while its best patches are removed; faithful is low.
        insertion: (steps + 1,) confidence while its best patches are restored; faithful is high.
        deletion_area: under the curve over the share, in [0, 1] for a probability.
        insertion_area: the same for insertion.
    """

    deletion: np.ndarray
    insertion: np.ndarray
    deletion_area: float
    insertion_area: float

    @property
    def score(self) -> float:
        """Insertion area minus deletion area: one number, higher is more faithful."""
        return self.insertion_area - self.deletion_area


@dataclass(frozen=True, kw_only=True)
class RandomBaseline:
    """The same test for random orders.

    Attributes:
        deletion: (orders, steps + 1) confidence.
        insertion: (orders, steps + 1) confidence.
        deletion_areas: (orders,).
        insertion_areas: (orders,).
        seeds: the seed of each order, for `masking_order`.
    """

    deletion: np.ndarray
    insertion: np.ndarray
    deletion_areas: np.ndarray
    insertion_areas: np.ndarray
    seeds: tuple[int, ...]

    @property
    def scores(self) -> np.ndarray:
        """(orders,) insertion area minus deletion area."""
        return self.insertion_areas - self.deletion_areas


@dataclass(frozen=True, kw_only=True)
class Faithfulness(Drawn):
    """Every explanation of one image beside the random baseline, over one set of shares (steps + 1,)."""

    shares: np.ndarray
    methods: dict[str, FaithfulnessCurves]
    random: RandomBaseline
    grid: tuple[int, int]
    fill: Fill


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the numbers of one explanation on one image amount to; `deletion` and `insertion` taken alone."""

    outcome: Outcome
    deletion: Outcome
    insertion: Outcome
    sentence: str


@dataclass(frozen=True, kw_only=True)
class ImageAreas:
    """What one image adds to an explanation's track record; the random areas are means over the orders."""

    image: str
    method: str
    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A mean difference to random over images, positive is better, with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TrackRecord:
    """An explanation over many images: mean areas, and paired gains over random on the same images.

    Attributes:
        method: name of the explanation.
        count: images.
        deletion_area: mean over the images.
        insertion_area: mean over the images.
        random_deletion_area: mean over the images.
        random_insertion_area: mean over the images.
        deletion_gain: random minus method.
        insertion_gain: method minus random.
        gain: the sum of both.
        outcome: "beats random" if the interval of `gain` lies above 0, "worse" if below, else "no better"; "too few
            images" below `FEWEST_IMAGES`.
    """

    method: str
    count: int
    deletion_area: float
    insertion_area: float
    random_deletion_area: float
    random_insertion_area: float
    deletion_gain: Gain
    insertion_gain: Gain
    gain: Gain
    outcome: TrackOutcome


@dataclass(frozen=True, kw_only=True)
class AreaComparison:
    """The area under one masking curve beside those of random orders.

    Attributes:
        area: under the curve over the share removed, in [0, 1] for a probability.
        random_mean: of the random orders' areas.
        random_low: two standard deviations of these below their mean.
        random_high: as far above.
        orders: how many random orders there were.
        falls: when the curve falls, compared with them.
    """

    area: float
    random_mean: float
    random_low: float
    random_high: float
    orders: int
    falls: Falls


def area(shares: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The area under curves (..., steps + 1) over `shares`, by trapezia: (...), in [0, 1] if confidence is."""
    require_finite("The confidences", confidence)
    return np.asarray(np.trapezoid(confidence.astype(np.float64), shares.astype(np.float64), axis=-1))


def faithfulness(
    module: nn.Module,
    image: Tensor,
    target: Target,
    scores: Mapping[str, np.ndarray],
    *,
    grid: tuple[int, int],
    fill: Fill = "mean",
    steps: int = 20,
    random_orders: int = 10,
    seed: int = 0,
    normalisation: Normalisation,
    passes: Passes = PLAIN,
    on_progress: OnProgress = silent,
) -> Faithfulness:
    """Deletion and insertion curves of each explanation in `scores`, and of random orders as the baseline.

    Args:
        image: (1, channels, height, width), normalised.
        scores: by name, (rows, columns), higher is more important; a map of another resolution is resampled.
        random_orders: seeded `seed`, `seed + 1`, …; `seed` is also that of the noise fill.

    Raises:
        ConfigError: fewer than two random orders, which do not vary.
    """
    if random_orders < 2:
        raise ConfigError(f"Got {random_orders} random orders; expected at least 2, whose deviation is the yardstick.")
    shares = removal_shares(grid[0] * grid[1], steps)
    seeds = tuple(range(seed, seed + random_orders))
    orders = [masking_order("most_attended", grid, scores=scores_on_grid(each, grid)) for each in scores.values()]
    orders += [masking_order("random", grid, seed=each) for each in seeds]
    deletion = np.stack([removal_keeps(order, shares, grid) for order in orders])
    # What deletion has removed at a share is exactly what insertion has restored there.
    keeps = np.stack([deletion, ~deletion])
    responses = masked_responses(
        module,
        image,
        target,
        keeps.reshape(-1, *grid),
        fill=fill,
        normalisation=normalisation,
        seed=seed,
        passes=passes,
        on_progress=on_progress,
    )
    curves = responses.confidence.reshape(2, len(orders), steps + 1)
    areas = area(shares, curves)
    return Faithfulness(
        shares=shares.astype(np.float32),
        methods={
            name: FaithfulnessCurves(
                deletion=curves[0, i],
                insertion=curves[1, i],
                deletion_area=float(areas[0, i]),
                insertion_area=float(areas[1, i]),
            )
            for i, name in enumerate(scores)
        },
        random=RandomBaseline(
            deletion=curves[0, len(scores) :],
            insertion=curves[1, len(scores) :],
            deletion_areas=areas[0, len(scores) :],
            insertion_areas=areas[1, len(scores) :],
            seeds=seeds,
        ),
        grid=grid,
        fill=fill,
    )


def compare_with_band(curve: MaskingCurve, band: RandomBand) -> AreaComparison:
    """Whether a masking curve falls sooner than random orders: by the area under it, which no threshold decides.

    The rule of `verdict`: sooner if its area lies more than two standard deviations of the random orders below their
    mean.

    Raises:
        ConfigError: fewer than two random orders, or other shares.
    """
    if len(band.seeds) < 2:
        raise ConfigError(
            f"Got {len(band.seeds)} random orders; expected at least 2, whose deviation is the yardstick."
        )
    if not np.array_equal(curve.shares, band.shares):
        raise ConfigError("The curve and the random orders remove other shares.", "Give both the same steps.")
    own, random = float(area(curve.shares, curve.confidence)), area(band.shares, band.curves)
    two_deviations = 2 * float(random.std(ddof=1))
    outcome = _compare(-own, -random)
    sooner: dict[Outcome, Falls] = {"beats random": "sooner", "worse than random": "later"}
    return AreaComparison(
        area=own,
        random_mean=float(random.mean()),
        random_low=float(random.mean()) - two_deviations,
        random_high=float(random.mean()) + two_deviations,
        orders=len(band.seeds),
        falls=sooner.get(outcome, "no differently"),
    )


def verdict(result: Faithfulness, method: str) -> Verdict:
    """Whether an explanation beats random orders on this image, in words.

    The rule: it does if insertion area minus deletion area lies more than two standard deviations of the random orders
    above their mean, and it is worse if as far below.
    """
    if method not in result.methods:
        raise UnknownNameError("explanation in this result", method, result.methods)
    curves, random = result.methods[method], result.random
    outcome = _compare(curves.score, random.scores)
    return Verdict(
        outcome=outcome,
        deletion=_compare(-curves.deletion_area, -random.deletion_areas),
        insertion=_compare(curves.insertion_area, random.insertion_areas),
        sentence=(
            f"{method} {_said(outcome)}: insertion minus deletion area {curves.score:+.3f}, random orders "
            f"{random.scores.mean():+.3f} ± {random.scores.std(ddof=1):.3f} (n = {len(random.seeds)})."
        ),
    )


def image_areas(result: Faithfulness, image: str) -> list[ImageAreas]:
    """The line that each explanation adds to its track record, for the image called `image`."""
    return [
        ImageAreas(
            image=image,
            method=method,
            deletion=curves.deletion_area,
            insertion=curves.insertion_area,
            random_deletion=float(result.random.deletion_areas.mean()),
            random_insertion=float(result.random.insertion_areas.mean()),
        )
        for method, curves in result.methods.items()
    ]


def summarise(records: Sequence[ImageAreas], *, resamples: int = 2000, seed: int = 0) -> dict[str, TrackRecord]:
    """Each explanation over all its images, with intervals from `resamples` seeded bootstrap samples of images."""
    methods: dict[str, list[ImageAreas]] = {}
    for record in records:
        methods.setdefault(record.method, []).append(record)
    return {method: _track(method, images, resamples, seed) for method, images in methods.items()}


def records_to_json(records: Sequence[ImageAreas]) -> str:
    """The records as JSON text; `records_from_json` reads them back unchanged."""
    return json.dumps([asdict(record) for record in records], indent=1) + "\n"


def records_from_json(text: str) -> list[ImageAreas]:
    """What `records_to_json` wrote."""
    return [from_dict(ImageAreas, values) for values in json.loads(text)]


def tracks_to_json(tracks: Mapping[str, TrackRecord]) -> str:
    """A summary as JSON text; `tracks_from_json` reads it back unchanged."""
    return json.dumps({method: asdict(track) for method, track in tracks.items()}, indent=1) + "\n"


def tracks_from_json(text: str) -> dict[str, TrackRecord]:
    """What `tracks_to_json` wrote."""
    return {method: from_dict(TrackRecord, values) for method, values in json.loads(text).items()}


def _compare(value: float, random: np.ndarray) -> Outcome:
    margin = max(2 * float(random.std(ddof=1)), SMALLEST_MARGIN)
    if value > random.mean() + margin:
        return "beats random"
    return "worse than random" if value < random.mean() - margin else "no better than random"


def _said(outcome: Outcome) -> str:
    return outcome if outcome == "beats random" else f"is {outcome}"


def _track(method: str, images: list[ImageAreas], resamples: int, seed: int) -> TrackRecord:
    areas = np.array([[each.deletion, each.insertion, each.random_deletion, each.random_insertion] for each in images])
    gains = np.stack([areas[:, 2] - areas[:, 0], areas[:, 1] - areas[:, 3]], axis=1)
    gains = np.concatenate([gains, gains.sum(axis=1, keepdims=True)], axis=1)  # (images, 3)
    # One draw of images for all three gains keeps them paired, and for all methods comparable.
    drawn = stream("resampled images", seed).integers(len(images), size=(resamples, len(images)))
    low, high = np.quantile(gains[drawn].mean(axis=1), (0.025, 0.975), axis=0)
    deletion, insertion, both = (
        Gain(mean=float(mean), low=float(bottom), high=float(top))
        for mean, bottom, top in zip(gains.mean(axis=0), low, high, strict=True)
    )
    mean = areas.mean(axis=0)
    outcome: TrackOutcome = "no better than random"
    if len(images) < FEWEST_IMAGES:
        outcome = "too few images"
    elif both.low > 0 or both.high < 0:
        outcome = "beats random" if both.low > 0 else "worse than random"
    return TrackRecord(
        method=method,
        count=len(images),
        deletion_area=float(mean[0]),
        insertion_area=float(mean[1]),
        random_deletion_area=float(mean[2]),
        random_insertion_area=float(mean[3]),
        deletion_gain=deletion,
        insertion_gain=insertion,
        gain=both,
        outcome=outcome,
    )
