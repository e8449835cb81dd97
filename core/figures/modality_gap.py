"""Two clouds and the way between them: what closing the modality gap does, and what only seems to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.intervals import wilson_interval
from core.methods.embeddings.embedding import TITLES, Method
from core.methods.modality_gap.alignment_steps import AlignmentStep, Plane
from core.methods.modality_gap.modality_gap import Budget, Outcome
from core.methods.modality_gap.side_planes import SidePlane
from core.seeding import stream

IMAGES, TEXTS, FITTED = CATEGORICAL[0], CATEGORICAL[1], CATEGORICAL[3]
GAP, COSINE, HELD_OUT = CATEGORICAL[2], CATEGORICAL[6], CATEGORICAL[0]
# More threads than this are a fog.
THREADS = 120
POINTS = 1500
AXES: dict[Plane, tuple[str, str]] = {
    "gap": ("along the gap, from captions to images →", "first principal component of the rest"),
    "pca": ("first principal component", "second principal component"),
}


def drawn_rows(count: int) -> np.ndarray:
    """Which of `count` pairs are drawn, the first of them with threads."""
    return stream("pairs shown").permutation(count)[:POINTS]


def plot_clouds(
    steps_shown: Sequence[AlignmentStep],
    current: int,
    *,
    names: Sequence[str],
    labels: np.ndarray,
    plane: Plane = "gap",
    by_class: bool = False,
) -> go.Figure:
    """Images and captions in a plane of the whole way, a thread from image to caption, a bar from mean to mean.

    Args:
        names: of the classes.
        labels: (n,) class of each pair.
        by_class: colours tell classes, and only shapes images from captions.
    """
    images, texts = steps_shown[current].images[plane], steps_shown[current].texts[plane]
    rows = drawn_rows(len(labels))
    said = np.array([names[label] for label in labels], dtype=object)
    figure = go.Figure()
    threads = rows[:THREADS]
    gaps = np.full((len(threads), 1, 2), np.nan)
    ends = np.concatenate([images[threads, None], texts[threads, None], gaps], axis=1).reshape(-1, 2)
    figure.add_trace(
        go.Scatter(
            x=ends[:, 0],
            y=ends[:, 1],
            mode="lines",
            line={"color": "rgba(128,128,128,0.28)", "width": 1},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    palette = np.array(CATEGORICAL)
    for points, colour, symbol, size, title in (
        (images, IMAGES, "circle", 6, "images"),
        (texts, TEXTS, "diamond", 10, "captions"),
    ):
        colours = palette[labels[rows] % len(palette)] if by_class else colour
        figure.add_trace(
            go.Scatter(
                x=points[rows, 0],
                y=points[rows, 1],
                mode="markers",
                marker={
                    "color": colours,
                    "symbol": symbol,
                    "size": size,
                    "opacity": 0.55 if symbol == "circle" else 0.9,
                    "line": {"width": 0.5, "color": "white"},
                },
                name=title,
                customdata=said[rows],
                hovertemplate="%{customdata}<extra>" + title + "</extra>",
            )
        )
    means = np.stack([images.mean(axis=0), texts.mean(axis=0)])
    figure.add_trace(
        go.Scatter(
            x=means[:, 0],
            y=means[:, 1],
            mode="lines+markers",
            line={"color": "#FFC400", "width": 4},
            marker={
                "color": [IMAGES, TEXTS],
                "size": 17,
                "symbol": ["circle", "diamond"],
                "line": {"width": 3, "color": "#FFC400"},
            },
            name="means",
            hovertemplate="mean<extra></extra>",
        )
    )
    # One frame for the whole way: what moves are the clouds.
    everything = np.concatenate([points for each in steps_shown for points in (each.images[plane], each.texts[plane])])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.05 * (high - low)
    figure.update_xaxes(range=[low[0] - margin[0], high[0] + margin[0]], title=AXES[plane][0], showticklabels=False)
    figure.update_yaxes(range=[low[1] - margin[1], high[1] + margin[1]], title=AXES[plane][1], showticklabels=False)
    if plane == "pca":  # of one kind, so of one scale
        figure.update_yaxes(scaleanchor="x", constrain="domain")
        figure.update_xaxes(constrain="domain")
    return finish(figure, height=520, transition={"duration": 350, "easing": "cubic-in-out"})


def plot_side_plane(
    plane: SidePlane, *, names: Sequence[str], labels: np.ndarray, method: Method, by_class: bool = False
) -> go.Figure:
    """Both clouds in a plane of their own.

    Args:
        names: of the classes.
        labels: (n,) class of each image.
        by_class: colours tell classes, and only shapes images from captions.
    """
    figure = go.Figure()
    palette = np.array(CATEGORICAL)
    rows = drawn_rows(len(labels))
    for points, classes, colour, symbol, size, title in (
        (plane.images[rows], labels[rows], IMAGES, "circle", 6, "images"),
        (plane.captions, plane.classes, TEXTS, "diamond", 10, "captions"),
    ):
        figure.add_trace(
            go.Scatter(
                x=points[:, 0],
                y=points[:, 1],
                mode="markers",
                marker={
                    "color": palette[classes % len(palette)] if by_class else colour,
                    "symbol": symbol,
                    "size": size,
                    "opacity": 0.6 if symbol == "circle" else 0.95,
                    "line": {"width": 0.5, "color": "white"},
                },
                name=title,
                customdata=[names[each] for each in classes],
                hovertemplate="%{customdata}<extra>" + title + "</extra>",
            )
        )
    axes = [f"{TITLES[method]} {number}" for number in (1, 2)]
    if plane.explained:
        axes = [f"{axis} ({share:.0%} of the variance)" for axis, share in zip(axes, plane.explained, strict=True)]
    figure.update_xaxes(title=axes[0], showticklabels=False, zeroline=False, constrain="domain")
    figure.update_yaxes(title=axes[1], showticklabels=False, zeroline=False, scaleanchor="x", constrain="domain")
    return finish(figure, height=420)


def plot_alignment(steps_shown: Sequence[AlignmentStep], current: int, *, classes: int) -> go.Figure:
    """Gap and cosine above, accuracies below, along the way; the current stop is marked."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.2, row_heights=[0.42, 0.58])
    steps = np.arange(len(steps_shown))
    count = len(steps_shown[0].correct)
    accuracy = np.array([station.accuracy for station in steps_shown])
    bounds = np.array([wilson_interval(int(station.correct.sum()), count) for station in steps_shown])
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([steps, steps[::-1]]),
            y=100 * np.concatenate([bounds[:, 1], bounds[::-1, 0]]),
            fill="toself",
            fillcolor="rgba(0,114,178,0.16)",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        ),
        row=2,
        col=1,
    )
    lines = [
        (1, [station.gap.distance for station in steps_shown], "gap", GAP, "solid", 1),
        (1, [station.gap.paired_cosine for station in steps_shown], "mean paired cosine", COSINE, "solid", 1),
        (2, accuracy, f"held out (n = {count:,}, 95 %)", HELD_OUT, "solid", 100),
        (2, [station.fitted_accuracy for station in steps_shown], "on the fitted pairs", FITTED, "dot", 100),
        (
            2,
            [station.shuffled_accuracy for station in steps_shown],
            "control: shuffled captions",
            BASELINE,
            "dash",
            100,
        ),
    ]
    for row, values, name, colour, dash, factor in lines:
        values = np.asarray(values, dtype=float)
        if np.isnan(values).all():
            continue
        unit = " %" if factor == 100 else ""
        figure.add_trace(
            go.Scatter(
                x=steps,
                y=factor * values,
                mode="lines",
                line={"color": colour, "dash": dash, "width": 3 if dash == "solid" else 2},
                name=name,
                legend="legend" if row == 1 else "legend2",
                hovertemplate=name + " %{y:.2f}" + unit + "<extra></extra>",
            ),
            row=row,
            col=1,
        )
        figure.add_trace(
            go.Scatter(
                x=[current],
                y=[factor * values[current]],
                mode="markers",
                marker={"color": colour, "size": 11, "line": {"width": 2, "color": "white"}},
                hoverinfo="skip",
                showlegend=False,
            ),
            row=row,
            col=1,
        )
    figure.add_hline(y=100 / classes, line={"color": BASELINE, "width": 1}, row=2, col=1)
    figure.add_annotation(
        x=0, y=100 / classes, text=f"chance, {classes} classes", showarrow=False, yshift=9, xanchor="left",
        font={"size": 12, "color": BASELINE}, row=2, col=1,
    )  # fmt: skip
    figure.add_vline(x=current, line={"color": "#FFC400", "width": 2})
    names = [stop_title(station.centring, station.rotating) for station in steps_shown]
    ends = [number for number, name in enumerate(names) if not name.endswith("%")]
    figure.update_xaxes(
        tickvals=ends, ticktext=[names[number] for number in ends], range=[-0.3, len(steps_shown) - 0.7]
    )
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title="accuracy (%)", range=[0, 103], row=2, col=1)
    above = {"orientation": "h", "yanchor": "bottom", "x": 0}
    return finish(
        figure, height=520, legend={**above, "y": 1.0}, legend2={**above, "y": 0.47},
    )  # fmt: skip


