import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from core.data.transforms import CIFAR10_NORMALISATION, HALF_NORMALISATION, normalise
from core.errors import ConfigError, ShapeError
from core.methods.accuracy.targets import Target, pick_target
from core.methods.masking.masking import mask_patches, masked_pixels, masked_responses, masking_curve, random_band
from core.methods.masking.orders import (
    PUBLISHED,
    keep_for_setting,
    keep_from_order,
    keep_from_patches,
    masking_order,
    removal_shares,
    scores_on_grid,
)
from core.methods.masking.passes import Passes
from core.models.vit import ViT, ViTConfig

GRIDS = st.tuples(st.integers(1, 9), st.integers(1, 9))
FILLS = ("mean", "blur", "black", "noise")


class Brightness(nn.Module):
    """Two classes; the probability of the second is the share of white pixels."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += len(images)
        white = ((images.mean(dim=(1, 2, 3)) + 1) / 2).clamp(1e-6, 1 - 1e-6)
        return torch.stack([(1 - white).log(), white.log()], dim=1)


@pytest.fixture(scope="module")
def vit() -> ViT:
    torch.manual_seed(0)
    return ViT(ViTConfig(image_size=16, patch_size=4, embed_dim=32, depth=2, num_heads=2)).eval()


@given(
    grid=GRIDS, height=st.integers(9, 40), width=st.integers(9, 40), seed=st.integers(0, 9), fill=st.sampled_from(FILLS)
)
@settings(max_examples=40, deadline=None)
def test_kept_pixels_are_untouched_and_every_patch_owns_pixels(grid, height, width, seed, fill):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, height, width, generator=generator)
    before = images.clone()
    keep = torch.rand(2, *grid, generator=generator) < 0.5
    masked = mask_patches(images, keep, fill, normalisation=CIFAR10_NORMALISATION, seed=seed)
    assert torch.equal(images, before)
    row = torch.arange(height) * grid[0] // height
    column = torch.arange(width) * grid[1] // width
    assert set(row.tolist()) == set(range(grid[0]))
    inside = keep[:, row][:, :, column][:, None].expand_as(images)
    assert torch.equal(masked[inside], images[inside])
    assert torch.isfinite(masked).all()


@pytest.mark.parametrize("fill", FILLS)
def test_all_kept_is_the_image_and_patch_sizes_differ_by_at_most_a_pixel(fill):
    image = torch.randn(1, 3, 32, 30)
    masked = mask_patches(image, torch.ones(1, 7, 8, dtype=torch.bool), fill, normalisation=HALF_NORMALISATION)
    assert torch.equal(masked, image)
    sizes = np.bincount(np.arange(32) * 7 // 32)
    assert sizes.max() - sizes.min() == 1


def test_fills_show_what_they_say():
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    gone = torch.zeros(1, 4, 4, dtype=torch.bool)

    def fill(kind: str, seed: int = 0) -> Tensor:
        return mask_patches(image, gone, kind, normalisation=HALF_NORMALISATION, seed=seed)

    assert torch.allclose(fill("mean"), image.mean(dim=(2, 3), keepdim=True).expand_as(image))
    assert torch.all(fill("black") == -1)  # 0 before normalising
    noise = fill("noise")
    assert noise.min() >= -1
    assert noise.max() <= 1
    assert torch.equal(noise, fill("noise"))
    assert not torch.equal(noise, fill("noise", seed=1))
    assert fill("blur").std() < image.std() / 2
    constant = torch.full((1, 3, 16, 16), 0.3)
    blurred = mask_patches(constant, gone, "blur", normalisation=HALF_NORMALISATION)
    assert torch.allclose(blurred, constant, atol=1e-6)


def test_black_and_noise_respect_each_channel():
    image, gone = torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 2, dtype=torch.bool)
    black = mask_patches(image, gone, "black", normalisation=CIFAR10_NORMALISATION)[0, :, 0, 0]
    expected = -torch.tensor(CIFAR10_NORMALISATION.mean) / torch.tensor(CIFAR10_NORMALISATION.std)
    assert torch.allclose(black, expected)


def test_one_image_meets_many_masks_like_many_copies():
    image, keep = torch.randn(1, 3, 16, 16), torch.rand(5, 4, 4) < 0.5
    once = mask_patches(image, keep, "noise", normalisation=HALF_NORMALISATION)
    copies = mask_patches(image.repeat(5, 1, 1, 1), keep, "noise", normalisation=HALF_NORMALISATION)
    assert torch.equal(once, copies)


def test_wrong_masks_are_refused():
    with pytest.raises(ShapeError, match="3 images"):
        mask_patches(
            torch.zeros(3, 3, 8, 8), torch.ones(2, 2, 2, dtype=torch.bool), "mean", normalisation=HALF_NORMALISATION
        )
    with pytest.raises(ShapeError, match="more patches"):
        mask_patches(
            torch.zeros(1, 3, 8, 8), torch.ones(1, 9, 9, dtype=torch.bool), "mean", normalisation=HALF_NORMALISATION
        )


@given(grid=GRIDS, strategy=st.sampled_from(["most_attended", "least_attended", "random", "centre"]), data=st.data())
@settings(max_examples=60, deadline=None)
def test_an_order_is_a_permutation_and_is_the_same_again(grid, strategy, data):
    scores = np.random.default_rng(data.draw(st.integers(0, 9))).integers(0, 4, size=grid).astype(float)
    order = masking_order(strategy, grid, scores=scores, seed=3)
    assert np.array_equal(np.sort(order), np.arange(grid[0] * grid[1]))
    assert np.array_equal(order, masking_order(strategy, grid, scores=scores, seed=3))
    if strategy == "most_attended":
        assert np.all(np.diff(scores.ravel()[order]) <= 0)
    if strategy == "least_attended":
        assert np.all(np.diff(scores.ravel()[order]) >= 0)


@given(grid=GRIDS)
def test_the_centre_block_grows_in_rings(grid):
    order = masking_order("centre", grid)
    row, column = np.divmod(order, grid[1])
    ring = np.maximum(np.abs(row - (grid[0] - 1) / 2), np.abs(column - (grid[1] - 1) / 2))
    assert np.all(np.diff(ring) >= 0)


def test_the_centre_of_an_even_grid_is_a_square():
    keep = keep_for_setting(PUBLISHED["centre"], (8, 8))
    expected = np.ones((8, 8), dtype=bool)
    expected[2:6, 2:6] = False
    assert np.array_equal(keep, expected)


@pytest.mark.parametrize(("name", "kept"), [("keep_70", 0.7), ("keep_40", 0.4)])
@pytest.mark.parametrize("grid", [(14, 14), (8, 8), (7, 7)])
def test_published_settings_keep_what_they_promise(name, kept, grid):
    keep = keep_for_setting(PUBLISHED[name], grid, seed=1)
    assert abs(keep.mean() - kept) <= 0.5 / keep.size
    assert not np.array_equal(keep, keep_for_setting(PUBLISHED[name], grid, seed=2))


@given(grid=GRIDS, share=st.floats(0, 1))
def test_keep_from_order_removes_the_first_share(grid, share):
    order = np.random.default_rng(0).permutation(grid[0] * grid[1])
    keep = keep_from_order(order, share, grid)
    assert keep.shape == grid
    removed = round(share * order.size)
    assert not keep.ravel()[order[:removed]].any()
    assert keep.ravel()[order[removed:]].all()


def test_hand_picked_patches_and_errors():
    assert np.array_equal(keep_from_patches([0, 3], (2, 2)), [[False, True], [True, False]])
    assert keep_from_patches([], (2, 2)).all()
    with pytest.raises(ConfigError, match="0 to 3"):
        keep_from_patches([4], (2, 2))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        keep_from_order(np.arange(4), 1.5, (2, 2))
    with pytest.raises(ConfigError, match="needs a score"):
        masking_order("most_attended", (2, 2))
    with pytest.raises(ShapeError, match="2×2"):
        masking_order("most_attended", (2, 2), scores=np.ones((3, 3)))


@given(patches=st.integers(1, 300), steps=st.integers(1, 50))
def test_shares_are_whole_patches_from_none_to_all(patches, steps):
    shares = removal_shares(patches, steps)
    assert shares.shape == (steps + 1,)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert np.allclose(shares * patches, np.round(shares * patches))
    assert np.all(np.diff(shares) >= 0)


def test_scores_move_to_another_grid_without_moving_in_space():
    coarse = np.zeros((7, 7), dtype=np.float32)
    coarse[0, 6] = 1
    fine = scores_on_grid(coarse, (14, 14))
    assert fine.shape == (14, 14)
    assert np.unravel_index(fine.argmax(), fine.shape) == (0, 13)
    assert scores_on_grid(np.ones((14, 14)), (4, 5)) == pytest.approx(1)
    assert scores_on_grid(coarse, (7, 7)) is coarse


def test_the_curve_of_a_brightness_meter_is_a_line():
    """A white image masked black: its probability of white is exactly the share that is left."""
    image = torch.ones(1, 3, 16, 16)
    order = masking_order("random", (4, 4), seed=0)
    curve = masking_curve(
        Brightness(), image, Target(1), order, grid=(4, 4), fill="black", steps=8, normalisation=HALF_NORMALISATION
    )
    assert curve.shares == pytest.approx(np.linspace(0, 1, 9))
    assert curve.confidence == pytest.approx(1 - curve.shares, abs=1e-5)
    assert curve.top_class[[0, -1]].tolist() == [1, 0]
    assert curve.top_probability == pytest.approx(np.maximum(curve.confidence, 1 - curve.confidence), abs=1e-5)


def test_batching_changes_nothing_and_progress_ends_at_one(vit):
    image = torch.randn(1, 3, 16, 16)
    order = masking_order("centre", (4, 4))
    target = pick_target(vit, image)
    said = []
    options = {"grid": (4, 4), "steps": 8, "normalisation": HALF_NORMALISATION, "fill": "noise"}
    one = masking_curve(vit, image, target, order, passes=Passes(batch_size=1), **options)
    options |= {"on_progress": lambda *told: said.append(told)}
    all_ = masking_curve(vit, image, target, order, passes=Passes(batch_size=64), **options)
    for field in dataclasses.fields(one):
        assert getattr(one, field.name) == pytest.approx(getattr(all_, field.name), abs=1e-6)
    assert said[-1][0] == 1
    with torch.inference_mode():
        assert one.confidence[0] == pytest.approx(float(vit(image).softmax(1)[0, target.class_index]), abs=1e-6)


def test_equal_masks_are_computed_once():
    module = Brightness()
    keeps = np.ones((10, 2, 2), dtype=bool)
    keeps[5:, 0, 0] = False
    responses = masked_responses(
        module, torch.ones(1, 3, 8, 8), Target(1), keeps, fill="black", normalisation=HALF_NORMALISATION
    )
    assert module.calls == 2
    assert responses.confidence == pytest.approx([1] * 5 + [0.75] * 5, abs=1e-5)


def test_what_is_known_is_not_asked_again_and_what_was_asked_before_a_stop_is_known():
    module, known, turns = Brightness(), {}, []
    keeps = np.array([[[share]] for share in (True, False)])

    @contextmanager
    def turn() -> Iterator[None]:
        turns.append(module.calls)
        yield

    def stop(share: float, _text: str) -> None:
        raise InterruptedError

    options = {"fill": "black", "normalisation": HALF_NORMALISATION}
    passes = Passes(batch_size=1, known=known, turn=turn)
    image = torch.ones(1, 3, 8, 8)
    with pytest.raises(InterruptedError):
        masked_responses(module, image, Target(1), keeps, passes=passes, on_progress=stop, **options)
    assert module.calls == 1
    found = masked_responses(module, image, Target(1), keeps, passes=passes, **options)
    assert (module.calls, turns) == (2, [0, 1])  # each batch in a turn of its own
    again = masked_responses(module, image, Target(1), keeps[::-1], passes=passes, on_progress=stop, **options)
    assert module.calls == 2
    assert again.confidence.tolist() == found.confidence[::-1].tolist()
    assert found.confidence == pytest.approx([1, 0], abs=1e-5)


def test_what_another_asked_while_one_waited_for_the_model_is_not_asked_again():
    module, known = Brightness(), {}
    keep = np.ones((1, 1, 1), dtype=bool)

    @contextmanager
    def turn() -> Iterator[None]:
        known[keep.tobytes()] = (0.5, 1, 0.5)
        yield

    passes = Passes(known=known, turn=turn)
    found = masked_responses(
        module, torch.ones(1, 3, 8, 8), Target(1), keep, normalisation=HALF_NORMALISATION, passes=passes
    )
    assert (module.calls, found.confidence.tolist()) == (0, [0.5])


def test_an_embedding_target_has_no_classes_and_starts_at_one(vit):
    image = torch.randn(1, 3, 16, 16)
    target = pick_target(vit, image, classifier=False)
    order = masking_order("random", (4, 4))
    curve = masking_curve(vit, image, target, order, grid=(4, 4), steps=4, normalisation=HALF_NORMALISATION)
    assert curve.top_class is None
    assert curve.confidence[0] == pytest.approx(1, abs=1e-5)


def test_the_random_band_is_its_orders_and_starts_and_ends_without_spread(vit):
    image = torch.randn(1, 3, 16, 16)
    target = pick_target(vit, image)
    options = {"grid": (4, 4), "steps": 4, "normalisation": HALF_NORMALISATION}
    band = random_band(vit, image, target, orders=3, seed=5, **options)
    assert band.seeds == (5, 6, 7)
    assert band.std[[0, -1]] == pytest.approx(0, abs=1e-7)
    for row, seed in zip(band.curves, band.seeds, strict=True):
        alone = masking_curve(vit, image, target, masking_order("random", (4, 4), seed=seed), **options)
        assert row == pytest.approx(alone.confidence, abs=1e-6)
    assert band.mean == pytest.approx(band.curves.mean(axis=0))
    assert band.std == pytest.approx(band.curves.std(axis=0, ddof=1))


def test_a_batch_is_refused(vit):
    with pytest.raises(ShapeError, match="one image"):
        masked_responses(
            vit, torch.zeros(2, 3, 16, 16), Target(0), np.ones((1, 4, 4), dtype=bool), normalisation=HALF_NORMALISATION
        )


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("seed", [0, 3])
def test_the_picture_is_made_of_the_pixels_that_are_measured(fill, seed):
    """The normalisation undone gives whole bytes again: kept ones are the photo's, the others the filling's."""
    photo = np.random.default_rng(1).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    batch = normalise(torch.from_numpy(photo), CIFAR10_NORMALISATION)
    keep = np.random.default_rng(2).random((4, 4)) < 0.5
    seen = []

    class Spy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return torch.zeros(len(images), 2)

    masked_responses(Spy(), batch, Target(0), keep[None], fill=fill, normalisation=CIFAR10_NORMALISATION, seed=seed)
    drawn = masked_pixels(batch, keep, fill, normalisation=CIFAR10_NORMALISATION, seed=seed)
    again = normalise(torch.from_numpy(drawn[None]), CIFAR10_NORMALISATION)
    half_a_byte = 0.51 / 255 / min(CIFAR10_NORMALISATION.std)
    assert float((again - seen[0]).abs().max()) <= half_a_byte
    wide = np.kron(keep, np.ones((4, 4), dtype=bool))
    assert (drawn[wide] == photo[0][wide]).all()
    if fill == "mean":
        assert np.abs(drawn[~wide] - photo.mean(axis=(0, 1, 2))).max() <= 0.51
