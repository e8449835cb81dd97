"""Libraries that few need: each belongs to an extra of the package, and who lacks it is told which."""

from __future__ import annotations

import importlib
from types import ModuleType

from core.errors import CoreError

# Module that is imported, and the extra in pyproject.toml that brings it.
EXTRAS = {"onnx": "onnx", "submitit": "slurm", "tensorboard": "tensorboard"}


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
        raise CoreError(f"{module} is not installed.", f'pip install "vitrine[{EXTRAS[module]}]"') from error
