"""torchvision's data sets: published files become arrays, and what is wrong with them is said."""

from __future__ import annotations

import gzip
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torchvision

from core.data.arrays import load_arrays
from core.data.catalogue import read_dataset, sample_images
from core.data.download import get_dataset
from core.errors import ArchiveError, CoreError, OfflineError, UnknownNameError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "MNIST"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def write_idx(folder: Path, *, labels: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Files of MNIST's format, the training images packed and the rest not."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    classes = (np.arange(labels) % 10).astype(np.uint8)
    folder.mkdir(parents=True)
    for split in ("train", "t10k"):
        pixels = struct.pack(">iiii", 2051, *images.shape) + images.tobytes()
        if split == "train":
            (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pixels))
        else:
            (folder / f"{split}-images-idx3-ubyte").write_bytes(pixels)
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, labels) + classes.tobytes())
    return images, classes


@pytest.mark.parametrize("place", ["", "raw", "FashionMNIST/raw"])
def test_published_files_become_arrays(tmp_path, place):
    images, classes = write_idx(tmp_path / "here" / place)
    shares: list[float] = []
    folder = get_dataset("fashion_mnist", tmp_path / "here", lambda share, text: shares.append(share))
    test = load_arrays("fashion_mnist", "test")
    np.testing.assert_array_equal(test.images[..., 0], images)
    np.testing.assert_array_equal(test.labels, classes)
    assert test.classes[0] == "T-shirt/top"
    assert read_dataset("fashion_mnist")["splits"] == {"train": 20, "test": 20}
    assert sample_images("fashion_mnist", "test", 1, 0)[0][0].size == (28, 28)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert os.listdir(folder.parent) == ["fashion_mnist"]
    with pytest.raises(CoreError, match="already a data set"):
        get_dataset("fashion_mnist", tmp_path / "here")


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(UnknownNameError, match="cifar10"):
        get_dataset("cifar11")
    with pytest.raises(ArchiveError, match=r"holds no train-images-idx3-ubyte\.gz"):
        get_dataset("mnist", tmp_path)
    write_idx(tmp_path / "short", labels=19)
    with pytest.raises(ArchiveError, match="20 images and 19 labels"):
        get_dataset("mnist", tmp_path / "short")
    write_idx(tmp_path / "cut")
    path = tmp_path / "cut" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArchiveError, match="damaged"):
        get_dataset("mnist", tmp_path / "cut")
    assert os.listdir(tmp_path / "home" / "data") == []


def test_a_packed_file_of_other_content_is_not_unpickled(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"something else")
    with pytest.raises(ArchiveError, match="CIFAR-10 are incomplete or damaged"):
        get_dataset("cifar10", tmp_path)


def test_without_a_network(monkeypatch):
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/", "http://127.0.0.1:9/too/"])
    with pytest.raises(OfflineError, match=r"127\.0\.0\.1.*data get mnist --from FOLDER"):
        get_dataset("mnist")


@pytest.mark.realdata
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/MNIST")
def test_the_real_mnist():
    folder = get_dataset("mnist", SHARED)
    info = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert info["splits"] == {"train": 60000, "test": 10000}
    assert info["classes"] == list("0123456789")
    train = np.load(folder / "train_images.npy", mmap_mode="r")
    # The published mean and standard deviation of its pixels.
    assert train.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert train.std() / 255 == pytest.approx(0.3081, abs=1e-4)
    assert list(np.load(folder / "train_labels.npy")[:5]) == [5, 0, 4, 1, 9]
