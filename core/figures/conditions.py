"""Things under several conditions: a sheet of what was said of them, and accuracies with their intervals."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.figures.overlay import to_data_uri
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.clip.conditions import ConditionResult
from core.shares import counted, interval_words, share_with_interval
from core.shares import share as share_words

RIGHT, WRONG = "#009E73", "#D55E00"
MOST_STACKED = 12


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One picture of the sheet: what it shows and what was said; None where it could not be drawn."""

    pixels: np.ndarray | None
    shows: str
    said: str


def condition_sheet(result: ConditionResult, keeps: Sequence[str], tiles: Sequence[Sequence[Tile]]) -> str:
    """A row per condition as HTML: its accuracy, and pictures framed by whether they were named right.

    Args:
        keeps: of each condition, what is left to recognise by; empty where nobody knows.
        tiles: of each condition.
    """
    rows = []
    for row, kept, pictures in zip(result.rows, keeps, tiles, strict=True):
        share = "<span style='opacity:.75'>could not be drawn</span>"
        if row.count:
            ends = interval_words(row.correct, row.count, 0)
            share = f"<span style='font-size:1.5rem;font-weight:600'>{share_words(row.correct, row.count)}</span>" + (
                f" <span style='opacity:.75'>of {row.count:,} ({ends})</span>" if ends else ""
            )
        rows.append(
            "<div style='display:flex;flex-wrap:wrap;gap:.4rem 1rem;align-items:center;padding:.35rem 0;"
            "border-bottom:1px solid rgba(128,128,128,.25)'>"
            f"<div style='flex:0 0 11.5rem'><b>{html.escape(row.condition)}</b><br>{share}"
            + (f"<br><span style='opacity:.75;font-size:.85rem'>keeps {html.escape(kept)}</span>" if kept else "")
            + "</div><div style='flex:1 1 16rem;display:grid;gap:.35rem;"
            "grid-template-columns:repeat(auto-fill,minmax(3.7rem,1fr))'>"
            + "".join(map(_tile, pictures))
            + "</div></div>"
        )
    return f"<div style='font-size:.95rem'>{''.join(rows)}</div>"


def plot_conditions(result: ConditionResult) -> go.Figure:
    """Accuracy of each condition with its 95 % interval, the reference values as diamonds, chance as a line."""
    rows = [row for row in result.rows if row.count]
    names = [html.escape(row.condition) for row in rows]
    figure = go.Figure()
    for index, row in enumerate(rows):
        low, high = (100 * end for end in row.interval)
        value = 100 * row.accuracy
        figure.add_trace(
            go.Scatter(
                x=[value],
                y=[names[index]],
                mode="markers",
                marker={"size": 13, "color": CATEGORICAL[0]},
                error_x={
                    "type": "data",
                    "array": [high - value],
                    "arrayminus": [value - low],
                    "width": 7,
                    "thickness": 2,
                },
                hovertemplate=f"{names[index]}: {share_with_interval(row.correct, row.count)}<extra></extra>",
                name="this model",
                legendgroup="model",
                showlegend=index == 0,
            )
        )
    given = [(name, 100 * row.reference) for name, row in zip(names, rows, strict=True) if row.reference is not None]
    if given:
        figure.add_trace(
            go.Scatter(
                x=[value for _, value in given],
                y=[name for name, _ in given],
                mode="markers",
                marker={"size": 13, "symbol": "diamond", "color": CATEGORICAL[1]},
                hovertemplate="to compare with: %{x:.1f} %<extra></extra>",
                name="to compare with",
            )
        )
    figure.add_vline(x=100 * result.chance, line={"dash": "dash", "color": BASELINE})
    figure.add_annotation(
        x=100 * result.chance, y=1, yref="paper", yanchor="bottom", text="chance", showarrow=False,
        font={"color": BASELINE},
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=names)
    figure.update_xaxes(title="named right (%), with 95 % intervals", range=[-2, 102])
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.08, "x": 0}
    figure.update_layout(showlegend=bool(given))
    return finish(figure, height=140 + 46 * max(1, len(rows)), legend=legend, margin={"l": 8, "r": 8, "t": 48, "b": 8})


