"""Latent spaces drawn: what each dimension carries, where pictures lie, what a model costs against what it keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.figures.embedding import label_palette
from core.figures.patches import enlarge
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.latent.collapse import Units
from core.methods.latent.drawing import Manifold
from core.methods.latent.rate_distortion import RateDistortion
from core.methods.latent.statistics import LatentStatistics

ACTIVE, STUCK = CATEGORICAL[0], CATEGORICAL[4]
KINDS = {"active": ACTIVE, "active, at its free bits": STUCK, "not active": BASELINE}
_SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up", "star")
_BINS = 32
# Below it a variance is that of a dimension that says nothing; the axis is logarithmic.
_LEAST = 1e-6


def unit_kinds(units: Units) -> np.ndarray:
    """(latent_dim,) what to say of each latent: keys of `KINDS`."""
    kinds = np.where(units.active, "active", "not active").astype(object)
    kinds[units.at_free_bits] = "active, at its free bits"
    return kinds


def plot_units(units: Units, *, height: int = 300, title: str = "") -> go.Figure:
    """The KL of every latent, the largest first, coloured by whether it is active."""
    order, kinds = np.argsort(-units.kl, kind="stable"), unit_kinds(units)
    figure = go.Figure()
    places = np.arange(len(order))
    for kind, colour in KINDS.items():
        here = kinds[order] == kind
        if here.any():
            figure.add_trace(
                go.Bar(
                    x=places[here],
                    y=units.kl[order][here],
                    name=f"{kind}: {int(here.sum())}",
                    marker_color=colour,
                    customdata=np.stack([order[here], units.spread[order][here]], axis=1),
                    hovertemplate="latent %{customdata[0]}: %{y:.3f} nats<br>variance of its means "
                    "%{customdata[1]:.4f}<extra></extra>",
                )
            )
    figure.update_xaxes(
        title="latent, the largest KL first",
        tickvals=places[:: max(1, len(places) // 24)],
        ticktext=[str(each) for each in order[:: max(1, len(places) // 24)]],
    )
    figure.update_yaxes(title="KL (nats)", rangemode="tozero")
    return finish(figure, height=height, barmode="overlay", bargap=0.25, title=_title(title), margin=_margin(title))


def plot_moments(statistics: LatentStatistics, order: np.ndarray, *, height: int = 420) -> go.Figure:
    """Of every latent the posterior means and log-variances of all pictures: their average, and 90 % of them."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    places = np.arange(len(order))
    rows = ((statistics.means, "mean", CATEGORICAL[0]), (statistics.log_variances, "log-variance", CATEGORICAL[1]))
    for row, (values, name, colour) in enumerate(rows, 1):
        low, middle, high = np.quantile(values[:, order], (0.05, 0.5, 0.95), axis=0)
        average = values[:, order].mean(axis=0, dtype=np.float64)
        figure.add_trace(
            go.Scatter(
                x=places,
                y=average,
                error_y={"array": high - average, "arrayminus": average - low, "thickness": 2, "width": 3},
                mode="markers",
                marker={"color": colour, "size": 8},
                customdata=np.stack([order, middle], axis=1),
                hovertemplate=f"latent %{{customdata[0]}}: {name} %{{y:.3f}}, median %{{customdata[1]:.3f}}"
                "<extra></extra>",
                showlegend=False,
            ),
            row=row,
            col=1,
        )
        figure.update_yaxes(title=name, row=row, col=1)
        figure.add_hline(y=0, line={"color": BASELINE, "dash": "dot", "width": 1}, row=row, col=1)
    step = max(1, len(places) // 24)
    figure.update_xaxes(
        title="latent, the largest KL first", tickvals=places[::step], ticktext=[str(each) for each in order[::step]],
        row=2, col=1,
    )  # fmt: skip
    return finish(figure, height=height)


def plot_spread(units: Units, *, height: int = 300) -> go.Figure:
    """How many latents have means that vary by how much, over a logarithmic axis, and where δ cuts."""
    values = np.log10(np.maximum(units.spread, _LEAST))
    low, high = min(values.min(), np.log10(max(units.delta, _LEAST))) - 0.3, max(values.max(), 0) + 0.3
    figure = go.Figure(
        go.Histogram(
            x=values,
            xbins={"start": low, "end": high, "size": (high - low) / _BINS},
            marker_color=CATEGORICAL[0],
            hovertemplate="%{y} latents<extra></extra>",
        )
    )
    ticks = np.arange(np.floor(low), np.ceil(high) + 1)
    figure.update_xaxes(
        title="variance of the posterior means", range=[low, high], tickvals=ticks,
        ticktext=[f"10<sup>{int(tick)}</sup>" for tick in ticks],
    )  # fmt: skip
    figure.update_yaxes(title="latents")
    if units.delta > 0:
        figure.add_vline(x=np.log10(max(units.delta, _LEAST)), line={"color": CATEGORICAL[1], "width": 3})
        figure.add_annotation(
            x=np.log10(max(units.delta, _LEAST)), y=1, yref="paper", text=f"δ = {units.delta:g}", showarrow=False,
            xanchor="left", xshift=6, font={"color": CATEGORICAL[1]},
        )  # fmt: skip
    return finish(figure, height=height, bargap=0.05, showlegend=False)


def plot_latent_plane(
    means: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    *,
    dimensions: tuple[int, int] = (0, 1),
    pinned: np.ndarray | None = None,
    height: int = 560,
) -> go.Figure:
    """Pictures as points where the means of their posteriors lie in two of the latents, coloured by class."""
    figure, (first, second) = go.Figure(), dimensions
    names = list(classes) or ["pictures"]
    palette = label_palette(len(names))
    for label, name in enumerate(names):
        rows = np.flatnonzero(labels == label)
        if len(rows):
            figure.add_trace(
                go.Scattergl(
                    x=means[rows, first], y=means[rows, second], mode="markers", name=str(name),
                    marker={"size": 5, "color": palette[label]}, hovertemplate=f"{name}<extra></extra>",
                )
            )  # fmt: skip
    if pinned is not None:
        figure.add_trace(
            go.Scatter(
                x=[pinned[first]], y=[pinned[second]], mode="markers", name="chosen",
                marker={"size": 14, "symbol": "x", "color": "#111", "line": {"color": "#fff", "width": 2}},
            )
        )  # fmt: skip
    figure.update_xaxes(title=f"latent {first}")
    figure.update_yaxes(title=f"latent {second}", scaleanchor="x")
    return finish(figure, height=height)


def plot_rate_distortion(found: RateDistortion, *, height: int = 420) -> go.Figure:
    """KL against reconstruction of several models, or against the squared error where nats do not compare.

    Where they do, lines of equal ELBO run across.
    """
    figure, kinds = go.Figure(), list(dict.fromkeys((point.decoder, point.split) for point in found.points))
    for number, kind in enumerate(kinds):
        points = [point for point in found.points if (point.decoder, point.split) == kind]
        figure.add_trace(
            go.Scatter(
                x=[point.rate for point in points],
                y=[point.distortion if found.comparable else point.squared_error for point in points],
                mode="markers+text",
                text=[f" {point.title}, β = {point.beta:g}" for point in points],
                # In turns, so that the names of near points do not cover each other.
                textposition=["top right" if place % 2 == 0 else "bottom right" for place in range(len(points))],
                cliponaxis=False,
                name=f"{kind[0]}, {kind[1]}",
                marker={
                    "size": 13,
                    "color": CATEGORICAL[number % len(CATEGORICAL)],
                    "symbol": _SYMBOLS[number % len(_SYMBOLS)],
                },
                customdata=[(point.active, point.latents, point.elbo) for point in points],
                hovertemplate="rate %{x:.2f} nats, %{y:.2f}<br>%{customdata[0]} of %{customdata[1]} latents active"
                "<br>ELBO %{customdata[2]:.2f}<extra></extra>",
            )
        )
    rates = [point.rate for point in found.points] or [0.0]
    right = max(rates) * 1.35 + 0.5
    figure.update_xaxes(title="rate: KL (nats)", range=[0, right])
    figure.update_yaxes(title="distortion (nats)" if found.comparable else "squared error of a picture")
    if found.comparable:
        for elbo in sorted({round(point.elbo, 2) for point in found.points}):
            figure.add_trace(
                go.Scatter(
                    x=[0, right], y=[-elbo, -elbo - right], mode="lines", showlegend=False, hoverinfo="skip",
                    line={"color": BASELINE, "dash": "dot", "width": 1},
                )
            )  # fmt: skip
    return finish(figure, height=height)


def manifold_sheet(plane: Manifold, *, cell: int = 40) -> np.ndarray:
    """The tiles of a plane as one picture, (height, width, 3) uint8."""
    side = len(plane.axis)
    rows = []
    for line in plane.pictures:
        pixels = (np.clip(line, 0, 1) * 255).round().astype(np.uint8)
        rows.append(np.concatenate([enlarge(each, cell) for each in pixels], axis=1))
    sheet = np.concatenate(rows)
    assert sheet.shape[0] == side * cell
    return sheet if sheet.shape[-1] == 3 else sheet[..., :3]


def _title(text: str) -> dict[str, object]:
    return {"text": text, "x": 0.01, "xanchor": "left", "y": 0.99, "yanchor": "top", "font": {"size": 14}}


def _margin(title: str) -> dict[str, int]:
    return {"l": 8, "r": 8, "t": 56 if title else 28, "b": 8}
