"""What is written beside the weights of a model of ours: read without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.configs import from_dict
from core.data.transforms import Normalisation, Preprocessing
from core.errors import MissingWeightsError
from core.json_files import read_json


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """How a trained model of ours came to be, and what was measured on it.

    Attributes:
        labels_seen: by data set, what a model of images and texts has been told about; its `classes` are empty.
        prompt: of a model that draws, how it was told of a class, with {} for the class.
    """

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
    labels_seen: dict[str, list[str]] = field(default_factory=dict)
    prompt: str = ""


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder."""
    try:
        values = read_json(folder / "card.json")
    except (OSError, ValueError) as error:  # bytes that are no text are a ValueError too
        raise MissingWeightsError(f"{folder.name} holds no readable card.json ({error}).") from error
    if not isinstance(values, dict):
        raise MissingWeightsError(f"{folder.name} holds no readable card.json (not a JSON object).")
    return from_dict(ModelCard, values)


def preprocessing_of(card: ModelCard) -> Preprocessing:
    """What is made of a photo for the model of this card."""
    return Preprocessing(
        size=int(card.config["image_size"]), normalisation=Normalisation(mean=tuple(card.mean), std=tuple(card.std))
    )
