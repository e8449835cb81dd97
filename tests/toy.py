"""A data set that a tiny network learns in a moment, for every test that trains one."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.data.arrays import save_arrays
from core.paths import data_root

SIZES = {"train": 40, "test": 20}


def save_toy(
    sizes: Mapping[str, int] = SIZES,
    *,
    name: str = "toy",
    contrast: int = 150,
    root: Path | None = None,
    classes: tuple[str, str] = ("dark", "red"),
) -> Path:
    """Noise of 8 × 8 pixels in two classes, "dark" and "red", as arrays; returns its folder.

    Args:
        sizes: images of each split, the classes in turns.
        contrast: how much brighter the red channel of the second class is; a smaller one is learned more slowly.
        classes: what the two are called.
        root: the folder of all data sets; by default that of the test's own home.
    """
    folder = (root or data_root()) / name
    random = np.random.default_rng(0)
    for split, count in sizes.items():
        labels = np.arange(count) % 2
        images = random.integers(0, 80, (count, 8, 8, 3), dtype=np.uint8)
        images[labels == 1, :, :, 0] += contrast
        save_arrays(folder, split, images, labels)
    card = {
        "name": name,
        "title": name.capitalize(),
        "classes": list(classes),
        "storage": "arrays",
        "image_size": [8, 8],
        "splits": dict(sizes),
    }
    text = json.dumps(card)
    (folder / "dataset.json").write_text(text, encoding="utf-8")
    # Pages forget every model and result when a data set was imported anew, which they see by the time of its card.
    # The same images have the same time, in whichever test they are made.
    made_at = zlib.crc32(f"{text} {contrast}".encode())
    os.utime(folder / "dataset.json", (made_at, made_at))
    return folder
