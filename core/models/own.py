"""Models that this project trains, bundled or from a run, behind the common contract."""

from __future__ import annotations

from pathlib import Path

from core.models.card import preprocessing_of, read_card
from core.models.checkpoint import load_model
from core.models.spec import Network


def load_own(folder: str | Path) -> Network:
    """The model of a folder with `card.json` and `model.safetensors`.

    Raises:
        MissingWeightsError: the folder is incomplete, damaged, or of another architecture than its card says.
    """
    folder = Path(folder)
    card = read_card(folder)
    return Network(
        module=load_model(folder),
        preprocessing=preprocessing_of(card),
        classes=tuple(card.classes),
    )
