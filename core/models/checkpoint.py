"""Our models on disk: a folder of `model.safetensors` (fp16) and `card.json` (what it is and how it came to be)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from core.configs import from_dict
from core.errors import MissingWeightsError, UnknownNameError
from core.models.differential import DifferentialViT
from core.models.vit import ViT, ViTConfig

FAMILIES: dict[str, type[ViT]] = {"vit": ViT, "differential_vit": DifferentialViT}


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """How a trained model of ours came to be, and what was measured on it."""

    family: str
    title: str
    config: dict[str, Any]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dataset: str
    recipe: str
    command: str
    date: str
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def build(family: str, config: dict[str, Any]) -> ViT:
    """A freshly initialised model of `family`."""
    if family not in FAMILIES:
        raise UnknownNameError("model family", family, FAMILIES)
    return FAMILIES[family](from_dict(ViTConfig, config))


def save_model(folder: Path, model: nn.Module, card: ModelCard) -> None:
    """Write weights in fp16 and the card."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().half().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "card.json").write_text(json.dumps(asdict(card), indent=1) + "\n")


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder."""
    try:
        values = json.loads((folder / "card.json").read_text())
    except (OSError, ValueError) as error:  # bytes that are no text are a ValueError too
        raise MissingWeightsError(f"{folder.name} holds no readable card.json ({error}).") from error
    if not isinstance(values, dict):
        raise MissingWeightsError(f"{folder.name} holds no readable card.json (not a JSON object).")
    return from_dict(ModelCard, values)


def load_model(folder: Path) -> ViT:
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
        model.load_state_dict({name: tensor.to(torch.float32) for name, tensor in weights.items()})
    except RuntimeError as error:
        raise MissingWeightsError(f"{folder.name} does not fit its card: {error}") from error
    return model.eval()
