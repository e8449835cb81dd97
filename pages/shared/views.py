"""What is on the screen, as one value: the headline, the pictures, the export and the recipe are all made of it.

A control that changes a page belongs in its view; then everything that leaves the page follows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import pandas as pd

from core.figures.theme import Figure
from core.methods.attention.attention import Direction, Fusion

if TYPE_CHECKING:  # it needs PyTorch
    from core.methods.masking.orders import Fill, Strategy

Tab = Literal["Explanations", "Attention distance", "Predictions", "Compare"]
MapKind = Literal["attention", "rollout"]
Beside = Literal["Another model", "Another image"]
ComparedMap = Literal["Last-layer attention", "Rollout"]
Removal: TypeAlias = "Strategy | Literal['hand']"


@dataclass(frozen=True, kw_only=True)
class AttentionView:
    """The Attention page.

    Attributes:
        model: the name of the model.
        image: the key of the image, as in the address.
        layer: counted from 0; of the map under the pointer and in the headline.
        head: "mean", "max" or "min" of all heads, or one of them, counted from 1.
        patch: the chosen one in raster order; -1 for none.
        direction: what the patch attends to, or which attend to it.
        kind: the attention of that layer, or the rollout from the first layer up to it.
        mass: share of the map whose patches alone are in sight; 1 shows the map as colours.
        as_seen: the photo at the model's resolution.
        tab: the one that is open; None for a model without attention.
        class_index: explained by relevance and Grad-CAM; None for a backbone without a head.
        fusion: of the heads, for the rollout among the explanations.
        discard: share that it drops.
        residual: with the skip connections.
        beside: what the first side is compared with.
        compared: by which map.
        other: the second model or the key of the second image; "" while there is none.
    """

    model: str
    image: str
    layer: int = 0
    head: str = "mean"
    patch: int = -1
    direction: Direction = "to"
    kind: MapKind = "attention"
    mass: float = 1.0
    as_seen: bool = False
    tab: Tab | None = None
    class_index: int | None = None
    fusion: Fusion = "mean"
    discard: float = 0.0
    residual: bool = True
    beside: Beside = "Another model"
    compared: ComparedMap = "Last-layer attention"
    other: str = ""


@dataclass(frozen=True, kw_only=True)
class MaskingView:
    """The Masking page.

    Attributes:
        model: the name of the model.
        image: the key of the image, as in the address.
        strategy: which patches go first.
        method: the explanation that ranks them.
        fill: what is shown instead.
        step: of `steps` equal ones, how far the slider stands.
        steps: of the curves.
        orders: random ones, for the band.
        removed: by hand, in raster order.
    """

    model: str
    image: str
    strategy: Removal = "most_attended"
    method: str = "attention"
    fill: Fill = "mean"
    step: int = 0
    steps: int = 12
    orders: int = 4
    removed: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ViewPart:
    """A part of a page, for the screen and for the export.

    Attributes:
        pictures: by file stem, (height, width, 3 or 4) uint8.
        captions: of the pictures that have one.
        arrays: the numbers behind them, by the name they get in the NPZ file.
        figures: by file stem.
        table: what fits into one.
        facts: what is said in words.
    """

    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    table: pd.DataFrame | None = None
    facts: dict[str, object] = field(default_factory=dict)

    def beside(self, other: ViewPart) -> ViewPart:
        """Both parts; the other's table counts where it has one."""
        return ViewPart(
            pictures=self.pictures | other.pictures,
            captions=self.captions | other.captions,
            arrays=self.arrays | other.arrays,
            figures=self.figures | other.figures,
            table=self.table if other.table is None else other.table,
            facts=self.facts | other.facts,
        )


def facts_of(view: AttentionView | MaskingView) -> dict[str, object]:
    """The view as it is written down, layers counted from 1 as on the page."""
    facts = asdict(view)
    return facts | {"layer": view.layer + 1} if isinstance(view, AttentionView) else facts


def as_table(maps: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Maps (rows, columns) as one long table: map, row and column counted from 1, value."""
    parts = []
    for name, values in maps.items():
        row, column = np.divmod(np.arange(values.size), values.shape[1])
        parts.append(pd.DataFrame({"map": name, "row": row + 1, "column": column + 1, "value": values.ravel()}))
    return pd.concat(parts, ignore_index=True)
