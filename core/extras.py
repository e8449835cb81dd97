"""Libraries that few need: each belongs to an extra of the package, and who lacks it is told which."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.util import find_spec
from types import ModuleType

from core.errors import CoreError

# Module that is imported, and the extra in pyproject.toml that brings it.
EXTRAS = {"onnx": "onnx", "submitit": "slurm", "tensorboard": "tensorboard"}


@cache
def has_extra(module: str) -> bool:
    """Whether `module`, one of `EXTRAS`, is installed."""
    return find_spec(module) is not None


def extra(module: str) -> ModuleType:
    """Import `module`, one of `EXTRAS`.

    Raises:
        CoreError: it is not installed; the remedy names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise CoreError(
            f"{module} is not installed.", f'pip install {module} (extra "{EXTRAS[module]}" of Vitrine)'
        ) from error
