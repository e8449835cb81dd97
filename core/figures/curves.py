"""Learning curves of runs, side by side, and the learning-rate schedule that a config asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from core.figures.theme import BASELINE, CATEGORICAL, finish, spread

XAxis = Literal["epoch", "step", "minutes"]
X_TITLES: dict[XAxis, str] = {"epoch": "epoch", "step": "step", "minutes": "minutes of training"}
# Counts and clocks, not measurements.
COUNTERS = ("epoch", "epochs", "step", "steps", "time", "seconds")
DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot")
LABEL_LETTERS = 16
PLOT_HEIGHT = 380


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One run as the figures need it.

    Attributes:
        title: written at the end of its line.
        history: one dictionary of numbers a report, as in `metrics.jsonl`.
        test: accuracy on the test split with both ends of its 95 % interval, where it was measured.
        losses: of a training still within an epoch: step, and the mean loss since the step before it in the list.
        steps_per_epoch: to place them among epochs; None: they are drawn over steps alone.
    """

    title: str
    history: Sequence[Mapping[str, Any]]
    test: tuple[float, float, float] | None = None
    losses: Sequence[tuple[int, float]] = ()
    steps_per_epoch: float | None = None


def metric_names(curves: Sequence[Curve]) -> list[str]:
    """Every measured quantity that at least one of the curves has, in order of appearance."""
    names = [
        name
        for curve in curves
        for line in curve.history
        for name, value in line.items()
        if name not in COUNTERS and isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    return list(dict.fromkeys(names))


def has_axis(curves: Sequence[Curve], x: XAxis) -> bool:
    """Whether every curve with a history can be drawn over `x`."""
    return all(len(_series(curve, None, x)[0]) == len(curve.history) for curve in curves)


def colour_of(position: int) -> str:
    """The colour of the curve at `position`; after seven they repeat with another dash."""
    return CATEGORICAL[position % len(CATEGORICAL)]


def plot_learning_curves(
    curves: Sequence[Curve],
    quantity: Literal["accuracy", "loss"],
    *,
    x: XAxis = "epoch",
    smoothing: float = 0.0,
    total: float | None = None,
    height: int = PLOT_HEIGHT,
) -> go.Figure:
    """Validation (solid) and training (dotted) `quantity`, a colour a run, named at the end of its line.

    Args:
        smoothing: weight of the past in an exponential average, 0 for none; the raw line stays visible under it.
        total: where the axis ends while a run is still on its way.
    """
    figure = go.Figure()
    percent = quantity == "accuracy"
    labels = []
    for position, curve in enumerate(curves):
        for part, dash, width in (("train", "dot", 1.5), ("val", DASHES[position // len(CATEGORICAL) % 5], 3.0)):
            places, values = _series(curve, f"{part}_{quantity}", x)
            if not len(values):
                continue
            _line(figure, curve.title, part, places, values, position, dash, width, smoothing, percent)
            if part == "val":
                labels.append((places[-1], _smooth(values, smoothing)[-1], curve.title, position))
        if quantity == "loss":
            _step_losses(figure, curve, position, x)
        if percent and curve.test is not None and curve.history:
            _test_marker(figure, curve, position, x)
    if any(curve.test is not None for curve in curves) and percent:
        _legend(figure, "test", {"mode": "markers", "marker": {"symbol": "diamond", "size": 10}})
    _legend(figure, "validation", {"mode": "lines", "line": {"width": 3}})
    _legend(figure, "training", {"mode": "lines", "line": {"width": 1.5, "dash": "dot"}})
    _label_ends(figure, labels, percent)
    _x_axis(figure, curves, x, total)
    title = quantity if percent else f"{quantity} (nats per image)"
    figure.update_yaxes(title=title, tickformat=".0%" if percent else "")
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "itemwidth": 30, "font": {"size": 12}}
    return finish(figure, height=height, margin=_margin(labels), legend=legend, uirevision=f"{quantity}/{x}")


def plot_metric(
    curves: Sequence[Curve], name: str, *, x: XAxis = "epoch", smoothing: float = 0.0, height: int = 300
) -> go.Figure:
    """Any one quantity of the histories, a line a run."""
    figure, labels = go.Figure(), []
    percent = name.endswith("accuracy")
    for position, curve in enumerate(curves):
        places, values = _series(curve, name, x)
        if len(values):
            dash = DASHES[position // len(CATEGORICAL) % 5]
            _line(figure, curve.title, words(name), places, values, position, dash, 2.5, smoothing, percent)
            labels.append((places[-1], _smooth(values, smoothing)[-1], curve.title, position))
    _label_ends(figure, labels, percent, height)
    _x_axis(figure, curves, x, None)
    figure.update_yaxes(title=words(name), tickformat=".0%" if percent else "", rangemode="tozero")
    return finish(figure, height=height, margin=_margin(labels), uirevision=f"{name}/{x}")


def plot_schedule(rates: np.ndarray, *, epochs: float, warmup_share: float, height: int = 230) -> go.Figure:
    """The learning rate over a training: `rates` (points,) at equal distances from its first step to its last."""
    places = np.linspace(0, epochs, len(rates))
    figure = go.Figure(
        go.Scatter(
            x=places,
            y=rates,
            mode="lines",
            line={"color": CATEGORICAL[0], "width": 3},
            fill="tozeroy",
            fillcolor="rgba(0,114,178,0.12)",
            hovertemplate="epoch %{x:.1f}: %{y:.2e}<extra></extra>",
        )
    )
    peak = int(np.argmax(rates))
    text = f"peak {rates[peak]:.2g}"
    if warmup_share:
        text += f" after {warmup_share:.0%} warm-up"
    figure.add_annotation(
        x=places[peak], y=rates[peak], text=text, showarrow=False, xanchor="left", yanchor="bottom", xshift=6
    )
    figure.update_xaxes(title="epoch", range=[0, epochs])
    figure.update_yaxes(title="learning rate", exponentformat="e", rangemode="tozero", nticks=4)
    return finish(figure, height=height, showlegend=False)


def words(name: str) -> str:
    """`val_accuracy` → "val accuracy"."""
    return name.replace("_", " ")


def _series(curve: Curve, name: str | None, x: XAxis) -> tuple[np.ndarray, np.ndarray]:
    """Places on the axis and values of one quantity, where both are known; `None` asks for the places alone."""
    rows = []
    for line in curve.history:
        place, value = _place(line, x), 0.0 if name is None else line.get(name)
        if place is not None and isinstance(value, (int, float)) and np.isfinite(value):
            rows.append((place, value))
    array = np.array(rows, dtype=float).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _place(line: Mapping[str, Any], x: XAxis) -> float | None:
    if x == "minutes":
        return line["seconds"] / 60 if "seconds" in line else None
    return line.get(x)


def _smooth(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential average, corrected for its start, as TensorBoard does it."""
    if weight <= 0:
        return values
    kept, smooth = 0.0, []
    for count, value in enumerate(values, start=1):
        kept = weight * kept + (1 - weight) * value
        smooth.append(kept / (1 - weight**count))
    return np.array(smooth)


def _line(
    figure: go.Figure,
    title: str,
    part: str,
    places: np.ndarray,
    values: np.ndarray,
    position: int,
    dash: str,
    width: float,
    smoothing: float,
    percent: bool,
) -> None:
    colour = colour_of(position)
    number = "%{y:.1%}" if percent else "%{y:.4g}"
    if smoothing > 0:
        figure.add_trace(
            go.Scatter(
                x=places,
                y=values,
                mode="lines",
                line={"color": colour, "width": 1},
                opacity=0.25,
                showlegend=False,
                hoverinfo="skip",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=places,
            y=_smooth(values, smoothing),
            # A single report is a point, not an invisible line.
            mode="lines+markers" if len(values) == 1 or (len(values) <= 30 and dash != "dot") else "lines",
            line={"color": colour, "width": width, "dash": dash},
            marker={"size": 6},
            showlegend=False,
            name=title,
            hovertemplate=f"{title}<br>{part} {number} at %{{x:.4g}}<extra></extra>",
        )
    )


def _step_losses(figure: go.Figure, curve: Curve, position: int, x: XAxis) -> None:
    """The training loss within epochs, thin: it moves long before the first epoch has ended."""
    places, values = _step_series(curve, x)
    if not len(places):
        return
    figure.add_trace(
        go.Scatter(
            x=places,
            y=values,
            mode="lines",
            line={"color": colour_of(position), "width": 1},
            opacity=0.55,
            showlegend=False,
            hovertemplate=f"{curve.title}<br>step loss %{{y:.4g}} at %{{x:.4g}}<extra></extra>",
        )
    )


def _step_series(curve: Curve, x: XAxis) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the losses within epochs; none where the axis has no place for them."""
    scale = {"step": 1.0, "epoch": curve.steps_per_epoch, "minutes": None}[x]
    rows = np.array(curve.losses, dtype=float).reshape(-1, 2)
    return (rows[:, 0] / scale, rows[:, 1]) if scale else (np.zeros(0), np.zeros(0))


def _test_marker(figure: go.Figure, curve: Curve, position: int, x: XAxis) -> None:
    places, _ = _series(curve, None, x)
    if not len(places) or curve.test is None:
        return
    accuracy, low, high = curve.test
    figure.add_trace(
        go.Scatter(
            x=[places[-1]],
            y=[accuracy],
            error_y={"type": "data", "array": [high - accuracy], "arrayminus": [accuracy - low], "thickness": 2},
            mode="markers",
            cliponaxis=False,
            marker={"symbol": "diamond", "size": 11, "color": colour_of(position)},
            showlegend=False,
            hovertemplate=f"{curve.title}<br>test {accuracy:.1%} ({low:.1%} to {high:.1%})<extra></extra>",
        )
    )


def _legend(figure: go.Figure, name: str, style: dict[str, Any]) -> None:
    """What a kind of line means, in grey: colours stand for runs."""
    grey: dict[str, Any] = {kind: {**style[kind], "color": BASELINE} for kind in ("line", "marker") if kind in style}
    figure.add_trace(go.Scatter(x=[None], y=[None], name=name, hoverinfo="skip", **{**style, **grey}))


def _label_ends(
    figure: go.Figure, labels: list[tuple[float, float, str, int]], percent: bool, height: int = 380
) -> None:
    """Name every line at its end, pushed apart where the ends are too close to read; a lone line shows its value."""
    if not labels:
        return
    everything = np.concatenate([np.asarray(trace.y, dtype=float) for trace in figure.data if trace.y[0] is not None])
    span = float(np.ptp(everything)) or 1.0
    heights = spread([value for _, value, _, _ in labels], 0.075 * 380 / height * span)
    for (place, value, title, position), written in zip(labels, heights, strict=True):
        number = f"{value:.1%}" if percent else f"{value:.3g}"
        short = title if len(title) <= LABEL_LETTERS else f"{title[: LABEL_LETTERS - 1]}…"
        text = number if len(labels) == 1 else short
        figure.add_annotation(
            x=place,
            y=written,
            text=f"<b>{text}</b>",
            showarrow=False,
            xanchor="left",
            xshift=8,
            font={"color": colour_of(position), "size": 13},
        )


def _margin(labels: list[tuple[float, float, str, int]]) -> dict[str, int]:
    """Room beside the plot, in pixels: an axis that went on behind the last epoch would promise more of them."""
    letters = 6 if len(labels) == 1 else max((min(len(label[2]), LABEL_LETTERS) for label in labels), default=0)
    return {"l": 8, "r": 14 + 8 * letters, "t": 28, "b": 8}


def _x_axis(figure: go.Figure, curves: Sequence[Curve], x: XAxis, total: float | None) -> None:
    ends = [
        place for curve in curves for part in (_series(curve, None, x), _step_series(curve, x)) for place in part[0]
    ]
    high = max([*ends, total or 0.0, 1e-9])
    figure.update_xaxes(title=X_TITLES[x], range=[min([0.0, *ends]), high * 1.015])
