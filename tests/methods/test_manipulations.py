"""Manipulations: each against somebody else's code or a picture of which the answer is known; all against the laws."""

from __future__ import annotations

import colorsys
import io
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter
from skimage.filters import sobel, threshold_otsu
from torch import Tensor
from torchvision.transforms import v2

from core.errors import ConfigError, NotFiniteError, ShapeError
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.geometry import from_torchvision
from core.methods.manipulations.manipulated import PLAIN, RANDOM, RANDOM_EXTENT, manipulated
from core.methods.manipulations.steps import Step
from tests.examples import examples

NAMES = tuple(MANIPULATIONS)
# Sums over a side are added in another order in another batch.
ROUNDING = 2e-6


def images(count: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, height, width, generator=generator)


def after(pictures: Tensor, *steps: Step, seed: int = 0, keys: range | list[int] | None = None) -> Tensor:
    return manipulated(pictures, steps, seed=seed, keys=range(len(pictures)) if keys is None else keys)


def usual(name: str) -> Step:
    return Step(name, MANIPULATIONS[name].usual)


def grey_of(picture: Tensor) -> np.ndarray:
    return np.tensordot(np.array([0.2989, 0.587, 0.114]), picture.numpy(), axes=1)


# --- The laws ---


def test_every_row_has_a_function_and_a_ladder_with_its_neutral_and_usual_strength():
    assert set(PLAIN) | set(RANDOM) | set(RANDOM_EXTENT) == set(NAMES)
    for row in MANIPULATIONS.values():
        assert list(row.ladder) == sorted(set(row.ladder))
        assert {row.neutral, row.usual} <= set(row.ladder)
        assert row.usual != row.neutral
        assert row.random == (row.name in RANDOM or row.name in RANDOM_EXTENT)
        assert (row.extent is not None) == (row.name in RANDOM_EXTENT)
        assert len(row.names) in (0, len(row.ladder))
        for strength in (*row.ladder, row.lowest, row.highest):
            row.check(strength)


@pytest.mark.parametrize("name", NAMES)
@given(
    count=st.integers(0, 3),
    height=st.integers(8, 48),
    width=st.integers(8, 48),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
@examples(20)
def test_any_size_and_strength_gives_pictures_of_that_size_in_their_range(
    name: str, count: int, height: int, width: int, share: float, seed: int
) -> None:
    row = MANIPULATIONS[name]
    strength = row.lowest + share * (row.highest - row.lowest)
    step = Step(name, round(strength) if row.whole else strength)
    before = images(count, height, width, seed)
    kept = before.clone()
    found = after(before, step, seed=seed)
    assert found.shape == before.shape
    assert found.dtype == torch.float32
    assert bool(torch.isfinite(found).all())
    assert bool(((found >= 0) & (found <= 1)).all())
    assert torch.equal(before, kept)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(256, 256), (9, 200), (8, 8)])
def test_large_and_long_pictures(name: str, size: tuple[int, int]) -> None:
    before = images(1, *size)
    found = after(before, usual(name))
    assert found.shape == before.shape
    assert bool(((found >= 0) & (found <= 1)).all())


@pytest.mark.parametrize("name", NAMES)
def test_the_neutral_strength_changes_nothing_and_the_usual_one_something(name: str) -> None:
    before = images(4)
    assert torch.equal(after(before, Step(name, MANIPULATIONS[name].neutral)), before)
    assert not torch.equal(after(before, usual(name)), before)


@pytest.mark.parametrize("name", NAMES)
@given(order=st.permutations(range(5)), seed=st.integers(0, 99))
@examples(8)
def test_an_image_is_the_same_in_any_batch_and_order(name: str, order: list[int], seed: int) -> None:
    before = images(5, 17, 24)
    together = after(before, usual(name), seed=seed, keys=[70, 3, 11, 0, 5])
    keys = [[70, 3, 11, 0, 5][place] for place in order]
    moved = after(before[list(order)], usual(name), seed=seed, keys=keys)
    assert torch.allclose(moved, together[list(order)], atol=ROUNDING)
    alone = after(before[order[0]][None], usual(name), seed=seed, keys=keys[:1])
    assert torch.allclose(alone[0], together[order[0]], atol=ROUNDING)


@pytest.mark.parametrize("name", [*RANDOM, *RANDOM_EXTENT])
def test_what_is_random_rests_on_seed_and_key(name: str) -> None:
    before = images(1).expand(12, -1, -1, -1)
    first = after(before, usual(name))
    assert torch.equal(first, after(before, usual(name)))
    assert not torch.equal(first, after(before, usual(name), seed=1))
    assert not torch.equal(first, after(before, usual(name), keys=range(20, 32)))
    assert len({picture.numpy().tobytes() for picture in first}) == (3 if name == "digits" else 12)


