import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from core.data.transforms import HALF_NORMALISATION
from core.errors import ConfigError, UnknownNameError
from core.methods.accuracy.targets import Target
from core.methods.masking.faithfulness import (
    ImageAreas,
    area,
    compare_with_band,
    faithfulness,
    image_areas,
    records_from_json,
    records_to_json,
    summarise,
    tracks_from_json,
    tracks_to_json,
    verdict,
)
from core.methods.masking.orders import MaskingCurve, RandomBand

GRID = (4, 4)
OPTIONS = {"grid": GRID, "fill": "black", "steps": 8, "normalisation": HALF_NORMALISATION}


class LooksAt(nn.Module):
    """Class 1 is as likely as `weights` (4, 4), which sum to 1, of the image's patches are white."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = torch.from_numpy(weights).float()

    def forward(self, images: Tensor) -> Tensor:
        white = (nn.functional.adaptive_avg_pool2d(images.mean(dim=1), GRID) + 1) / 2
        share = (white * self.weights).sum(dim=(1, 2)).clamp(1e-6, 1 - 1e-6)
        return torch.stack([(1 - share).log(), share.log()], dim=1)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    weights = np.zeros(GRID)
    weights[:2, :2] = 0.25
    return weights


@pytest.fixture(scope="module")
def result(truth):
    scores = {"right": truth, "wrong": -truth, "flat": np.zeros(GRID), "coarse": np.array([[1.0, 0], [0, 0]])}
    return faithfulness(LooksAt(truth), torch.ones(1, 3, 16, 16), Target(1), scores, random_orders=10, **OPTIONS)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_area_of_a_probability_is_between_0_and_1(confidence):
    shares = np.linspace(0, 1, len(confidence))
    value = area(shares, np.array(confidence))
    assert -1e-9 <= value <= 1 + 1e-9
    assert area(shares, 1 - np.array(confidence)) == pytest.approx(1 - value)


def test_area_of_known_curves():
    shares = np.array([0, 0.5, 1])
    assert area(shares, np.array([[1, 0.5, 0], [1, 1, 1], [0, 0, 1]])) == pytest.approx([0.5, 1, 0.25])


def test_curves_of_a_known_model(result):
    """All evidence lies in 4 of 16 patches, which the right map removes in two steps of two."""
    right = result.methods["right"]
    assert right.deletion == pytest.approx([1, 0.5, 0, 0, 0, 0, 0, 0, 0], abs=1e-4)
    assert right.insertion == pytest.approx([0, 0.5, 1, 1, 1, 1, 1, 1, 1], abs=1e-4)
    assert right.deletion_area == pytest.approx(0.125, abs=1e-4)
    assert right.insertion_area == pytest.approx(0.875, abs=1e-4)
    assert right.score == pytest.approx(0.75, abs=1e-4)
    assert result.methods["wrong"].score == pytest.approx(-0.75, abs=1e-4)
    assert result.methods["coarse"].score > 0.5


def test_random_orders_of_an_additive_model_are_point_symmetric(result):
    """What deletion leaves and insertion restores adds up to the whole, whatever the order."""
    random = result.random
    assert random.deletion + random.insertion == pytest.approx(1, abs=1e-4)
    assert random.deletion_areas.shape == (10,)
    assert abs(random.scores.mean()) < 0.3


def test_verdicts_follow_the_rule(result):
    assert verdict(result, "right").outcome == "beats random"
    assert verdict(result, "wrong").outcome == "worse than random"
    assert verdict(result, "right").deletion == "beats random"
    assert verdict(result, "wrong").insertion == "worse than random"
    assert "+0.750" in verdict(result, "right").sentence
    assert "n = 10" in verdict(result, "right").sentence
    with pytest.raises(UnknownNameError):
        verdict(result, "rite")


def test_random_maps_are_seldom_called_better_than_random(truth):
    random = np.random.default_rng(99)
    scores = {f"noise {i}": random.random(GRID) for i in range(20)}
    ours = faithfulness(LooksAt(truth), torch.ones(1, 3, 16, 16), Target(1), scores, random_orders=20, **OPTIONS)
    outcomes = [verdict(ours, name).outcome for name in scores]
    assert outcomes.count("no better than random") >= 17


def test_a_model_that_ignores_the_image_makes_no_map_better(truth):
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.zeros(len(images), 2)

    ours = faithfulness(Constant(), torch.ones(1, 3, 16, 16), Target(1), {"right": truth}, **OPTIONS)
    assert verdict(ours, "right").outcome == "no better than random"
    assert ours.methods["right"].deletion_area == pytest.approx(0.5)


def test_the_same_seed_gives_the_same_numbers_and_inputs_are_untouched(truth):
    scores = {"right": truth.copy()}
    image = torch.ones(1, 3, 16, 16)
    first, second = (
        faithfulness(LooksAt(truth), image, Target(1), scores, seed=4, random_orders=3, **OPTIONS) for _ in range(2)
    )
    assert np.array_equal(first.random.deletion, second.random.deletion)
    assert first.random.seeds == (4, 5, 6)
    assert np.array_equal(scores["right"], truth)
    assert torch.all(image == 1)


def test_one_random_order_is_no_yardstick(truth):
    with pytest.raises(ConfigError, match="at least 2"):
        faithfulness(LooksAt(truth), torch.ones(1, 3, 16, 16), Target(1), {}, random_orders=1, **OPTIONS)


def _records(gains: np.ndarray) -> list[ImageAreas]:
    return [
        ImageAreas(
            image=str(i), method="m", deletion=0.4 - gain / 2, insertion=0.6 + gain / 2, random_deletion=0.4,
            random_insertion=0.6,
        )
        for i, gain in enumerate(gains)
    ]  # fmt: skip


def test_a_track_record_is_paired_and_its_interval_holds_the_mean():
    gains = np.random.default_rng(0).normal(0.1, 0.05, size=40)
    track = summarise(_records(gains))["m"]
    assert track.count == 40
    assert track.gain.mean == pytest.approx(gains.mean())
    assert track.deletion_gain.mean == pytest.approx(gains.mean() / 2)
    assert track.insertion_area == pytest.approx(0.6 + gains.mean() / 2)
    half = 1.96 * gains.std(ddof=1) / np.sqrt(40)
    assert track.gain.low == pytest.approx(gains.mean() - half, abs=0.2 * half)
    assert track.gain.high == pytest.approx(gains.mean() + half, abs=0.2 * half)
    assert track.outcome == "beats random"
    assert summarise(_records(gains)) == summarise(_records(gains))
    assert summarise(_records(-gains))["m"].outcome == "worse than random"
    assert summarise(_records(gains - gains.mean()))["m"].outcome == "no better than random"
    assert summarise(_records(gains[:4]))["m"].outcome == "too few images"


def test_records_and_tracks_survive_json(result):
    records = image_areas(result, "cat.jpg")
    assert [record.method for record in records] == ["right", "wrong", "flat", "coarse"]
    assert records_from_json(records_to_json(records)) == records
    tracks = summarise(records)
    assert set(tracks) == {"right", "wrong", "flat", "coarse"}
    assert tracks_from_json(tracks_to_json(tracks)) == tracks
    assert dataclasses.is_dataclass(tracks_from_json(tracks_to_json(tracks))["right"].gain)
    assert summarise([]) == {}


def curve_of(confidence: list[float]) -> MaskingCurve:
    shares = np.linspace(0, 1, len(confidence), dtype=np.float32)
    return MaskingCurve(shares=shares, confidence=np.array(confidence), top_class=None, top_probability=None)


def band_from(curves: list[list[float]]) -> RandomBand:
    values = np.array(curves)
    shares = np.linspace(0, 1, values.shape[1], dtype=np.float32)
    return RandomBand(
        shares=shares, curves=values, mean=values.mean(0), std=values.std(0, ddof=1), seeds=tuple(range(len(values)))
    )


def test_areas_tell_a_curve_from_random_orders_where_half_of_the_start_does_not():
    """Both fall below half of their start at the same share, yet one lies far below all random orders."""
    band = band_from([[1.0, 0.9, 0.8, 0.7, 0.1], [1.0, 0.92, 0.78, 0.72, 0.1], [1.0, 0.88, 0.82, 0.68, 0.1]])
    low = curve_of([1.0, 0.6, 0.55, 0.52, 0.1])
    assert np.flatnonzero(low.confidence < 0.5)[0] == np.flatnonzero(band.mean < 0.5)[0]
    found = compare_with_band(low, band)
    assert found.falls == "sooner"
    assert found.area == pytest.approx((0.55 + 0.6 + 0.55 + 0.52) / 4)
    areas = np.array([0.7375, 0.7425, 0.7325])
    assert found.random_mean == pytest.approx(areas.mean())
    assert (found.random_low, found.random_high) == pytest.approx((0.7375 - 0.01, 0.7375 + 0.01))
    assert compare_with_band(curve_of([1.0, 0.99, 0.98, 0.97, 0.1]), band).falls == "later"
    assert compare_with_band(curve_of([1.0, 0.905, 0.8, 0.7, 0.1]), band).falls == "no differently"


def test_areas_that_cannot_be_compared():
    band = band_from([[1.0, 0.5], [1.0, 0.4]])
    with pytest.raises(ConfigError, match="other shares"):
        compare_with_band(curve_of([1.0, 0.5, 0.1]), band)
    with pytest.raises(ConfigError, match="at least 2"):
        compare_with_band(curve_of([1.0, 0.5]), dataclasses.replace(band, seeds=(0,)))
