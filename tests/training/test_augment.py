import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.training.augment import _crop, _flip, augment

REGIMES = ("none", "crop_flip", "crop_flip_erase")


def _images(count: int = 8, side: int = 16, seed: int = 0) -> Tensor:
    # Above 0 everywhere, so that padding can be told from pixels.
    return 0.1 + 0.9 * torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(regime=st.sampled_from(REGIMES), seed=st.integers(0, 99), side=st.sampled_from([8, 16, 28, 32]))
@settings(deadline=None)
def test_shape_range_and_input_are_kept(regime, seed, side):
    images = _images(side=side)
    before = images.clone()
    augmented = augment(images, regime, _generator(seed))
    assert augmented.shape == images.shape
    assert augmented.dtype == images.dtype
    assert augmented.min() >= 0
    assert augmented.max() <= 1
    assert torch.equal(images, before)


def test_none_is_the_identity_and_draws_nothing():
    generator = _generator(0)
    state = generator.get_state()
    images = _images()
    assert torch.equal(augment(images, "none", generator), images)
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("regime", REGIMES[1:])
def test_the_generator_alone_decides(regime):
    images = _images()
    torch.manual_seed(1)
    first = augment(images, regime, _generator(3))
    torch.manual_seed(2)
    assert torch.equal(augment(images, regime, _generator(3)), first)
    assert not torch.equal(augment(images, regime, _generator(4)), first)


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
            for top in range(5)
            for left in range(5)
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
            assert torch.allclose(after[:, mask], before.mean(), atol=1e-6)