@pytest.mark.parametrize("first", NAMES)
def test_steps_follow_each_other(first: str) -> None:
    before = images(3)
    for second in ("grey", "scramble", "noise"):
        if second == first:
            continue
        at_once = after(before, usual(first), usual(second))
        in_turn = after(after(before, usual(first)), usual(second))
        assert torch.equal(at_once, in_turn)


def test_the_order_of_steps_counts_and_a_second_noise_is_another_noise():
    before = images(2)
    edges, scramble = usual("edges"), usual("scramble")
    assert not torch.equal(after(before, edges, scramble), after(before, scramble, edges))
    noise = Step("noise", 20)
    grey = torch.full((2, 3, 32, 32), 0.5)
    twice = after(grey, noise, noise) - grey
    # Independent noises: the variance doubles; the same noise again would make it four times as large.
    assert float(twice.std()) == pytest.approx(2**0.5 * 20 / 255, rel=0.05)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (torch.zeros(2, 1, 8, 8), ShapeError),
        (torch.zeros(3, 8, 8), ShapeError),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), ShapeError),
        (torch.full((2, 3, 8, 8), 1.5), ConfigError),
        (torch.full((2, 3, 8, 8), -0.1), ConfigError),
        (torch.full((2, 3, 8, 8), float("nan")), NotFiniteError),
    ],
)
def test_what_is_no_picture_costs_a_sentence(bad: Tensor, error: type[Exception]) -> None:
    with pytest.raises(error):
        manipulated(bad, [usual("grey")], seed=0, keys=[0, 1])


def test_each_image_needs_a_key():
    with pytest.raises(ShapeError, match="2 images need a number each, and got 1"):
        manipulated(images(2), [], seed=0, keys=[0])


# --- Colour ---


