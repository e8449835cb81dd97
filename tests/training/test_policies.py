"""Against torchvision: its own operations, spaces of magnitudes, policies, and whole transforms under equal draws."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from core.training.policies import (
    AUTOAUGMENT_CIFAR10,
    OPERATIONS,
    RANDAUGMENT,
    apply_grouped,
    autoaugment,
    magnitude,
    randaugment,
)

AUTO = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)
RAND = v2.RandAugment()


def _images(count: int = 6, channels: int = 3, seed: int = 0) -> Tensor:
    """Smooth pictures of unequal contrast: noise alone would hide what equalising and sharpening do."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, channels, 6, 5), generator=generator).float()
    images = torch.nn.functional.interpolate(coarse, (32, 28), mode="bilinear")
    return (images * torch.linspace(0.3, 1, count)[:, None, None, None]).byte()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_torchvisions(name, channels):
    images = _images(channels=channels)
    for level in (0, 4, 9):
        strength = magnitude(name, level, 10, 32, 28)
        for signed in {strength, -strength} if name not in ("Posterize", "Solarize") else {strength}:
            ours = OPERATIONS[name](images, signed)
            for image, result in zip(images, ours, strict=True):
                theirs = AUTO._apply_image_or_video_transform(
                    image, name, signed, interpolation=AUTO.interpolation, fill=AUTO._fill
                )
                assert torch.equal(result, theirs)


def test_every_operation_but_the_identity_does_something():
    images = _images()
    for name in OPERATIONS:
        changed = not torch.equal(OPERATIONS[name](images, magnitude(name, 6, 10, 32, 28)), images)
        assert changed == (name != "Identity"), name


@pytest.mark.parametrize(("transform", "levels"), [(AUTO, 10), (RAND, 31)])
def test_magnitudes_and_signs_are_torchvisions(transform, levels):
    from core.training.policies import _SIGNED

    for name, (space, signed) in transform._AUGMENTATION_SPACE.items():
        theirs = space(levels, 32, 28)
        for level in range(levels):
            expected = 0.0 if theirs is None else float(theirs[level])
            assert magnitude(name, level, levels, 32, 28) == expected
        assert (name in _SIGNED) == signed


def test_the_tables_are_torchvisions():
    assert set(RANDAUGMENT) == set(RAND._AUGMENTATION_SPACE)
    theirs = [tuple((name, share, level or 0) for name, share, level in policy) for policy in AUTO._policies]
    assert list(AUTOAUGMENT_CIFAR10) == theirs


def test_each_image_gets_what_it_chose():
    images = _images(60)
    table = [("Identity", 0.0), ("Rotate", 20.0), ("Invert", 0.0), ("Brightness", 0.5)]
    choice = torch.arange(60) % 5 - 1
    negative = torch.arange(60) % 2 == 0
    done = apply_grouped(images, table, choice, negative)
    for image, result, row, minus in zip(images, done, choice.tolist(), negative.tolist(), strict=True):
        name, strength = ("Identity", 0.0) if row < 0 else table[row]
        expected = OPERATIONS[name](image[None], -strength if minus and name != "Invert" else strength)[0]
        assert torch.equal(result, expected)


def test_randaugment_is_two_even_draws_at_magnitude_nine(monkeypatch):
    calls = []

    def record(images, table, choice, negative):
        calls.append((dict(table), choice, negative))
        return images

    monkeypatch.setattr("core.training.policies.apply_grouped", record)
    randaugment(_images(2800), torch.Generator().manual_seed(0))
    assert len(calls) == 2
    for table, choice, negative in calls:
        assert table == {name: magnitude(name, 9, 31, 32, 28) for name in RANDAUGMENT}
        assert torch.bincount(choice, minlength=14).min() > 140  # 200 expected
        assert 0.45 < negative.float().mean() < 0.55


def test_autoaugment_takes_both_steps_of_one_policy_with_their_probabilities(monkeypatch):
    steps = []

    def record(images, table, choice, negative):
        steps.append([table[row] if row >= 0 else None for row in choice.tolist()])
        return images

    monkeypatch.setattr("core.training.policies.apply_grouped", record)
    count = 20_000
    autoaugment(torch.zeros(count, 3, 32, 28, dtype=torch.uint8), torch.Generator().manual_seed(0))
    for step, done in enumerate(steps):
        expected: dict[str, float] = {}
        for policy in AUTOAUGMENT_CIFAR10:
            name, share, level = policy[step]
            key = f"{name} {magnitude(name, level, 10, 32, 28)}"
            expected[key] = expected.get(key, 0) + share / 25
        for key, share in expected.items():
            measured = sum(each is not None and f"{each[0]} {each[1]}" == key for each in done) / count
            assert measured == pytest.approx(share, abs=4 * (share / count) ** 0.5 + 1e-9), key
    # Both steps belong to the same policy.
    pairs = {(a[0], b[0]) for a, b in zip(*steps, strict=True) if a and b}
    assert pairs <= {(first[0], second[0]) for first, second in AUTOAUGMENT_CIFAR10}
