"""A diffusion classifier over a whole data set: accuracy against calls, and what pruning saves at which price."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.figures.attention import short_label
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.accuracy.confusion import Accuracy
from core.methods.diffusion.elimination_cost import BudgetCurve

# Of a name over a line, in accuracy.
_NAME_HEIGHT = 0.07


def plot_accuracy_by_calls(
    curve: BudgetCurve, *, others: Sequence[tuple[str, Accuracy]] = (), chance: float | None = None
) -> go.Figure:
    """Accuracy had every classification been stopped at a budget, with its 95 % band; other models as lines across.

    Args:
        others: title and accuracy on the same images; they make one call an image whatever the budget.
        chance: what guessing gives, in [0, 1].
    """
    low, high = 100 * curve.intervals.T
    values = 100 * curve.accuracy
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([curve.calls, curve.calls[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            fillcolor="rgba(0,114,178,0.18)",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=curve.calls,
            y=values,
            mode="lines",
            line={"color": CATEGORICAL[0], "width": 3},
            customdata=np.column_stack([curve.spent, low, high]),
            hovertemplate="at most %{x:,} calls (%{customdata[0]:,.0f} on average): %{y:.1f} % right "
            "(95 % interval %{customdata[1]:.1f} to %{customdata[2]:.1f})<extra></extra>",
            showlegend=False,
        )
    )
    marks = [(title, right.value, CATEGORICAL[1 + place % 6]) for place, (title, right) in enumerate(others)]
    last, place = 2.0, 0
    for title, value, colour in sorted(marks, key=lambda mark: -mark[1]):
        figure.add_hline(y=100 * value, line={"color": colour, "width": 2, "dash": "dash"})
        # Names of lines that lie close together go above and below them, then to the right.
        last, place = value, place + 1 if last - value < _NAME_HEIGHT else 0
        _label(
            figure,
            f"{short_label(title, 24)} {value:.0%}",
            value,
            colour,
            x=(0.01, 0.5)[place // 2 % 2],
            above=not place % 2,
        )
    if chance is not None:
        figure.add_hline(y=100 * chance, line={"color": BASELINE, "width": 1.5, "dash": "dot"})
        _label(figure, "guessing", chance, BASELINE)
    top = max([float(high.max()), *(100 * value for _, value, _ in marks)])
    figure.update_xaxes(title="calls of the network that an image may cost", type="log", **_ticks(curve.calls))
    figure.update_yaxes(title="right (%), 95 % band", range=[0, min(103.0, top + 9)])
    return finish(figure, height=400)


def plot_replays(words: Sequence[str], saved: Sequence[float], same: Sequence[Accuracy], *, chosen: int) -> go.Figure:
    """How often every plan's answer is that of the full grid; a row a plan, the cheapest on top.

    Args:
        saved: calls of the full grid as a multiple of the plan's.
        same: images with the full grid's answer.
        chosen: the plan of the run, in colour.
    """
    order = [int(index) for index in np.argsort(saved)[::-1]]
    figure = go.Figure()
    for place, index in enumerate(order):
        value, (low, high) = 100 * same[index].value, same[index].interval
        colour = CATEGORICAL[1] if index == chosen else CATEGORICAL[0]
        figure.add_trace(
            go.Scatter(
                x=[value],
                y=[place],
                mode="markers+text",
                text=[f"{value:.1f} %"],
                textposition="top center",
                marker={"size": 11, "color": colour},
                error_x={
                    "type": "data",
                    "array": [100 * high - value],
                    "arrayminus": [value - 100 * low],
                    "color": colour,
                },
                hovertemplate=f"{html.escape(words[index])}: {saved[index]:.1f} times fewer calls, the same answer on "
                f"{html.escape(same[index].sentence())}<extra></extra>",
                showlegend=False,
            )
        )
    lines = ["<br>".join(html.escape(line) for line in textwrap.wrap(words[index], 20)) for index in order]
    names = [f"{line}<br><b>{saved[index]:.1f}× fewer</b> " for line, index in zip(lines, order, strict=True)]
    figure.update_yaxes(tickvals=list(range(len(order))), ticktext=names, range=[len(order) - 0.5, -0.8])
    low = min(right.interval[0] for right in same)
    # Room for the numbers above the points at 100 %.
    figure.update_xaxes(title="same answer as the full grid (%)", range=[100 * low - 4, 110 - 5 * low])
    return finish(figure, height=max(340, 110 + 58 * len(order)))


def _label(figure: go.Figure, text: str, value: float, colour: str, *, x: float = 0.01, above: bool = True) -> None:
    """A horizontal mark's name, above or below it from `x`, a share of the width."""
    figure.add_annotation(
        x=x, xref="paper", y=100 * value, text=html.escape(text), font={"color": colour, "size": 13},
        showarrow=False, xanchor="left", yanchor="bottom" if above else "top",
    )  # fmt: skip


def _ticks(values: np.ndarray) -> dict[str, list[float] | list[str]]:
    """Marks of a logarithmic axis, written out: 10, 20, 50, 100."""
    low, high = float(values.min()), float(values.max())
    marks = [digit * 10**power for power in range(10) for digit in (1, 2, 5) if 0.8 * low <= digit * 10**power <= high]
    return {"tickvals": [float(mark) for mark in marks], "ticktext": [f"{mark:,}" for mark in marks]}
