import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.errors import ConfigError
from core.training.augment import REGIMES, _boxes, _crop, _flip, augment, mix


def _images(count: int = 8, side: int = 16, seed: int = 0, channels: int = 3) -> Tensor:
    # Above 0 everywhere, so that padding can be told from pixels.
    generator = _generator(seed)
    return torch.randint(1, 256, (count, channels, side, side), generator=generator, dtype=torch.uint8)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(
    regime=st.sampled_from(list(REGIMES)), seed=st.integers(0, 99), side=st.sampled_from([8, 28]),
    channels=st.sampled_from([1, 3]),
)  # fmt: skip
@settings(deadline=None, max_examples=50)
def test_shape_type_and_input_are_kept(regime, seed, side, channels):
    images = _images(side=side, channels=channels)
    before = images.clone()
    augmented = augment(images, regime, _generator(seed))
    assert augmented.shape == images.shape
    assert augmented.dtype == torch.uint8
    assert torch.equal(images, before)


def test_none_is_the_identity_and_draws_nothing():
    generator = _generator(0)
    state = generator.get_state()
    images = _images()
    assert torch.equal(augment(images, "none", generator), images)
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("regime", list(REGIMES)[1:])
def test_the_generator_alone_decides(regime):
    images = _images()
    torch.manual_seed(1)
    first = augment(images, regime, _generator(3))
    torch.manual_seed(2)
    assert torch.equal(augment(images, regime, _generator(3)), first)
    assert not torch.equal(augment(images, regime, _generator(4)), first)


def test_the_regimes_are_what_their_names_say():
    assert [name for name, each in REGIMES.items() if not each.flip] == ["none"]
    assert [name for name, each in REGIMES.items() if not each.crop] == ["none", "flip"]
    assert [name for name, each in REGIMES.items() if each.mix] == ["mix", "strong"]
    assert {name: each.policy for name, each in REGIMES.items() if each.policy != "none"} == {
        "randaugment": "randaugment",
        "autoaugment": "autoaugment",
        "strong": "randaugment",
    }
    assert {name: each.erase for name, each in REGIMES.items() if each.erase != "none"} == {
        "crop_flip_erase": "cutout",
        "strong": "random",
    }


def test_about_half_are_mirrored_and_the_rest_untouched():
    images = _images(400)
    flipped = _flip(images, _generator(0))
    same = (flipped == images).flatten(1).all(dim=1)
    mirrored = (flipped == images.flip(-1)).flatten(1).all(dim=1)
    assert torch.all(same ^ mirrored)
    assert 150 < int(mirrored.sum()) < 250


def test_a_crop_is_a_shift_of_the_padded_image():
    images = _images(300)
    cropped = _crop(images, _generator(0))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    seen = set()
    for image, crop in zip(padded, cropped, strict=True):
        places = [
            (top, left)
            for top, left in itertools.product(range(5), range(5))
            if torch.equal(image[:, top : top + 16, left : left + 16], crop)
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 25  # both margins are reached, on both axes


def test_about_half_are_erased_to_their_mean_in_a_square():
    images = _images(200)
    plain = augment(images, "crop_flip", _generator(0))
    erased = augment(images, "crop_flip_erase", _generator(0))
    changed = (plain != erased).any(dim=1)
    share = changed.flatten(1).any(dim=1).float().mean()
    assert 0.4 < share < 0.6
    for before, after, mask in zip(plain, erased, changed, strict=True):
        if mask.any():
            rows, columns = mask.nonzero().T
            assert rows.max() - rows.min() < 8
            assert columns.max() - columns.min() < 8
            assert torch.all((after[:, mask].float() - before.float().mean()).abs() <= 0.5)


def test_random_erasing_has_the_papers_areas_and_stays_inside():
    from core.training.augment import _erase

    images = _images(2000)
    changed = (_erase(images, _generator(0)) != images).any(dim=1)
    areas = changed.flatten(1).float().mean(dim=1)
    erased = areas > 0
    assert 0.2 < erased.float().mean() < 0.3
    # Pixels that had the mean already count as unchanged, and sides are whole pixels: 1 x 3 is the smallest here.
    assert areas[erased].min() >= 3 / 256
    assert areas[erased].max() <= 0.4
    assert areas[erased].mean() == pytest.approx((0.02 + 0.33) / 2, rel=0.1)
    # All four borders are reached.
    assert all(changed[:, place].any() for place in (0, -1))
    assert all(changed[:, :, place].any() for place in (0, -1))


def test_policies_need_grey_or_rgb():
    with pytest.raises(ConfigError, match="got 4"):
        augment(_images(channels=4), "randaugment", _generator(0))


def _mixed(count: int = 400) -> tuple[Tensor, Tensor]:
    """Image i is filled with i and belongs to class i, so that images and targets tell who was mixed how."""
    values = torch.arange(count, dtype=torch.float32)
    images = values[:, None, None, None].expand(count, 1, 16, 16)
    return mix(images, torch.eye(count), _generator(0))


def test_targets_say_how_much_of_each_image_is_in_the_picture():
    images, targets = _mixed()
    assert torch.allclose(targets.sum(dim=1), torch.ones(len(targets)), atol=1e-6)
    expected = targets @ torch.arange(len(targets), dtype=torch.float32)
    # Mean pixel value and target agree exactly when CutMix counts the clipped box.
    assert torch.allclose(images.mean(dim=(1, 2, 3)), expected, atol=1e-2)
    partner = targets.flip(1).diagonal()
    assert torch.allclose(partner + targets.diagonal(), torch.ones(len(targets)), atol=1e-6)


def test_half_are_blended_and_half_are_cut():
    images, _ = _mixed()
    kinds = torch.tensor([len(image.unique()) for image in images])
    assert set(kinds.tolist()) <= {1, 2}
    # One value: blended, or a box that is empty or everything.
    assert 150 < int((kinds == 2).sum()) < 230


def test_a_box_is_clipped_and_its_area_measured():
    # λ = 0.75: half of either side, a quarter of the area if it fits.
    share, inside = _boxes(torch.full((500,), 0.75), 16, 16, _generator(0), torch.device("cpu"))
    assert torch.equal(share, inside.float().mean(dim=(1, 2)))
    assert share.max() == pytest.approx(0.25, abs=0.04)
    assert share.min() < 0.12  # clipped at a corner


def test_mixing_changes_no_input_and_follows_the_generator():
    images, targets = torch.rand(8, 3, 8, 8), torch.eye(8)
    before = images.clone(), targets.clone()
    first = mix(images, targets, _generator(1))
    again = mix(images, targets, _generator(1))
    assert torch.equal(images, before[0])
    assert torch.equal(targets, before[1])
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


@pytest.mark.parametrize("regime", REGIMES)
def test_images_never_leave_their_device(regime):
    """The meta device stands in for a GPU: mixing it with the CPU's tensors fails."""
    images = torch.zeros(16, 3, 32, 32, dtype=torch.uint8, device="meta")
    augmented = augment(images, regime, _generator(0))
    mixed, targets = mix(augmented.float(), torch.zeros(16, 10, device="meta"), _generator(0))
    assert {each.device.type for each in (augmented, mixed, targets)} == {"meta"}
