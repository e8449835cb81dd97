"""A model asked about many pictures, batch by batch, with what could not be read left out and said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.data.transforms import Preprocessing, crop_to_square, to_batch
from core.device import as_input_of
from core.errors import CoreError
from core.finite import require_finite
from core.reports import OnProgress, silent

BATCH_SIZE = 32
THUMBNAIL = 96


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a model made of the pictures that could be read.

    Attributes:
        values: (kept, dim) float32.
        kept: (kept,) int64, which of the pictures that is.
        thumbnails: (kept, 96, 96, 3) uint8; empty where they were not asked for.
        skipped: of each other one, why.
    """

    values: np.ndarray
    kept: np.ndarray
    thumbnails: np.ndarray
    skipped: dict[int, str]


def ask_about(
    pictures: Sequence[Callable[[], Image.Image]],
    preprocessing: Preprocessing,
    ask: Callable[[Tensor], Tensor],
    *,
    lock: threading.RLock | None = None,
    with_thumbnails: bool = True,
    on_progress: OnProgress = silent,
) -> Answers:
    """What `ask` says of every picture.

    Args:
        pictures: openers, called once each; a `CoreError` or `OSError` of one leaves it out.
        ask: (batch, 3, size, size) normalised → (batch, dim); a module or a method of one, asked where that lives.
        lock: held while the model is asked, which other sessions share.

    Raises:
        CoreError: none of them could be read.
        NotFiniteError: the model's answers are not numbers.
    """
    square = Preprocessing(size=THUMBNAIL, normalisation=preprocessing.normalisation)
    values: list[np.ndarray] = []
    thumbnails: list[np.ndarray] = []
    kept: list[int] = []
    skipped: dict[int, str] = {}
    for start in range(0, len(pictures), BATCH_SIZE):
        opened = []
        for index in range(start, min(start + BATCH_SIZE, len(pictures))):
            try:
                opened.append(pictures[index]())
            except (CoreError, OSError) as error:
                skipped[index] = str(error)
                continue
            kept.append(index)
            if with_thumbnails:
                thumbnails.append(np.asarray(crop_to_square(opened[-1], square)))
        if opened:
            with lock or threading.RLock(), torch.inference_mode():
                batch = as_input_of(getattr(ask, "__self__", ask), to_batch(opened, preprocessing))
                values.append(ask(batch).float().cpu().numpy())
            require_finite("The model's answers", values[-1])
        done = min(start + BATCH_SIZE, len(pictures))
        on_progress(done / len(pictures), f"{done:,} of {len(pictures):,} pictures")
    if not kept:
        why = next(iter(skipped.values()), "there are none")
        raise CoreError(f"None of the {len(pictures):,} pictures can be read: {why}", "Choose others.")
    return Answers(
        values=np.concatenate(values),
        kept=np.array(kept, dtype=np.int64),
        thumbnails=np.array(thumbnails, dtype=np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, 3),
        skipped=skipped,
    )
