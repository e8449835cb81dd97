"""Operators side by side as pictures, the identity trap as curves, trained mixers as points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from core.figures.overlay import captioned, scale_of
from core.figures.theme import BASELINE, CATEGORICAL, DIVERGING, SEQUENTIAL, colour_table, finish
from core.methods.operators.identity_trap import IdentityTrap
from core.methods.operators.layer import OperatorResult
from core.methods.operators.mixer_results import MixerResult
from core.methods.operators.picture import colour_readout, read_colours

SHORT_TITLES: dict[str, str] = {
    "convolution": "Convolution",
    "attention": "Attention",
    "post": "Post-normalisation",
    "pre": "Pre-normalisation",
    "attention_modulated_convolution": "Attention in convolution",
    "convolution_modulated_attention": "Convolution as attention",
}
# Operators whose weights may be negative.
SIGNED = ("convolution", "post", "convolution_modulated_attention")
TILE = 216  # of the longer side of a map, about, in pixels


def heat(values: np.ndarray, *, signed: bool = False, scale: tuple[float, float] | None = None) -> np.ndarray:
    """(height, width) → (height, width, 3) uint8, a pixel a position; `scale` as in `core.figures.overlay`."""
    low, high = scale or scale_of(values, signed=signed)
    level = np.clip((values - low) / (high - low), 0, 1)
    return colour_table(DIVERGING if signed else SEQUENTIAL)[np.round(255 * level).astype(np.uint8)]


def feature_sheet(maps: np.ndarray) -> np.ndarray:
    """(channels, height, width) → one picture of all channels about zero, on one scale, a grey line between them."""
    across = 8 if len(maps) > 8 else min(4, len(maps))
    down, (height, width) = -(-len(maps) // across), maps.shape[1:]
    sheet = np.full((down * (height + 1) - 1, across * (width + 1) - 1, 3), 128, dtype=np.uint8)
    scale = scale_of(maps, signed=True)
    for channel, values in enumerate(maps):
        top, left = channel // across * (height + 1), channel % across * (width + 1)
        sheet[top : top + height, left : left + width] = heat(values, signed=True, scale=scale)
    return sheet


def tiles(pictures: Sequence[np.ndarray], captions: Sequence[str]) -> np.ndarray:
    """Small pictures of one size side by side, every pixel a square, each under its caption."""
    factor = max(1, TILE // max(pictures[0].shape[:2]))
    return captioned([each.repeat(factor, axis=0).repeat(factor, axis=1) for each in pictures], captions)


def operator_rows(results: Sequence[OperatorResult], picture: np.ndarray, channel: int) -> dict[str, np.ndarray]:
    """Outputs, feature maps, attention, receptive fields measured and by definition: each a picture of all operators.

    Args:
        picture: (height, width, 3), the colours at the positions; outputs are read back into them.
        channel: whose taps or factors stand where an operator has no attention.
    """
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("output", "features", "attention", "field", "reach")}
    for result in results:
        colours = read_colours(result.output, colour_readout(result.inputs, picture), picture)
        rows["output"].append(np.round(255 * colours).astype(np.uint8))
        rows["features"].append(feature_sheet(result.output))
        row = result.row[min(channel, len(result.row) - 1)]
        rows["attention"].append(heat(row, signed=result.operator in SIGNED))
        rows["field"].append(heat(result.field.gradient))
        rows["reach"].append(heat(result.field.theoretical.astype(np.float32), scale=(0, 1.4)))
    captions = [SHORT_TITLES[result.operator] for result in results]
    return {name: tiles(each, captions) for name, each in rows.items()}


def plot_identity_trap(curves: Mapping[str, IdentityTrap], temperature: float) -> go.Figure:
    """What a position keeps for itself, by temperature: a curve by name, and where the slider stands."""
    figure = go.Figure()
    for index, (name, curve) in enumerate(curves.items()):
        figure.add_scatter(
            x=curve.temperatures,
            y=curve.diagonal,
            name=name,
            mode="lines+markers",
            line={"color": CATEGORICAL[index % len(CATEGORICAL)], "width": 3},
            hovertemplate="T = %{x:.3g}: %{y:.1%}<extra></extra>",
        )
    # On a logarithmic axis an annotation's place is an exponent, and a line's is not.
    usual = sorted({curve.usual_temperature for curve in curves.values()})
    roots = [(value, f"√{round(value**2)}", 1.0, "dash") for value in usual]
    for value, said, height, dash in ((temperature, "now", 1.1, "solid"), *roots):
        figure.add_vline(value, line={"color": BASELINE, "dash": dash, "width": 2})
        figure.add_annotation(x=float(np.log10(value)), y=height, text=said, showarrow=False, xshift=18)
    figure.update_xaxes(title="temperature T", type="log")
    figure.update_yaxes(title="weight kept for itself", tickformat=".0%", range=[-0.03, 1.16])
    return finish(figure, height=320)


def plot_mixers(results: Sequence[MixerResult]) -> go.Figure:
    """Accuracy with its interval against images a second; a point is as large as the measured receptive field."""
    figure = go.Figure()
    for index, result in enumerate(results):
        low, high = result.interval
        figure.add_scatter(
            x=[result.images_per_second],
            y=[result.accuracy],
            error_y={"type": "data", "array": [high - result.accuracy], "arrayminus": [result.accuracy - low]},
            mode="markers+text",
            text=[result.title],
            textposition="middle right",
            name=result.title,
            showlegend=False,
            marker={
                "size": 10 + 40 * result.field_share**0.5,
                "color": CATEGORICAL[index % len(CATEGORICAL)],
                "opacity": 0.85,
            },
            hovertemplate=f"{result.field_share:.0%} of the pixels hold 90 % of the gradient<br>"
            "%{y:.1%} right, %{x:,.0f} images/s<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(title="images a second, forward")
    figure.update_yaxes(title="test accuracy", tickformat=".1%")
    return finish(figure, height=400)
