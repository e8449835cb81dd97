"""Why a run failed, in words: what broke, and what to do about it."""

from __future__ import annotations

import errno
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path

from core.errors import CoreError, RunFailedError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOCKED = (errno.EACCES, errno.EPERM, errno.EROFS)


def explain(error: BaseException, folder: Path) -> RunFailedError:
    """`error`, which ended the run in `folder`, as cause, remedy and traceback.

    What a user can act on gets its own sentence; all else is a bug, and its traceback is the message.
    """
    printed = "".join(traceback.format_exception(error))
    if isinstance(error, CoreError):
        return RunFailedError(error.cause, error.remedy, getattr(error, "traceback", "") or printed)
    if _is_full(error, folder):
        return RunFailedError(
            f"The disk is full: nothing more could be written to {folder}.",
            "Free some space, then resume: it continues from the last checkpoint.",
            printed,
        )
    if locked := next((each for each in _chain(error) if isinstance(each, OSError) and each.errno in _LOCKED), None):
        return RunFailedError(
            f"{locked.filename or folder} cannot be written to ({locked.strerror}).",
            "Make it writable, then resume: it continues from the last checkpoint.",
            printed,
        )
    if _is_memory(error):
        return RunFailedError(
            "There was not enough memory.",
            "Clone the run with a smaller batch or a smaller model, or end what else uses the device.",
            printed,
        )
    return RunFailedError(
        f"{type(error).__name__}: {error}",
        "This is a bug in the recipe or in Vitrine; the traceback says where.",
        printed,
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_full(error: BaseException, folder: Path) -> bool:
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in _FULL:
            return True
        text = str(each)
        if "No space left on device" in text:
            return True
        # torch.save drops the reason, so the disk itself is asked.
        if ("PytorchStreamWriter" in text or "inline_container" in text) and shutil.disk_usage(folder).free < 2**20:
            return True
    return False


def _is_memory(error: BaseException) -> bool:
    # By name: torch takes seconds to import, and this module is imported by all who list runs.
    return any(
        isinstance(each, MemoryError)
        or type(each).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(each)
        for each in _chain(error)
    )
