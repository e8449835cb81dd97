"""Half the bits: how long, how much memory, and what it does to the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.figures.attention import short_label
from core.figures.theme import BASELINE, CATEGORICAL, finish, spread
from core.methods.accuracy.predictions import class_name
from core.methods.precision.agreement import Agreement
from core.methods.precision.memory_profile import MemoryProfile
from core.methods.precision.precision import FORMATS
from core.methods.precision.timing import Latencies

FORMAT_COLOURS = dict(
    zip(FORMATS, (CATEGORICAL[0], CATEGORICAL[1], CATEGORICAL[2], CATEGORICAL[4], CATEGORICAL[3]), strict=True)
)
FLIP = "#D00000"
# Runs beyond so many times the slowest format's median are counted at the edge.
LONGEST = 2.5
BINS = 48


def plot_latencies(latencies: Mapping[str, Latencies]) -> go.Figure:
    """One histogram a format over a common axis from zero, with each run as a tick and the median as a line."""
    names = list(latencies)
    figure = make_subplots(rows=len(names), cols=1, shared_xaxes=True, vertical_spacing=0.32 / len(names))
    edge = LONGEST * max(each.median for each in latencies.values())
    edge = min(edge, 1.05 * max(float(each.milliseconds.max()) for each in latencies.values()))
    for row, name in enumerate(names, start=1):
        each, colour = latencies[name], FORMAT_COLOURS[name]
        shown = np.minimum(each.milliseconds, edge)
        figure.add_trace(
            go.Histogram(
                x=shown,
                xbins={"start": 0, "end": edge * (1 + 1 / BINS), "size": edge / BINS},
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate="%{y} runs of %{x} ms<extra></extra>",
                showlegend=False,
            ),
            row=row,
            col=1,
        )
        figure.add_vline(x=each.median, line={"color": colour, "dash": "dot", "width": 2}, row=row, col=1)
        beyond = int((each.milliseconds > edge).sum())
        text = f"<b>{FORMATS[name].title}</b>  median {_ms(each.median)} ms, mean {_ms(each.mean)} ± {_ms(each.std)}"
        figure.add_annotation(
            text=text + (f", {beyond} beyond {_ms(edge)}" if beyond else ""),
            xref="x domain" if row == 1 else f"x{row} domain",
            yref="y domain" if row == 1 else f"y{row} domain",
            x=0,
            y=1.0,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 13},
        )
        highest = int(np.histogram(shown, bins=BINS, range=(0, edge))[0].max())
        figure.update_yaxes(title="runs", row=row, col=1, rangemode="tozero", dtick=max(1, round(highest / 3)))
    figure.update_xaxes(range=[0, edge * 1.03])
    figure.update_xaxes(title="one forward pass (ms)", row=len(names), col=1)
    return finish(figure, height=110 + 105 * len(names), bargap=0.04)


def plot_memory(profiles: Mapping[str, MemoryProfile]) -> go.Figure:
    """Parameters as bars; beside them what else is alive while the pass goes through the network."""
    figure = make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.24, 0.76],
        horizontal_spacing=0.12,
        subplot_titles=("weights, MiB", "activations alive, MiB"),
    )
    highest = max(float(profile.peak_mib.max()) for profile in profiles.values())
    peaks = [float(profile.peak_mib[profile.highest]) for profile in profiles.values()]
    heights = spread(peaks, 0.08 * highest)
    for (name, profile), height in zip(profiles.items(), heights, strict=True):
        title, colour = FORMATS[name].title, FORMAT_COLOURS[name]
        figure.add_trace(
            go.Bar(
                x=[title],
                y=[profile.parameters_mib],
                marker={"color": colour},
                text=[f"{profile.parameters_mib:.3g}"],
                textposition="outside",
                cliponaxis=False,
                hovertemplate="%{y:.2f} MiB<extra></extra>",
                showlegend=False,
            ),
            row=1,
            col=1,
        )
        steps = np.arange(len(profile.modules))
        figure.add_trace(
            go.Scatter(
                x=steps,
                y=profile.peak_mib,
                line={"color": colour, "shape": "hvh", "width": 2},
                fill="tozeroy",
                fillcolor=_faint(colour),
                name=title,
                customdata=[each or "(between parts)" for each in profile.modules],
                hovertemplate="%{customdata}: %{y:.2f} MiB<extra>" + title + "</extra>",
            ),
            row=1,
            col=2,
        )
        figure.add_trace(
            go.Scatter(
                x=[profile.highest],
                y=[profile.peak_mib[profile.highest]],
                mode="markers",
                marker={"color": colour, "size": 9},
                hoverinfo="skip",
                showlegend=False,
            ),
            row=1,
            col=2,
        )
        figure.add_trace(
            go.Scatter(
                x=[profile.highest],
                y=[height],
                mode="text",
                text=[f"  {_mib(float(profile.peak_mib.max()))}"],
                textfont={"color": colour},
                textposition="top right",
                hoverinfo="skip",
                showlegend=False,
            ),
            row=1,
            col=2,
        )
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(range=[0, 1.18 * max(heights) or 1], row=1, col=2)
    figure.update_xaxes(title="modules, in the order they work →", row=1, col=2)
    # The bars say which colour is which.
    return finish(figure, height=320, showlegend=False, margin={"l": 8, "r": 8, "t": 40, "b": 8})


def plot_agreement(
    results: Mapping[str, Agreement], titles: Sequence[str], classes: Sequence[str], *, top: int = 5
) -> go.Figure:
    """Each image's likeliest classes: fp32 against the shorter format, and their difference; changed answers crossed.

    `titles`: of the images.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.62, 0.38], vertical_spacing=0.06)
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": BASELINE, "dash": "dot"},
            showlegend=False,
            hoverinfo="skip",
        ),
        row=1,
        col=1,
    )
    for name, result in results.items():
        order = np.argsort(-result.reference, axis=1, kind="stable")[:, :top]
        rows = np.repeat(np.arange(len(result)), order.shape[1])
        chosen = order.ravel()
        known = result.finite[rows]
        rows, chosen = rows[known], chosen[known]
        first = np.tile(np.arange(order.shape[1]) == 0, len(result))[known]
        before, after = result.reference[rows, chosen], result.reduced[rows, chosen]
        flipped = first & ~result.same_answer[rows]
        words = [
            f"{titles[image]}<br>{short_label(class_name(classes, int(label)))}"
            for image, label in zip(rows, chosen, strict=True)
        ]
        colour, title = FORMAT_COLOURS[name], FORMATS[name].title
        for row, values in ((1, after), (2, 100 * (after - before))):
            for part, marker, label in (
                (~first, {"size": 5, "opacity": 0.35}, ""),
                (first & ~flipped, {"size": 9, "line": {"width": 1, "color": "white"}}, title),
                (
                    flipped,
                    {"size": 14, "symbol": "x", "line": {"width": 1, "color": "white"}},
                    f"{title}: another answer",
                ),
            ):
                if not part.any():
                    continue
                figure.add_trace(
                    go.Scatter(
                        x=before[part],
                        y=values[part],
                        mode="markers",
                        marker={"color": FLIP if marker.get("symbol") else colour, **marker},
                        name=label,
                        showlegend=bool(label) and row == 1,
                        legendgroup=label or title,
                        customdata=np.array(words)[part],
                        hovertemplate="%{customdata}<br>fp32 %{x:.4f}<br>"
                        + title
                        + (" %{y:.4f}" if row == 1 else " %{y:+.3f} points")
                        + "<extra></extra>",
                    ),
                    row=row,
                    col=1,
                )
    figure.update_yaxes(title="probability, shorter", range=[-0.03, 1.03], row=1, col=1)
    figure.update_yaxes(title="difference (points)", zeroline=True, zerolinecolor=BASELINE, row=2, col=1)
    figure.update_xaxes(range=[-0.03, 1.03])
    figure.update_xaxes(title="probability in fp32", row=2, col=1)
    return finish(figure, height=520)


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.14)"


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _mib(value: float) -> str:
    return f"{value:.3g} MiB" if value < 100 else f"{value:,.0f} MiB"