def stop_title(centring: float, rotating: float) -> str:
    """What a stop of the way is called."""
    if rotating:
        return "rotated" if rotating == 1 else f"rotated {rotating:.0%}"
    if centring:
        return "centred" if centring == 1 else f"centred {centring:.0%}"
    return "as given"


def plot_control(before: Outcome, outcome: Outcome, *, classes: int) -> go.Figure:
    """Accuracy on the fitted pairs beside held-out pairs, with the true captions and with shuffled ones."""
    shuffled_own, shuffled_held = outcome.shuffled_fitted_accuracies, outcome.shuffled_accuracies
    groups = ["before", "true captions", "shuffled captions"]
    own = [before.fitted_accuracy, outcome.fitted_accuracy, float(shuffled_own.mean()) if len(shuffled_own) else None]
    held = [before.accuracy, outcome.accuracy, float(shuffled_held.mean()) if len(shuffled_held) else None]
    below, above = [], []
    for each in (before, outcome):
        low, high = each.interval
        below.append(100 * (each.accuracy - low))
        above.append(100 * (high - each.accuracy))
    if len(shuffled_held):
        below.append(100 * (held[2] - shuffled_held.min()))
        above.append(100 * (shuffled_held.max() - held[2]))
    figure = go.Figure()
    for values, colour, name, error_bars in (
        (own, FITTED, "on the pairs it was fitted on", None),
        (
            held,
            HELD_OUT,
            "on held-out pairs",
            {"type": "data", "symmetric": False, "array": above, "arrayminus": below},
        ),
    ):
        heights = [None if value is None else 100 * value for value in values]
        figure.add_trace(
            go.Bar(
                x=groups,
                y=heights,
                marker={"color": colour},
                error_y=error_bars,
                name=name,
                text=["" if height is None else f"{height:.0f}" for height in heights],
                textposition="inside",
                insidetextanchor="start",
                hovertemplate="%{y:.1f} %<extra>" + name + "</extra>",
            )
        )
    figure.add_hline(y=100 / classes, line={"color": BASELINE, "dash": "dot"})
    figure.update_yaxes(title="accuracy (%)", range=[0, 106])
    return finish(figure, height=320, barmode="group", bargap=0.3)


