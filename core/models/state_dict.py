"""Weight files of others: tensors only, and all of them or none."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import MissingWeightsError

_PICKLES = (".pt", ".pth", ".bin")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of a `.pt`, `.pth` or `.bin` file that holds nothing but tensors.

    A state dict wrapped as `{"state_dict": ...}` or `{"model": ...}` is unwrapped, a `module.` prefix removed.

    Raises:
        MissingWeightsError: another kind of file, a damaged one, or a pickle with more than tensors in it.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise MissingWeightsError(f"{path.name} cannot be read ({error}).") from error
    if path.suffix not in _PICKLES:
        raise MissingWeightsError(
            f"{path.name} is no weight file that we open.", f"Expected .safetensors, {', '.join(_PICKLES)}."
        )
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise MissingWeightsError(
            f"{path.name} holds more than tensors and was not opened.",
            "Convert it to safetensors where you trust it.",
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise MissingWeightsError(f"{path.name} cannot be read ({error}).") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise MissingWeightsError(f"{path.name} is not a state dict (names and tensors).")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def fill(model: nn.Module, weights: dict[str, Tensor], origin: str) -> None:
    """Put `weights` into `model` in fp32; every tensor must find its place, and every place its tensor.

    Raises:
        MissingWeightsError: names or shapes differ; `origin` is named in the message.
    """
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    try:
        model.load_state_dict(floats)
    except RuntimeError as error:
        problems = [line.strip() for line in str(error).splitlines()[1:]]
        raise MissingWeightsError(
            f"The weights of {origin} do not fit {type(model).__name__}: {problems[0] if problems else error}",
            "The file and the configuration belong to different models.",
        ) from error
