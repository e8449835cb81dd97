"""A sweep as pictures: what was reached when, which parameters matter, and where the good values lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.runs.studies import Importance, StudySummary, StudyTrial, TrialStatus, Value, short_value

# Of middle lightness from end to end: legible on light and on dark pages, and blue against orange for every eye.
VALUE_SCALE = ((0.0, "#8FA3B5"), (0.5, "#2F86C1"), (1.0, "#E8730C"))
MARKERS: dict[TrialStatus, tuple[str, str]] = {
    "finished": ("circle", CATEGORICAL[0]),
    "pruned": ("x-thin", BASELINE),
    "running": ("circle-open", CATEGORICAL[2]),
    "stopped": ("circle-open", BASELINE),
}
BEST = {"size": 17, "symbol": "star", "color": "#FFC400", "line": {"width": 1.5, "color": "#222"}}
# A parameter with at most so many different values gets a tick for each.
FEW = 8
SLICE_HEIGHT = 220
NAME_LETTERS = 16


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Where the values of one parameter lie on an axis of numbers.

    Attributes:
        places: one number a trial.
        ticks: places that are labelled.
        labels: what stands there.
    """

    places: np.ndarray
    ticks: Sequence[float]
    labels: Sequence[str]


def short_name(key: str) -> str:
    """`training.learning_rate` as "learning rate"."""
    return key.rpartition(".")[2].replace("_", " ")


def scale_of(values: Sequence[Value], *, log: bool) -> Scale:
    """Few different values at equal distances, in their order; many on a line, or on its logarithm."""
    different = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(different) <= FEW and not any(isinstance(value, float) for value in different):
        places = np.array([different.index(value) for value in values], dtype=float)
        return Scale(places=places, ticks=range(len(different)), labels=[short_value(value) for value in different])
    numbers = np.array(values, dtype=float)
    if not log:
        ticks = _round_numbers(float(numbers.min()), float(numbers.max()))
        return Scale(places=numbers, ticks=ticks, labels=[f"{tick:g}" for tick in ticks])
    ticks = _log_numbers(float(numbers.min()), float(numbers.max()))
    labels = [f"{tick:g}" for tick in ticks]
    return Scale(places=np.log10(numbers), ticks=[math.log10(tick) for tick in ticks], labels=labels)


