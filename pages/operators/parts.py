"""What leaves the Operators page: the pictures, numbers and table of what is on the screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.figures.operators import feature_sheet, heat, tiles
from core.figures.theme import Figure
from core.methods.operators.layer import OperatorResult, run_layer
from core.methods.operators.picture import read_colours
from core.models.mixer import OPERATOR_TITLES, OperatorName
from pages.operators.layers import Columns, columns_of, layers_now
from pages.operators.panels import trap_figure
from pages.operators.view import OperatorsView
from pages.operators.words import SHORT
from pages.shared.pickers import Picture
from pages.shared.stoppable import Progress, computed
from pages.shared.views import Shown

SIGNED_ROWS = ("convolution", "post", "convolution_modulated_attention")


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One operator in numbers."""

    operator: str
    rms: float
    kept: float | None
    kept_on_average: float | None
    field_90_percent: int
    may_read: int
    own_share: float


def results_of(view: OperatorsView, picture: Picture) -> dict[OperatorName, OperatorResult]:
    """All that the six compute at the position, by torch; seconds for 64 × 64 positions."""

    def work(on_progress: Progress) -> dict[OperatorName, OperatorResult]:
        found, layers = {}, layers_now(view, picture)
        for index, (name, layer) in enumerate(layers.items()):
            on_progress(index / len(layers), OPERATOR_TITLES[name])
            found[name] = run_layer(layer, view.position)
        return found

    key = ("operators", view.settings, view.position, view.trained, view.block, view.head, view.side, picture.digest)
    return computed(key, "Computing what the browser shows", work)


def shown_part(view: OperatorsView, picture: Picture) -> Shown:
    """Pictures of the four rows, all maps as numbers, and a table."""
    columns, results = columns_of(view, picture), results_of(view, picture)
    arrays: dict[str, np.ndarray] = {"picture": columns.picture}
    for name, result in results.items():
        arrays |= {
            f"{name}_output": result.output,
            f"{name}_row": result.row[min(view.channel, len(result.row) - 1)],
            f"{name}_field": result.field.gradient,
            f"{name}_reach": result.field.theoretical,
        }
    rows = [vars(_row(result)) for result in results.values()]
    return Shown(
        pictures=pictures_of(columns, results, view.channel),
        arrays=arrays,
        table=pd.DataFrame(rows),
        facts={"operators": rows},
    )


def pictures_of(columns: Columns, results: dict[OperatorName, OperatorResult], channel: int) -> dict[str, np.ndarray]:
    """The rows of the page, each a picture of all operators."""
    captions = [SHORT[name] for name in results]
    rows: dict[str, list[np.ndarray]] = {"output": [], "features": [], "attention": [], "field": [], "reach": []}
    for name, result in results.items():
        colours = read_colours(result.output, columns.readouts[name], columns.picture)
        rows["output"].append(np.round(255 * colours).astype(np.uint8))
        rows["features"].append(feature_sheet(result.output))
        row = result.row[min(channel, len(result.row) - 1)]
        rows["attention"].append(heat(row, signed=name in SIGNED_ROWS))
        rows["field"].append(heat(result.field.gradient))
        rows["reach"].append(heat(result.field.theoretical.astype(np.float32), scale=(0, 1.4)))
    return {name: tiles(each, captions) for name, each in rows.items()}


def figures_of(view: OperatorsView, picture: Picture) -> dict[str, Figure]:
    """The curves of the identity trap."""
    return {"identity_trap": trap_figure(view, picture)}


def _row(result: OperatorResult) -> _Row:
    row, column = result.field.position
    own = None if result.weights is None else result.weights.diagonal()
    return _Row(
        operator=OPERATOR_TITLES[result.operator],
        rms=float(np.sqrt(np.square(result.output.astype(np.float64)).mean())),
        kept=None if own is None else float(own[row * result.output.shape[2] + column]),
        kept_on_average=None if own is None else float(own.mean()),
        field_90_percent=result.field.area(),
        may_read=int(result.field.theoretical.sum()),
        own_share=result.field.own_share,
    )
