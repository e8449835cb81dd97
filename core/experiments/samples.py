"""Pictures of a training: what the network is shown, and what it is most wrong about."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image

from core.files import write_atomically, write_json
from core.training.loop import Fit

_SIDE = 64  # small images are enlarged to about this many pixels


def write_augmented(samples: Path, fit: Fit) -> None:
    """`augmented.png`: up to 64 images of the first training batch as the network gets them; written once."""
    if (samples / "augmented.png").exists():
        return
    images = next(fit.batches.epoch(0)).images[:64]
    pixels = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    write_atomically(samples / "augmented.png", _png(pixels))


def write_mistakes(samples: Path, fit: Fit, count: int = 16) -> None:
    """`mistakes.png` and `mistakes.json`: the validation images that are wrong with the highest confidence.

    The JSON lists them as in the picture, row by row: `index` in the validation split, `true` and `predicted` class
    names, `confidence` in [0, 1].
    """
    found = fit.predictions
    if found is None:
        return
    wrong = np.flatnonzero(found.labels != found.predicted)
    worst = wrong[np.argsort(-found.confidence[wrong], kind="stable")][:count]
    rows = [
        {
            "index": int(index),
            "true": fit.val_set.classes[found.labels[index]],
            "predicted": fit.val_set.classes[found.predicted[index]],
            "confidence": float(found.confidence[index]),
        }
        for index in worst
    ]
    write_json(samples / "mistakes.json", rows)
    if rows:
        write_atomically(samples / "mistakes.png", _png(np.asarray(fit.val_set.images[worst])))
    else:
        (samples / "mistakes.png").unlink(missing_ok=True)


def write_sheet(path: Path, images: np.ndarray, columns: int) -> None:
    """(count, height, width, channels) uint8 as one picture, so many in a row."""
    write_atomically(path, _png(images, columns))


def _png(images: np.ndarray, columns: int | None = None) -> bytes:
    """(count, height, width, channels) uint8 → one picture of them all, row by row, near square, on white."""
    count, height, width, channels = images.shape
    images = images[..., :3] if channels >= 3 else np.repeat(images[..., :1], 3, axis=-1)
    zoom, gap = max(1, _SIDE // max(height, width)), 2
    columns = columns or math.ceil(math.sqrt(count))
    images = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    high, wide = height * zoom + gap, width * zoom + gap
    sheet = np.full((math.ceil(count / columns) * high - gap, columns * wide - gap, 3), 255, dtype=np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * high, place % columns * wide
        sheet[top : top + high - gap, left : left + wide - gap] = image
    written = io.BytesIO()
    Image.fromarray(sheet).save(written, "PNG")
    return written.getvalue()
