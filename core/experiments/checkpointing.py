"""How a run survives: what it goes on from is on disk, and never newer than the metrics that are."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from core.errors import CoreError
from core.experiments.samples import write_augmented, write_mistakes
from core.files import replaced
from core.reports import Progress
from core.runs.store import RunFolder
from core.training.distributed import is_main
from core.training.loop import EpochReport, Fit

SAVE_EVERY_S = 180.0


def resumable(folder: RunFolder, fit: Fit) -> Iterator[Progress | EpochReport]:
    """All reports of `fit` that are left, going on from the checkpoint in `folder` if there is one.

    A checkpoint is written once the consumer has asked for what follows an epoch's report (it has then written the
    line of metrics), every three minutes within an epoch, and when this generator is closed. Of several processes the
    first writes. Delegate with `yield from`, so that closing and throwing arrive here.

    Raises:
        CoreError: the checkpoint is damaged, or of another model.
        RunFailedError: from `Fit.run`; the last checkpoint then stays as it was.
    """
    if folder.checkpoint.is_file():
        _restore(folder, fit)
    if is_main():
        write_augmented(folder.samples, fit)
    saved = time.monotonic()
    try:
        for report in fit.run():
            closes_epoch = isinstance(report, EpochReport)
            if closes_epoch and is_main():
                write_mistakes(folder.samples, fit)
            yield report
            if closes_epoch or time.monotonic() - saved >= SAVE_EVERY_S:
                _save(folder, fit)
                saved = time.monotonic()
    except GeneratorExit:
        _save(folder, fit)
        raise


def _restore(folder: RunFolder, fit: Fit) -> None:
    with folder.checkpoint.open("rb") as file:
        try:
            fit.load_state(torch.load(file, weights_only=True, map_location=fit.device))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            # Cut short, of another model, no checkpoint at all: torch has a different error for each.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CoreError(
                f"The run {folder.name!r} cannot go on from its checkpoint ({reason[:200]}).",
                f"Delete {folder.checkpoint} to begin anew.",
            ) from error
    if is_main():
        folder.truncate_metrics(fit.epoch * fit.steps_per_epoch)


def _save(folder: RunFolder, fit: Fit) -> None:
    """Replace the checkpoint; the previous one stays until the new one is complete."""
    if not is_main():
        return
    with replaced(folder.checkpoint) as file:
        torch.save(fit.state(), file)
