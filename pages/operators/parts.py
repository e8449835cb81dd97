"""What leaves the Operators page: the pictures, numbers and table of what is on the screen."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from core.figures.operators import operator_rows
from core.figures.theme import Figure
from core.methods.operators.layer import OperatorResult, run_layer
from core.models.mixer import OPERATOR_TITLES, OperatorName
from core.reports import OnProgress, silent
from pages.operators.layers import columns_of, layers_now
from pages.operators.panels import TEMPERATURES, trap_figure
from pages.operators.view import OperatorsView
from pages.shared.pickers import Picture
from pages.shared.recipes import filled_recipe, picture_setting
from pages.shared.results import shared
from pages.shared.views import ViewPart


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
    return _results(replace(view, operator="pre", channel=0), picture.digest, picture)


@shared("Computing what the browser shows …", most=12)
def _results(
    view: OperatorsView, digest: str, _picture: Picture, *, on_progress: OnProgress = silent
) -> dict[OperatorName, OperatorResult]:
    found, layers = {}, layers_now(view, _picture)
    for index, (name, layer) in enumerate(layers.items()):
        on_progress(index / len(layers), OPERATOR_TITLES[name])
        found[name] = run_layer(layer, view.position)
    return found


def shown_part(view: OperatorsView, picture: Picture) -> ViewPart:
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
    return ViewPart(
        pictures=operator_rows(list(results.values()), columns.picture, view.channel),
        arrays=arrays,
        table=pd.DataFrame(rows),
        facts={"operators": rows},
    )


def recipe_of(view: OperatorsView) -> str:
    """The script that makes it again."""
    return filled_recipe(
        "operators",
        image=picture_setting(view.image),
        side=view.side,
        mixers=[name for _, name in view.mixers],
        block=view.block,
        head=view.head,
        settings=asdict(view.settings),
        position=list(view.position),
        channel=view.channel,
        temperatures=list(TEMPERATURES),
    )


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