def plot_condition_counts(result: ConditionResult) -> go.Figure:
    """How many pictures were shown: a bar a condition, stacked by category.

    Of more than `MOST_STACKED` categories the largest have a colour of their own; the others are one part.
    """
    shown = result.table[..., 1]
    largest = np.argsort(-shown.sum(axis=0), kind="stable")
    own = sorted(largest[:MOST_STACKED]) if len(largest) > MOST_STACKED + 1 else range(len(largest))
    parts = [(result.categories[index], shown[:, index]) for index in own]
    if (rest := shown.shape[1] - len(parts)) > 0:
        others = shown.sum(axis=1) - np.sum([counts for _, counts in parts], axis=0)
        parts.append((counted(rest, "other category", "other categories"), others))
    totals = [f"{html.escape(row.condition)} ({row.count:,})" for row in result.rows]
    figure = go.Figure(
        [
            go.Bar(
                x=counts,
                y=totals,
                orientation="h",
                name=html.escape(name),
                marker={"color": BASELINE if place >= len(own) else CATEGORICAL[place % len(CATEGORICAL)]},
                text=[f"{count:,}" if count else "" for count in counts],
                textposition="inside",
                insidetextanchor="middle",
                hovertemplate=f"{html.escape(name)}: %{{x}} in %{{y}}<extra></extra>",
            )
            for place, (name, counts) in enumerate(parts)
        ]
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="pictures shown, by category", rangemode="tozero")
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "traceorder": "normal"}
    return finish(figure, height=170 + 34 * len(totals), barmode="stack", legend=legend)


def plot_categories(result: ConditionResult) -> go.Figure:
    """Named right in per cent, conditions across and categories down; empty where nothing was shown."""
    right, shown = result.table[..., 0].T, result.table[..., 1].T
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(shown > 0, 100 * right / shown, np.nan)
    columns = [html.escape(row.condition) for row in result.rows]
    rows = [html.escape(name) for name in result.categories]
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=columns,
            y=rows,
            zmin=0,
            zmax=100,
            # Nothing is the page's own colour, light or dark.
            colorscale=[[0, "rgba(0,114,178,0)"], [0.2, "rgba(86,180,233,0.55)"], [1, "#0072B2"]],
            customdata=np.stack([right, shown], axis=-1),
            hovertemplate="%{y}, %{x}: %{customdata[0]} of %{customdata[1]}<extra></extra>",
            colorbar={"title": {"text": "named right (%)", "side": "right"}, "thickness": 12},
            xgap=2,
            ygap=2,
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False)
    return finish(figure, height=120 + 24 * len(rows))


def _tile(tile: Tile) -> str:
    if tile.pixels is None:
        return (
            "<div style='aspect-ratio:1;border:3px dashed rgba(128,128,128,.5);border-radius:.4rem;display:grid;"
            "place-items:center;opacity:.6;font-size:.75rem;text-align:center'>cannot<br>be drawn</div>"
        )
    right = tile.said == tile.shows
    colour, mark = (RIGHT, "✓") if right else (WRONG, "✗")
    said = html.escape(tile.said)
    return (
        f"<div title='shows: {html.escape(tile.shows, quote=True)}; said: {html.escape(tile.said, quote=True)}'>"
        f"<img src='{to_data_uri(tile.pixels)}' alt='{html.escape(tile.shows, quote=True)}, taken for {said}' "
        f"style='width:100%;aspect-ratio:1;border:3px solid {colour};border-radius:.4rem;display:block'>"
        f"<div style='font-size:.75rem;white-space:nowrap;overflow:hidden;text-overflow:ellipsis'>"
        f"<span style='color:{colour}'>{mark}</span> {said}</div></div>"
    )
