"""A transfer: alone or in a batch, in one go or stopped, from content or noise; and what cannot be meant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from core.data.paintings import paint
from core.errors import ConfigError, NotFiniteError, ShapeError, UnknownNameError
from core.methods.style_transfer.networks import feature_network
from core.methods.style_transfer.pictures import covered
from core.methods.style_transfer.transfer import StyleSettings, Transfer, settled, transfer_style
from core.reports import finish
from core.seeding import stream
from tests.methods.style_transfer.toy_network import toy_model, toy_network

WEIGHT = {"style_weight": 1e4, "tv_weight": 0.0}


def photos(count: int = 3, side: int = 32) -> np.ndarray:
    """Noise in patches of 4 pixels, (count, side, side, 3) uint8."""
    rough = stream("toy photos").integers(0, 256, (count, side // 4, side // 4, 3), dtype=np.uint8)
    return rough.repeat(4, axis=1).repeat(4, axis=2)


def swirl(side: int = 32) -> np.ndarray:
    return covered(paint("swirl"), (side, side))


def done(
    content: np.ndarray, numbers: list[int] | None = None, style: np.ndarray | None = None, **options: Any
) -> Transfer:
    settings = StyleSettings(**{**WEIGHT, "steps": 12, **options})
    found: Transfer = finish(
        transfer_style(toy_network(), content, swirl() if style is None else style, settings, numbers=numbers or ())
    )
    return found


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
@pytest.mark.parametrize("start", ["content", "noise"])
def test_the_style_comes_nearer_whatever_the_way(optimiser: str, start: str) -> None:
    steps = 60 if optimiser == "adam" else 25
    found = done(photos(1), optimiser=optimiser, start=start, steps=steps)
    assert len(found.content) == len(found.style) == len(found.total) == steps + 1
    assert found.total[-1, 0] < 0.5 * found.total[0, 0]
    assert found.pictures.shape == (1, 32, 32, 3)
    if start == "content":
        assert found.content[0, 0] == 0
        assert found.content[-1, 0] > 0
        np.testing.assert_allclose(found.style[0], found.style_of_content)
        assert (found.pictures != photos(1)).any()


def test_what_is_minimised_is_the_sum_that_the_paper_names() -> None:
    found = done(photos(2), content_weight=3.0, style_layers=("stem", "stage2"), layer_weights=(0.5, 2.0), steps=4)
    style = 0.5 * found.style[:, 0] + 2.0 * found.style[:, 1]
    np.testing.assert_allclose(found.total, 3.0 * found.content + 1e4 * style, rtol=1e-5)
    smooth = done(photos(2), tv_weight=5.0, steps=1)
    pixels = photos(2).astype(float) / 255
    variation = sum(np.square(np.diff(pixels, axis=axis)).sum(axis=(1, 2, 3)) for axis in (1, 2))
    weights = np.array(settled(toy_network(), StyleSettings()).layer_weights)
    np.testing.assert_allclose(
        smooth.total[0], 1e4 * np.einsum("l,lb->b", weights, smooth.style[0]) + 5 * variation, rtol=1e-5
    )


@pytest.mark.parametrize("start", ["content", "noise"])
def test_a_picture_is_the_same_in_any_batch(start: str) -> None:
    together = done(photos(), [4, 9, 2], start=start, seed=5, steps=8)
    for place, number in enumerate([4, 9, 2]):
        alone = done(photos()[place : place + 1], [number], start=start, seed=5, steps=8)
        np.testing.assert_allclose(together.total[:, place], alone.total[:, 0], rtol=1e-3)
        assert np.abs(together.pictures[place].astype(int) - alone.pictures[0]).max() <= 2


@pytest.mark.parametrize("seed", range(6))
def test_from_noise_no_step_leads_astray(seed: int) -> None:
    """The first step moves pixels by less than rounding: what curvature it seems to show may be none."""
    found = done(photos(1), start="noise", seed=seed, steps=30)
    assert found.total.max() < 2 * found.total[0, 0]
    assert found.total[-1, 0] < 0.5 * found.total[0, 0]


def test_noise_is_told_by_the_seed_and_the_pictures_number() -> None:
    first = [done(photos(2), numbers, start="noise", seed=seed, steps=1).total[0] for numbers, seed in (
        ([0, 1], 0), ([0, 1], 0), ([1, 2], 0), ([0, 1], 1))]  # fmt: skip
    np.testing.assert_array_equal(first[0], first[1])
    assert (first[0] != first[2]).all()
    assert (first[0] != first[3]).all()


@pytest.mark.parametrize("optimiser", ["lbfgs", "adam"])
def test_a_transfer_that_was_left_goes_on_as_if_it_had_not_been(optimiser: str) -> None:
    settings = StyleSettings(**WEIGHT, optimiser=optimiser, steps=8)  # type: ignore[arg-type]
    work = transfer_style(toy_network(), photos(1), swirl(), settings)
    left = [next(work) for _ in range(6)][-1]  # the start, and five steps
    work.close()
    assert (left.step, left.finished) == (5, False)
    whole = list(transfer_style(toy_network(), photos(1), swirl(), settings))
    rest = list(transfer_style(toy_network(), photos(1), swirl(), settings, begin=left))
    assert [each.step for each in whole] == list(range(9))
    assert [each.step for each in rest] == [5, 6, 7, 8]
    np.testing.assert_array_equal(rest[-1].pictures, whole[-1].pictures)
    np.testing.assert_array_equal(rest[-1].total, whole[-1].total)


def test_without_a_style_the_content_stays_and_noise_becomes_it() -> None:
    still = done(photos(1), style_weight=0.0, steps=5)
    np.testing.assert_array_equal(still.pictures, photos(1))
    found = done(photos(1), style_weight=0.0, start="noise", steps=40)
    assert found.content[-1, 0] < 0.1 * found.content[0, 0]


def test_average_pooling_makes_another_picture() -> None:
    network = feature_network(toy_model(), "average")
    settings = StyleSettings(**WEIGHT, pooling="average", steps=3)
    averaged: Transfer = finish(transfer_style(network, photos(1), swirl(), settings))
    assert (averaged.style[0] != done(photos(1), steps=3).style[0]).any()


def test_shares_are_of_the_other_pictures_losses() -> None:
    found = done(photos(2), steps=6)
    weights = settled(toy_network(), StyleSettings()).layer_weights
    np.testing.assert_allclose(found.style_share(weights)[0], 1)
    same = done(swirl()[None], steps=1)  # the style's own picture
    assert same.style[0].max() < 1e-9
    np.testing.assert_allclose(same.content_of_style, 0, atol=1e-6)
    away = done(photos(2), style=photos(2)[1], steps=1)
    assert away.content_of_style[1] == pytest.approx(0, abs=1e-6)
    assert away.content_of_style[0] > 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"style_weight": math.nan}, "weights are"),
        ({"content_weight": math.inf}, "weights are"),
        ({"tv_weight": math.nan}, "weights are"),
        ({"style_layers": ("stem",), "layer_weights": (math.nan,)}, "weights are"),
        ({"style_layers": ("stem",), "layer_weights": (-1.0,)}, "weights are"),
        ({"style_weight": -1.0}, "style_weight is -1"),
        ({"content_weight": 0.0, "style_weight": 0.0}, "Neither content nor style"),
        ({"style_layers": ("stem",), "layer_weights": (1.0, 2.0)}, "2 weights for 1 style layers"),
        ({"steps": 0}, "steps is 0"),
        ({"start": "sky"}, "start is 'sky'"),
    ],
)
def test_settings_that_cannot_be_meant_are_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        StyleSettings(**options)


def test_pictures_that_do_not_fit_are_a_sentence() -> None:
    with pytest.raises(ShapeError, match="the style"):
        done(photos(1), style=swirl(48))
    with pytest.raises(ShapeError, match="it needs 16"):
        done(photos(1, side=8), style=swirl(8))
    with pytest.raises(ShapeError, match="expected RGB bytes"):
        done(photos(1).astype(float))
    with pytest.raises(ShapeError, match="expected RGB bytes"):
        done(photos(1)[..., :1])
    with pytest.raises(UnknownNameError, match="stage7"):
        done(photos(1), style_layers=("stage7",))


def test_a_weight_that_leads_out_of_all_numbers_says_so() -> None:
    with pytest.raises(NotFiniteError, match=r"gradients .* not numbers") as caught:
        done(photos(1), style_weight=1e45)
    assert "Lower the style's weight" in caught.value.remedy


def test_a_gradient_is_taken_in_whatever_mode_the_caller_is() -> None:
    network, wanted = toy_network(), done(photos(1), steps=2)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found: Transfer = finish(transfer_style(network, photos(1), swirl(), StyleSettings(**WEIGHT, steps=2)))
        np.testing.assert_array_equal(found.total, wanted.total)