def plot_budget(rows: Sequence[Budget], *, before: Outcome, classes: int) -> go.Figure:
    """Cosine of the fitted pairs and held-out accuracy against the number of pairs fitted."""
    pairs = np.array([row.pairs for row in rows])
    figure = go.Figure()
    bounds = np.array([row.interval for row in rows])
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([pairs, pairs[::-1]]),
            y=np.concatenate([bounds[:, 1], bounds[::-1, 0]]),
            mode="lines",
            fill="toself",
            fillcolor="rgba(0,114,178,0.16)",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    for values, name, colour, dash in (
        ([row.accuracy for row in rows], "held-out accuracy", HELD_OUT, "solid"),
        ([row.fitted_accuracy for row in rows], "accuracy on the fitted pairs", FITTED, "dot"),
        ([row.fitted_cosine for row in rows], "cosine of the fitted pairs", COSINE, "dot"),
        ([row.held_out_cosine for row in rows], "cosine of held-out pairs", COSINE, "solid"),
    ):
        figure.add_trace(
            go.Scatter(
                x=pairs,
                y=values,
                mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 2.5},
                name=name,
                hovertemplate="%{x} pairs: %{y:.2f}<extra>" + name + "</extra>",
            )
        )
    figure.add_hline(y=before.accuracy, line={"color": HELD_OUT, "width": 1, "dash": "dash"})
    figure.add_hline(y=1 / classes, line={"color": BASELINE, "dash": "dot"})
    figure.update_xaxes(type="log", title="pairs fitted", tickvals=pairs, ticktext=[f"{each:,}" for each in pairs])
    figure.update_yaxes(title="accuracy, cosine", range=[min(0, *(row.held_out_cosine for row in rows)), 1.03])
    return finish(figure, height=320)