def test_greyscale_is_pillows():
    before = images(2)
    found = after(before, Step("grey", 100))
    for picture, grey in zip(before, found, strict=True):
        pixels = (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        assert np.abs(grey.numpy() * 255 - np.asarray(Image.fromarray(pixels).convert("L"))).max() < 1.5
    half = after(before, Step("grey", 50))
    assert torch.allclose(half, (before + found) / 2, atol=1e-6)


@pytest.mark.parametrize("degrees", [-150, -60, 45, 120, 180])
def test_hue_is_that_of_colorsys(degrees: float) -> None:
    before = images(1, 8, 8)
    found = after(before, Step("hue", degrees))[0]
    for row in range(8):
        for column in range(8):
            hue, saturation, value = colorsys.rgb_to_hsv(*before[0, :, row, column].tolist())
            expected = colorsys.hsv_to_rgb((hue + degrees / 360) % 1, saturation, value)
            assert found[:, row, column].tolist() == pytest.approx(expected, abs=1e-4)


def test_channels_change_places():
    before = images(2)
    for number, name in enumerate(MANIPULATIONS["channels"].names):
        found = after(before, Step("channels", number))
        assert torch.equal(found, torch.stack([before[:, "RGB".index(letter)] for letter in name], dim=1))


def test_digits_take_one_of_three_colours_and_what_is_black_stays_black():
    digit = torch.zeros(300, 3, 8, 8)
    digit[:, :, 2:6, 3] = 1
    found = after(digit, Step("digits", 100))
    assert float(found[:, :, 0].max()) == 0
    colours = Counter(tuple(picture[:, 3, 3].tolist()) for picture in found)
    assert set(colours) == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    assert min(colours.values()) > 70
    half = after(digit, Step("digits", 50))
    assert Counter(tuple(sorted(picture[:, 3, 3].tolist())) for picture in half) == {(0.5, 0.5, 1): 300}


@pytest.mark.parametrize(
    ("name", "kind"), [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast)]
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.6])
def test_light_is_pillows(name: str, kind: type, factor: float) -> None:
    before = images(1)
    pixels = (before[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    expected = np.asarray(kind(Image.fromarray(pixels)).enhance(factor)).astype(float)
    found = after(before, Step(name, factor))[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(found - expected).max() < 2.1


def test_noise_has_the_strength_that_it_names_and_is_independent():
    grey = torch.full((40, 3, 32, 32), 0.5)
    noise = after(grey, Step("noise", 25)) - grey
    assert float(noise.std()) * 255 == pytest.approx(25, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=1e-3)
    assert float((noise[:, 0] * noise[:, 1]).mean() / noise.var()) == pytest.approx(0, abs=0.02)
    assert float((noise[..., 1:] * noise[..., :-1]).mean() / noise.var()) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("size", "side"), [((32, 32), 8), ((224, 224), 56), ((20, 80), 10)])
def test_the_patch_is_a_square_of_a_sixteenth_of_the_area(size: tuple[int, int], side: int) -> None:
    grey = torch.full((6, 3, *size), 0.5)
    for name in ("noise_patch", "noise_patch_anywhere"):
        changed = (after(grey, Step(name, 30)) != grey).any(dim=1)
        places = set()
        for picture in changed:
            rows, columns = (torch.where(picture.any(dim=axis))[0] for axis in (1, 0))
            assert (len(rows), len(columns)) == (side, side)
            assert int(picture.sum()) == side * side  # and nothing else
            places.add((int(rows[0]), int(columns[0])))
        assert len(places) == 1 if name == "noise_patch" else len(places) > 1
    inside = (after(grey, Step("noise_patch", 30)) - grey)[(after(grey, Step("noise_patch", 30)) != grey)]
    assert float(inside.std()) * 255 == pytest.approx(30, rel=0.08)


def test_a_patch_of_the_whole_area_is_noise_all_over():
    grey = torch.full((1, 3, 16, 16), 0.5)
    assert bool((after(grey, Step("noise_patch", 30, 1.0)) != grey).all())


def test_places_of_patches_reach_every_corner():
    grey = torch.full((300, 3, 9, 12), 0.5)
    changed = (after(grey, Step("noise_patch_anywhere", 30, 0.1)) != grey).any(dim=1).any(dim=0)
    assert bool(changed.all())


@pytest.mark.parametrize("lost", [20, 60, 90, 99])
def test_jpeg_is_pillows(lost: int) -> None:
    smooth = torch.nn.functional.interpolate(images(1, 5, 5), (40, 48), mode="bicubic").clamp(0, 1)
    pixels = (smooth[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=100 - lost)
    expected = np.asarray(Image.open(file)).astype(float)
    found = after(smooth, Step("jpeg", lost))[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(found - expected).max() < 3


# --- Place and detail ---


@pytest.mark.parametrize("name", ["scramble", "channels"])
@given(height=st.integers(8, 40), width=st.integers(8, 40), seed=st.integers(0, 5))
@examples(20)
def test_every_value_is_kept(name: str, height: int, width: int, seed: int) -> None:
    row = MANIPULATIONS[name]
    before = images(2, height, width)
    for strength in row.ladder:
        found = after(before, Step(name, strength), seed=seed)
        axes = (2, 3) if name == "scramble" else (1, 2, 3)  # of every channel, or of all three
        assert torch.equal(*(each.flatten(axes[0]).sort(dim=-1).values for each in (found, before)))


def tiles_of(picture: Tensor, grid: int) -> list[bytes]:
    rows = picture.chunk(grid, dim=1)
    return [tile.numpy().tobytes() for row in rows for tile in row.chunk(grid, dim=2)]


def test_scrambled_tiles_are_whole_tiles_elsewhere_and_no_picture_is_left_as_it_was():
    before = images(60)
    for grid in (2, 4, 8):
        found = after(before, Step("scramble", grid))
        fixed = []
        for old, new in zip(before, found, strict=True):
            tiles = [tiles_of(each, grid) for each in (old, new)]
            assert sorted(tiles[0]) == sorted(tiles[1])
            assert tiles[0] != tiles[1]
            fixed.append(sum(a == b for a, b in zip(*tiles, strict=True)))
        # One tile stays where it was, on average, in a random order; a little less without the identity.
        assert np.mean(fixed) == pytest.approx(1, abs=0.45)


def test_a_grid_of_two_tiles_by_one_pixel_is_never_the_identity():
    # Of the 24 orders of four tiles one is the identity: among 500 pictures it would be drawn about 20 times.
    before = images(500, 2, 2)
    found = after(before, Step("scramble", 2))
    assert not (found == before).flatten(1).all(dim=1).any()


def test_tiles_that_do_not_fill_a_side_leave_a_rim():
    before = images(1, 34, 32)
    found = after(before, Step("scramble", 8))
    assert torch.equal(found[:, :, [0, 33]], before[:, :, [0, 33]])
    assert not torch.equal(found[:, :, 1:33], before[:, :, 1:33])


def ramp(size: int) -> Tensor:
    """Red tells the column and green the row, in shares of the side."""
    place = (torch.arange(size) + 0.5) / size
    return torch.stack([place.expand(size, size), place[:, None].expand(size, size), torch.zeros(size, size)])[None]


def moved_by(found: Tensor, size: int) -> float:
    """Root mean square displacement along an axis, in pixels, away from the border."""
    rim = size // 4
    inner = (found - ramp(size))[:, :2, rim:-rim, rim:-rim]
    return float(inner.square().mean().sqrt()) * size


@pytest.mark.parametrize("size", [32, 96])
@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_elastic_moves_pixels_as_far_as_it_says_at_any_size(size: int, strength: float) -> None:
    found = after(ramp(size).expand(60, -1, -1, -1), Step("elastic", strength))
    assert moved_by(found, size) == pytest.approx(strength / 100 * size, rel=0.08)


def test_elastic_moves_pixels_as_far_as_torchvision_does():
    size, alpha, sigma = 64, 60.0, 4.0
    strength, smoothness = from_torchvision(alpha, sigma, size)
    torch.manual_seed(0)
    theirs = torch.cat([v2.ElasticTransform(alpha, sigma)(ramp(size)) for _ in range(60)])
    ours = after(ramp(size).expand(60, -1, -1, -1), Step("elastic", strength, smoothness))
    assert moved_by(ours, size) == pytest.approx(moved_by(theirs, size), rel=0.08)
    # And as smoothly: neighbours move alike.
    steps = [
        float((each - ramp(size))[:, :2, 16:-16, 16:-16].diff(dim=-1).square().mean().sqrt()) for each in (ours, theirs)
    ]
    assert steps[0] == pytest.approx(steps[1], rel=0.1)


def test_elastic_leaves_a_plain_picture_plain():
    plain = torch.full((3, 3, 20, 33), 0.3)
    assert torch.allclose(after(plain, Step("elastic", 12)), plain, atol=1e-6)


@pytest.mark.parametrize("deviation", [0.5, 1.5, 4.0])
def test_blur_is_scipys_away_from_the_border(deviation: float) -> None:
    before = images(1, 80, 72)
    found = after(before, Step("blur", deviation))[0].numpy()
    expected = gaussian_filter(before[0].numpy(), (0, deviation, deviation), truncate=8)
    rim = int(5 * deviation) + 1
    assert np.abs(found - expected)[:, rim:-rim, rim:-rim].max() < 1e-3
    plain = torch.full((1, 3, 9, 30), 0.7)
    assert torch.allclose(after(plain, Step("blur", deviation)), plain, atol=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (13, 22)])
@pytest.mark.parametrize("side", [2, 5, 32])
def test_pixelated_squares_show_their_mean(size: tuple[int, int], side: int) -> None:
    before = images(2, *size)
    found = after(before, Step("pixelate", side))
    for top in range(0, size[0], side):
        for left in range(0, size[1], side):
            square = (..., slice(top, top + side), slice(left, left + side))
            mean = before[square].mean(dim=(2, 3), keepdim=True)
            assert torch.allclose(found[square], mean.expand_as(found[square]), atol=1e-5)


# --- Lines ---


@pytest.mark.parametrize("seed", range(6))
def test_a_silhouette_parts_at_otsus_threshold(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Two kinds of brightness, with noise; the border is of the first kind.
    before = torch.full((1, 3, 24, 30), 0.25 if seed % 2 else 0.7)
    before[:, :, 6:15, 8:20] = 0.6 if seed % 2 else 0.3
    before = (before + 0.08 * torch.randn(1, 1, 24, 30, generator=generator)).clamp(0, 1)
    grey = (grey_of(before[0]) * 255).round().astype(int)
    dark = grey <= threshold_otsu(grey)
    expected = dark if seed % 2 == 0 else ~dark  # the object is in the middle, and black whatever it was
    found = after(before, Step("silhouette", 100))
    assert np.array_equal(found[0, 0].numpy() == 0, expected)
    assert set(found.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("name", ["silhouette", "edges"])
def test_a_picture_of_one_colour_turns_white(name: str) -> None:
    plain = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(1, 3, 12, 12).contiguous()
    assert float(after(plain, Step(name, 100)).min()) > 1 - 1e-5
    assert torch.allclose(after(plain, Step(name, 25)), plain + (1 - plain) / 4, atol=1e-6)


def test_edges_are_scikit_images_sobel():
    before = images(1, 20, 26)
    steep = sobel(grey_of(before[0]), mode="nearest")
    expected = 1 - steep / steep.max()
    assert np.abs(after(before, Step("edges", 100))[0, 1].numpy() - expected).max() < 2e-3


def test_faint_edges_are_drawn_faintly():
    before = torch.full((1, 3, 16, 16), 0.5)
    before[..., 8:] += 1 / 255
    assert float(after(before, Step("edges", 100)).min()) > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_many_images_are_done_in_parts_that_nobody_sees(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, keys = images(7), [5, 2, 9, 0, 1, 30, 4]
    whole = after(before, usual(name), usual("scramble"), keys=keys)
    monkeypatch.setattr("core.methods.manipulations.manipulated.TOGETHER", 2 * 3 * 32 * 32 + 5)
    assert torch.allclose(after(before, usual(name), usual("scramble"), keys=keys), whole, atol=ROUNDING)
