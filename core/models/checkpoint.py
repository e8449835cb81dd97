"""Our models on disk: a folder of `model.safetensors` (fp16) and `card.json` (what it is and how it came to be)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import MissingWeightsError
from core.models.card import ModelCard, read_card
from core.models.families import OWN_FAMILIES, Family, build_family
from core.models.transfer import TransferConfig, build_transfer

__all__ = ["FAMILIES", "ModelCard", "build", "load_model", "read_card", "save_model", "stored_weights"]
FAMILIES: dict[str, Family] = {**OWN_FAMILIES, "transfer": Family(build_transfer, TransferConfig)}


def build(family: str, config: dict[str, Any]) -> nn.Module:
    """A freshly initialised model of `family`."""
    return build_family(FAMILIES, family, config)


def stored_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state dict as it is stored: floats in fp16, whole numbers (batch norm's counter) as they are."""
    return {
        name: tensor.detach().to(torch.half if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in model.state_dict().items()
    }


def save_model(folder: Path, model: nn.Module, card: ModelCard) -> None:
    """Write weights in fp16 and the card."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.cpu().contiguous() for name, tensor in stored_weights(model).items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "card.json").write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")


def load_model(folder: Path) -> nn.Module:
    """The trained model of a folder, in fp32 and eval mode.

    Raises:
        MissingWeightsError: the folder is incomplete, damaged, or of another architecture than its card says.
    """
    card = read_card(folder)
    model = build(card.family, card.config)
    try:
        weights = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise MissingWeightsError(f"{folder.name}/model.safetensors cannot be read ({error}).") from error
    try:
        model.load_state_dict(weights)  # into fp32 parameters
    except RuntimeError as error:
        raise MissingWeightsError(f"{folder.name} does not fit its card: {error}") from error
    return model.eval()
