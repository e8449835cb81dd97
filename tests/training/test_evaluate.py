import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import Tensor, nn

from core.data.arrays import ArrayDataset
from core.data.transforms import HALF_NORMALISATION
from core.intervals import wilson_interval
from core.training.evaluate import evaluate, predict


class Threshold(nn.Module):
    """Says class 1 for a bright image, with logits of ±2."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.dropout = nn.Dropout(0.9)

    def forward(self, images: Tensor) -> Tensor:
        bright = self.scale * images.mean(dim=(1, 2, 3)).sign()
        return self.dropout(torch.stack([-bright, bright], dim=1))


def _dataset(count: int, wrong: int) -> ArrayDataset:
    labels = np.arange(count) % 2
    images = np.repeat(labels * 255, 4 * 4 * 3).reshape(count, 4, 4, 3).astype(np.uint8)
    labels = labels.copy()
    labels[:wrong] = 1 - labels[:wrong]
    return ArrayDataset(name="bright", split="test", images=images, labels=labels, classes=("dark", "bright"))


@given(count=st.integers(1, 10_000), data=st.data())
def test_the_interval_is_scipys(count, data):
    correct = data.draw(st.integers(0, count))
    low, high = wilson_interval(correct, count)
    expected = binomtest(correct, count).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-6)
    assert high == pytest.approx(expected.high, abs=1e-6)
    assert 0 <= low <= correct / count + 1e-12
    assert correct / count - 1e-12 <= high <= 1


def test_no_images_say_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_accuracy_and_loss_of_a_known_model(batch_size):
    model = Threshold().train()
    result = evaluate(model, _dataset(20, wrong=5), HALF_NORMALISATION, batch_size=batch_size)
    assert result.accuracy == 0.75
    assert result.count == 20
    assert result.interval == wilson_interval(15, 20)
    right, wrong = np.log1p(np.exp(-4)), np.log1p(np.exp(4))
    assert result.loss == pytest.approx((15 * right + 5 * wrong) / 20, rel=1e-5)
    assert not model.training  # and dropout did not disturb the numbers above


def test_memory_mapped_images_are_read_and_not_changed(tmp_path):
    dataset = _dataset(10, wrong=0)
    np.save(tmp_path / "images.npy", dataset.images)
    mapped = ArrayDataset(
        name="bright",
        split="test",
        images=np.load(tmp_path / "images.npy", mmap_mode="r"),
        labels=dataset.labels,
        classes=dataset.classes,
    )
    assert evaluate(Threshold(), mapped, HALF_NORMALISATION).accuracy == 1


class Fixed(nn.Module):
    """The same logits for every image."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([logits]))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def test_classes_of_other_groups_do_not_compete():
    images = np.zeros((4, 4, 4, 3), np.uint8)
    data = ArrayDataset(
        name="two", split="val", images=images, labels=np.array([0, 1, 2, 3]), classes=("a", "b", "n1", "n2")
    )
    model, rows = Fixed(1.0, 2.0, 9.0, 3.0), np.arange(4)

    def said(groups: Tensor | None) -> list[int]:
        (found,) = predict(model, data, HALF_NORMALISATION, rows, groups=groups)
        return found.predicted.tolist()

    assert said(None) == [2, 2, 2, 2]
    assert said(torch.tensor([0, 0, 1, 1])) == [1, 1, 2, 2]
    (alone,) = predict(model, data, HALF_NORMALISATION, rows, groups=torch.tensor([0, 1, 2, 3]))
    assert alone.confidence.tolist() == [1, 1, 1, 1]
    assert alone.loss == pytest.approx(0)