def plot_history(summary: StudySummary, *, height: int = 360) -> go.Figure:
    """The score of every trial in the order of their beginning, and the best that was finished so far."""
    figure = go.Figure()
    finished = summary.having("finished")
    if finished:
        best = np.maximum.accumulate([float(trial.value) for trial in finished if trial.value is not None])
        figure.add_trace(
            go.Scatter(
                x=[trial.number for trial in finished],
                y=best,
                mode="lines",
                line={"shape": "hv", "width": 2.5, "color": CATEGORICAL[1]},
                name="best so far",
                hovertemplate=f"best so far {_hover(summary)}<extra></extra>",
            )
        )
    for status, (symbol, colour) in MARKERS.items():
        trials = [trial for trial in summary.having(status) if trial.value is not None]
        if trials:
            figure.add_trace(
                go.Scatter(
                    x=[trial.number for trial in trials],
                    y=[trial.value for trial in trials],
                    mode="markers",
                    marker={"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}},
                    name=status,
                    customdata=[[trial.run, _describe(trial)] for trial in trials],
                    hovertemplate=f"<b>%{{customdata[0]}}</b>: {_hover(summary)}<br>%{{customdata[1]}}<extra></extra>",
                )
            )
    if summary.best is not None:
        figure.add_trace(
            go.Scatter(
                x=[summary.best.number],
                y=[summary.best.value],
                mode="markers",
                marker=BEST,
                name="best",
                hoverinfo="skip",
            )
        )
    figure.update_xaxes(title="trial", range=[0.3, max(summary.budget, len(summary.trials)) + 0.7], tickformat="d")
    figure.update_yaxes(title=summary.score_words, tickformat=_ticks(summary))
    return finish(figure, height=height, uirevision=summary.name)


def plot_epochs(summary: StudySummary, *, height: int = 360) -> go.Figure:
    """The score of every trial epoch by epoch: where pruned ones were when they were given up."""
    figure = go.Figure()
    best = summary.best.number if summary.best else None
    shown: set[str] = set()
    for trial in summary.trials:
        if not trial.epochs:
            continue
        name = "best" if trial.number == best else "running" if trial.status == "stopped" else trial.status
        colour = CATEGORICAL[1] if name == "best" else MARKERS.get(trial.status, ("", BASELINE))[1]
        epochs, values = zip(*trial.epochs, strict=True)
        figure.add_trace(
            go.Scatter(
                x=epochs,
                y=values,
                mode="lines+markers",
                line={"color": colour, "width": 3.5 if name == "best" else 1.5},
                marker={"size": [5] * (len(epochs) - 1) + [9], "symbol": "x-thin" if name == "pruned" else "circle",
                        "line": {"width": 2, "color": colour}},
                opacity=1.0 if name == "best" else 0.75,
                name=name,
                legendgroup=name,
                showlegend=name not in shown,
                customdata=[[trial.run, _describe(trial)]] * len(epochs),
                hovertemplate=f"<b>%{{customdata[0]}}</b>, epoch %{{x}}: {_hover(summary)}"
                "<br>%{customdata[1]}<extra></extra>",
            )
        )  # fmt: skip
        shown.add(name)
    figure.update_xaxes(title="epoch", range=[0.9, max(summary.epochs, 1) + 0.1], tickformat="d", dtick=_step(summary))
    figure.update_yaxes(title=summary.score_words, tickformat=_ticks(summary))
    return finish(figure, height=height, uirevision=summary.name)


def plot_importance(importance: Importance, *, height: int = 360) -> go.Figure:
    """What each parameter explains by itself, as a share of what all explain so: the bars sum to 1."""
    shares = sorted(importance.shares.items(), key=lambda item: item[1])
    figure = go.Figure(
        go.Bar(
            x=[share for _, share in shares],
            y=[short_name(key) for key, _ in shares],
            orientation="h",
            marker={"color": CATEGORICAL[0]},
            text=[f"{share:.0%}" for _, share in shares],
            textposition="outside",
            cliponaxis=False,
            customdata=[key for key, _ in shares],
            hovertemplate="%{customdata}: %{x:.1%}<extra></extra>",
        )
    )
    top = max((share for _, share in shares), default=1.0)
    figure.update_xaxes(title="share of what is explained", tickformat=".0%", range=[0, top * 1.15])
    return finish(figure, height=height)


def plot_parallel(summary: StudySummary, *, height: int = 400) -> go.Figure:
    """Every finished trial as a line through its parameters to its value; drag along an axis to keep only a range."""
    finished = summary.having("finished")
    values = np.array([trial.value for trial in finished], dtype=float)
    dimensions = []
    for key in finished[0].params if finished else ():
        scale = scale_of([trial.params[key] for trial in finished], log=key in summary.log_scaled)
        dimensions.append(
            {
                "label": _clip(short_name(key)),
                "values": scale.places,
                "range": _padded(scale.places, scale.ticks),
                "tickvals": list(scale.ticks),
                "ticktext": list(scale.labels),
            }
        )
    ticks = _round_numbers(float(values.min()), float(values.max())) if len(values) else []
    dimensions.append(
        {
            "label": summary.score.replace("_", " "),
            "values": values,
            "range": _padded(values, ticks),
            "tickvals": list(ticks),
            "ticktext": [f"{tick * 100:g} %" if summary.is_share else f"{tick:g}" for tick in ticks],
        }
    )
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            line={"color": values, "colorscale": [list(stop) for stop in VALUE_SCALE]},
            unselected={"line": {"color": BASELINE, "opacity": 0.2}},
            # Plotly's own white halo behind the labels is for white pages.
            labelfont={"size": 14},
            tickfont={"size": 12},
            rangefont={"size": 11},
        )
    )
    return finish(figure, height=height, margin={"l": 56, "r": 56, "t": 56, "b": 24}, uirevision=summary.name)


