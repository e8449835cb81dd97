import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.arrays import ArrayDataset
from core.training.augment import REGIMES
from core.training.batches import Batch, Batches


def _data(count: int = 50, side: int = 8) -> ArrayDataset:
    """Image i is filled with i and has label i modulo 7."""
    images = np.repeat(np.arange(count, dtype=np.uint8), side * side * 3).reshape(count, side, side, 3)
    return ArrayDataset(
        name="count", split="train", images=images, labels=np.arange(count) % 7, classes=tuple("abcdefg")
    )


def _batches(regime: str = "none", **changes: object) -> Batches:
    options = {"batch_size": 8, "seed": 0, "device": torch.device("cpu"), **changes}
    return Batches(_data(), regime=regime, **options)


def _ids(batches: list[Batch]) -> list[int]:
    return [round(float(image.mean()) * 255) for batch in batches for image in batch.images]


def test_an_epoch_is_every_image_once_in_an_order_of_its_own():
    first, second, again = (list(_batches().epoch(epoch)) for epoch in (0, 1, 0))
    assert len(first) == len(_batches()) == 7
    assert [batch.count for batch in first] == [8] * 6 + [2]
    assert sorted(_ids(first)) == sorted(_ids(second)) == list(range(50))
    assert _ids(first) == _ids(again) != _ids(second)
    assert _ids(list(_batches(seed=1).epoch(0))) != _ids(first)
    for batch in first:
        assert batch.labels.tolist() == [each % 7 for each in _ids([batch])]


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("start", [1, 3, 6])
def test_batches_do_not_depend_on_those_before(monkeypatch, regime, start):
    monkeypatch.setattr("core.training.batches._AHEAD_IMAGES", 16)  # chunks of two batches: 3 lies inside of one
    whole = list(_batches(regime).epoch(2))[start:]
    rest = list(_batches(regime).epoch(2, start))
    assert len(rest) == len(whole) == 7 - start
    for ours, theirs in zip(rest, whole, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.targets, theirs.targets)


@given(
    count=st.integers(1, 40), batch_size=st.integers(1, 12), processes=st.integers(1, 4),
    regime=st.sampled_from(["none", "randaugment"]),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_processes_share_every_batch(count, batch_size, processes, regime):
    data, whole = _data(count), torch.device("cpu")
    options = {"batch_size": batch_size, "seed": 3, "device": whole}
    alone = list(Batches(data, regime="none", **options).epoch(0))
    shared = [
        list(Batches(data, regime=regime, rank=rank, world_size=processes, **options).epoch(0))
        for rank in range(processes)
    ]
    for place, batch in enumerate(alone):
        shares = [each[place] for each in shared]
        assert {share.count for share in shares} == {batch.count} == {len(batch.images)}
        assert all(len(share.images) for share in shares)  # none is idle: all of them have to take part
        counted = [share for share in shares if share.weight]
        assert sum(len(share.images) for share in counted) == batch.count
        if regime == "none":
            assert sorted(_ids(counted)) == sorted(_ids([batch]))


def test_mixed_batches_have_soft_targets():
    for batch in _batches("mix").epoch(0):
        assert batch.targets.shape == (len(batch.images), 7)
        assert torch.allclose(batch.targets.sum(dim=1), torch.ones(len(batch.images)))
        assert torch.equal(batch.labels, batch.targets.argmax(dim=1))


def test_images_that_do_not_fit_ahead_are_taken_batch_by_batch():
    photos = ArrayDataset(
        name="photos",
        split="train",
        images=np.zeros((9, 600, 600, 3), np.uint8),
        labels=np.zeros(9, int),
        classes=("a",),
    )
    assert Batches(photos, regime="randaugment", batch_size=9, seed=0, device=torch.device("cpu"))._ahead == 1
    assert Batches(photos, regime="randaugment", batch_size=2, seed=0, device=torch.device("cpu"))._ahead == 7
    assert _batches("randaugment")._ahead == 128
    assert _batches("crop_flip")._ahead == 1
