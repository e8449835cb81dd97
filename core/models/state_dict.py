"""Weight files of others: tensors only, and all of them or none."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from core.errors import IncompatibleError, MissingWeightsError
from core.models.file_kind import check_weight_file

_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
# Under which key trainings keep the weights beside epoch, optimiser and accuracy; the first that is there is taken.
_WRAPPERS = (
    "state_dict", "model_state_dict", "model", "net", "network", "weights", "module", "params", "model_state",
    "net_state_dict", "model_ema", "ema", "ema_state_dict", "state_dict_ema",
)  # fmt: skip
# What trainings put in front of every name: DataParallel, torch.compile, Lightning, transformers' wrapper of timm.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "timm_model.", "_model.", "ema_model.")
# Of a training, not of its network: weights of a loss, metrics, the counter of an average of weights.
_OF_TRAINING = (
    "criterion.",
    "loss.",
    "loss_fn.",
    "loss_fct.",
    "metric",
    "train_acc",
    "val_acc",
    "test_acc",
    "n_averaged",
)
_LORA = ("lora_A.", "lora_B.", "lora_down.", "lora_up.", "lora.down.", "lora.up.", ".lora_A", ".lora_B")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of a PyTorch file that holds nothing but tensors and plain values.

    Weights inside of a checkpoint are found (`state_dict`, `model_state_dict`, `net` …) and what wrappers put in front
    of every name is removed (`module.`, `_orig_mod.`, `model.` …).

    Raises:
        MissingWeightsError: another kind of file, a damaged one, or a pickle with more than tensors in it.
        IncompatibleError: a LoRA adapter, which changes a model that is elsewhere.
    """
    if path.suffix != ".safetensors" and path.suffix not in _PICKLES:
        raise MissingWeightsError(
            f"{path.name} is no weight file that we open.", f"Expected .safetensors, {', '.join(_PICKLES)}."
        )
    check_weight_file(path)
    content: Any
    if path.suffix == ".safetensors":
        try:
            content = load_file(path)
        except (OSError, SafetensorError) as error:
            raise MissingWeightsError(f"{path.name} cannot be read ({error}).") from error
    else:
        content = _unpickle(path)
    weights = _find_weights(content, path.name)
    if any(part in name for name in weights for part in _LORA):
        raise IncompatibleError(
            f"{path.name} is a LoRA adapter: it changes another model and is none by itself.",
            "Merge it into the model that it was trained on, and open the result.",
        )
    return _without_prefixes(weights)


def _unpickle(path: Path) -> Any:
    """What a PyTorch file holds, read without running anything in it."""
    # Inert: a number of NumPy, as accuracies often are, and the plain namespace of a command line's options.
    harmless: list[Any] = [np.float64(0).__reduce__()[0], np.dtype, argparse.Namespace]
    harmless += [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    try:
        with torch.serialization.safe_globals(harmless):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise MissingWeightsError(
            f"{path.name} holds more than tensors and was not opened.",
            "Where you trust it, save its state dict alone: torch.save(model.state_dict(), PATH), or as safetensors.",
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise MissingWeightsError(f"{path.name} cannot be read ({_first_line(error)}).") from error


def _find_weights(content: Any, name: str, depth: int = 0) -> dict[str, Tensor]:
    """The names and tensors in what a file held, perhaps some keys down.

    Raises:
        MissingWeightsError: there are none, or several under names that do not tell which are the network's.
    """
    if isinstance(content, Mapping) and content:
        if all(isinstance(value, Tensor) for value in content.values()):
            return {str(key): tensor for key, tensor in content.items()}
        inner = {str(key): value for key, value in content.items() if _holds_tensors(value)}
        chosen = [key for key in _WRAPPERS if key in inner] or (list(inner) if len(inner) == 1 else [])
        if chosen and depth < 3:
            return _find_weights(inner[chosen[0]], name, depth + 1)
        tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
        if not inner and any("." in key for key in tensors):
            return tensors  # beside plain values, as an epoch
        if len(inner) > 1:
            raise MissingWeightsError(
                f"{name} holds the weights of several networks: {', '.join(sorted(inner)[:6])}.",
                "Save the one that you mean alone.",
            )
    raise MissingWeightsError(f"{name} is not a state dict (names and tensors).")


def _holds_tensors(value: Any) -> bool:
    """Whether this is a state dict or a wrapper of one; the state of an optimiser is keyed by numbers."""
    return isinstance(value, Mapping) and any(
        isinstance(key, str) and (isinstance(inner, Tensor) or (key in _WRAPPERS and _holds_tensors(inner)))
        for key, inner in value.items()
    )


def _without_prefixes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names as the network itself calls its tensors."""
    while True:
        prefix = next((each for each in _PREFIXES if any(name.startswith(each) for name in weights)), None)
        if prefix is None:
            return weights
        rest = [name for name in weights if not name.startswith(prefix)]
        if any(not name.startswith(_OF_TRAINING) for name in rest):
            return weights  # it is a part of the network that is called so
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name not in rest}


def without_root(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the first part where all share it: a network kept as an attribute of another module."""
    roots = {name.partition(".")[0] for name in weights if not name.startswith(_OF_TRAINING)}
    if len(roots) != 1:
        return weights
    root = f"{roots.pop()}."
    return {name.removeprefix(root): tensor for name, tensor in weights.items() if name.startswith(root)} or weights


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