def plot_slices(summary: StudySummary, *, columns: int = 4) -> go.Figure:
    """Value against each parameter by itself, one panel a parameter; pruned trials in grey."""
    trials = [trial for trial in summary.having("finished", "pruned") if trial.value is not None]
    keys = list(trials[0].params) if trials else []
    columns = max(1, min(columns, len(keys)))
    rows = max(1, math.ceil(len(keys) / columns))
    # Between two rows stand an axis and its title, whatever the height.
    gap = 80 / (SLICE_HEIGHT * rows)
    figure = make_subplots(rows, columns, shared_yaxes=True, horizontal_spacing=0.02, vertical_spacing=gap)
    for position, key in enumerate(keys):
        row, column = divmod(position, columns)
        scale = scale_of([trial.params[key] for trial in trials], log=key in summary.log_scaled)
        for status in ("pruned", "finished"):
            chosen = [index for index, trial in enumerate(trials) if trial.status == status]
            symbol, colour = MARKERS[status]
            figure.add_trace(
                go.Scatter(
                    x=scale.places[chosen],
                    y=[trials[index].value for index in chosen],
                    mode="markers",
                    marker={"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1.5, "color": colour}},
                    opacity=0.85,
                    name=status,
                    legendgroup=status,
                    showlegend=position == 0 and bool(chosen),
                    customdata=[[trials[index].run, _describe(trials[index])] for index in chosen],
                    hovertemplate=f"<b>%{{customdata[0]}}</b>: {_hover(summary)}<br>%{{customdata[1]}}<extra></extra>",
                ),
                row + 1,
                column + 1,
            )
        figure.update_xaxes(
            title=short_name(key),
            tickvals=list(scale.ticks),
            ticktext=list(scale.labels),
            range=_padded(scale.places, scale.ticks, share=0.12),
            row=row + 1,
            col=column + 1,
        )
        figure.update_yaxes(tickformat=_ticks(summary), row=row + 1, col=column + 1)
    figure.update_yaxes(title=summary.score.replace("_", " "), col=1)
    return finish(figure, height=60 + SLICE_HEIGHT * rows, uirevision=summary.name)


def _ticks(summary: StudySummary) -> str:
    """How plotly writes scores along an axis."""
    return ".0%" if summary.is_share else ""


def _hover(summary: StudySummary) -> str:
    """How plotly writes the score under the cursor."""
    return "%{y:.1%}" if summary.is_share else "%{y:.5g}"


def _describe(trial: StudyTrial) -> str:
    lines = [f"{short_name(key)} {short_value(value)}" for key, value in trial.params.items()]
    return "<br>".join([*lines, trial.reason] if trial.reason else lines)


def _clip(text: str) -> str:
    return text if len(text) <= NAME_LETTERS else f"{text[: NAME_LETTERS - 1]}…"


def _step(summary: StudySummary) -> int:
    """Between two ticks of whole epochs."""
    return max(1, math.ceil(summary.epochs / 10))


def _padded(places: np.ndarray, ticks: Sequence[float], share: float = 0.0) -> list[float]:
    """The range of an axis that holds all places and ticks, never empty."""
    every = [*places.tolist(), *ticks] or [0.0]
    low, high = min(every), max(every)
    margin = (high - low) * share if high > low else 0.5
    return [low - margin, high + margin]


def _round_numbers(low: float, high: float) -> list[float]:
    """Four to six round numbers within a range; its one value if it is empty."""
    if low == high:
        return [low]
    exponent = 10 ** math.floor(math.log10((high - low) / 4))
    step = next(factor * exponent for factor in (1, 2, 5, 10) if (high - low) / (factor * exponent) <= 6)
    first, last = math.ceil(low / step), math.floor(high / step)
    # Through decimals: 3 times 0.1 shall read 0.3.
    return [float(f"{count * step:.10g}") for count in range(first, last + 1)]


def _log_numbers(low: float, high: float) -> list[float]:
    """1 and 3 times powers of ten within a range, else its ends."""
    exponents = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    ticks = [float(f"{factor}e{exponent}") for exponent in exponents for factor in (1, 3)]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside if len(inside) >= 2 else sorted({float(f"{low:.2g}"), float(f"{high:.2g}")})
