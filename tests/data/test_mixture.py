import numpy as np
import pytest
import torch

from core.data.arrays import ArrayDataset
from core.data.mixture import Resized, class_groups, mix_datasets
from core.data.transforms import resize
from core.errors import ConfigError


def _part(name: str, count: int, side: int, classes: tuple[str, ...]) -> ArrayDataset:
    random = np.random.default_rng(side)
    images = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return ArrayDataset(
        name=name, split="train", images=images, labels=np.arange(count) % len(classes), classes=classes
    )


SMALL, LARGE = _part("small", 4, 8, ("cat", "dog")), _part("large", 3, 16, ("n1", "n2", "n3"))


def test_classes_and_labels_follow_one_another():
    mixed = mix_datasets([SMALL, LARGE], 16)
    assert mixed.classes == ("cat", "dog", "n1", "n2", "n3")
    assert mixed.labels.tolist() == [0, 1, 0, 1, 2, 3, 4]
    assert class_groups([SMALL, LARGE]).tolist() == [0, 0, 1, 1, 1]
    assert mixed.images.shape == (7, 16, 16, 3)


def test_images_of_the_right_size_stay_exact_and_others_are_resized():
    mixed = mix_datasets([SMALL, LARGE], 16)
    np.testing.assert_array_equal(mixed.images[np.array([6, 4])], LARGE.images[[2, 0]])
    expected = resize(torch.from_numpy(SMALL.images[[1]]).permute(0, 3, 1, 2).float(), 16)
    np.testing.assert_allclose(
        mixed.images[np.array([1])], expected.clamp(0, 255).permute(0, 2, 3, 1).numpy(), atol=0.5001
    )
    assert mixed.images[2].shape == (16, 16, 3)
    assert np.asarray(mixed.images).shape == (7, 16, 16, 3)


def test_repeats_show_a_parts_images_more_often():
    mixed = mix_datasets([SMALL, LARGE], 16, [1, 3])
    assert len(mixed) == 4 + 9
    assert np.bincount(mixed.labels).tolist() == [2, 2, 3, 3, 3]
    np.testing.assert_array_equal(mixed.images[np.array([4])], mixed.images[np.array([7])])


def test_a_constant_image_stays_constant():
    images = np.full((1, 8, 8, 3), 200, dtype=np.uint8)
    assert (Resized(images, 32)[np.array([0])] == 200).all()
    assert (Resized(images, 4)[0] == 200).all()


def test_what_cannot_be_mixed_is_named():
    grey = ArrayDataset(
        name="grey", split="train", images=np.zeros((2, 8, 8, 1), np.uint8), labels=np.zeros(2, int), classes=("0",)
    )
    with pytest.raises(ConfigError, match="grey"):
        mix_datasets([SMALL, grey], 16)
