"""Positional similarity as a grid of small maps that mirrors the image."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from core.figures.theme import CATEGORICAL, DIVERGING, SEQUENTIAL, colour_table, finish
from core.methods.anatomy.positional import DistanceProfile, PositionalSimilarity


def positional_tiles(similarity: PositionalSimilarity, *, scale: int = 6, gap: int = 3, every: int = 1) -> np.ndarray:
    """One small map per patch, laid out as the patches are: (height, width, 3) uint8.

    Cosines share one scale from -1 to 1 about zero; dot products fill their own range. `every` thins out large grids.
    """
    rows, columns = similarity.grid
    tiles = similarity.tiles[::every, ::every]
    if similarity.measure == "cosine":
        level, table = (tiles + 1) / 2, colour_table(DIVERGING)
    else:
        low, high = float(tiles.min()), float(tiles.max())
        level, table = (tiles - low) / max(high - low, 1e-12), colour_table(SEQUENTIAL)
    colours = table[(np.clip(level, 0, 1) * 255).astype(np.uint8)]
    height, width = rows * scale + gap, columns * scale + gap
    sheet = np.full((tiles.shape[0] * height - gap, tiles.shape[1] * width - gap, 3), 128, dtype=np.uint8)
    for row in range(tiles.shape[0]):
        for column in range(tiles.shape[1]):
            tile = np.asarray(
                Image.fromarray(colours[row, column]).resize((columns * scale, rows * scale), Image.Resampling.NEAREST)
            )
            top, left = row * height, column * width
            sheet[top : top + rows * scale, left : left + columns * scale] = tile
    return sheet


def positional_thumbnail(similarity: PositionalSimilarity) -> np.ndarray:
    """The tiles, thinned to about eight a side."""
    return positional_tiles(similarity, scale=4, gap=4, every=max(1, similarity.grid[0] // 8))


def positional_tile(similarity: PositionalSimilarity, row: int, column: int) -> go.Figure:
    """One patch's similarity with all others, large, with numbers under the pointer."""
    cosine = similarity.measure == "cosine"
    figure = go.Figure(
        go.Heatmap(
            z=similarity.tiles[row, column],
            colorscale=DIVERGING if cosine else SEQUENTIAL,
            zmid=0 if cosine else None,
            zmin=-1 if cosine else None,
            zmax=1 if cosine else None,
            colorbar={"title": similarity.measure, "thickness": 14},
            hovertemplate="row %{y}, column %{x}: %{z:.2f}<extra></extra>",
            x0=1,
            y0=1,
        )
    )
    figure.update_yaxes(autorange="reversed", scaleanchor="x", title="row", showgrid=False)
    figure.update_xaxes(title="column", showgrid=False, constrain="domain")
    return finish(figure, height=380)


def plot_distance_profile(profile: DistanceProfile, measure: str) -> go.Figure:
    """How similarity fades along a row, along a column and over all directions."""
    figure = go.Figure()
    # Hundreds of distances that differ by a hair would draw noise: whole patches are fine enough.
    whole = np.round(profile.distances).astype(int)
    pairs = np.bincount(whole, weights=profile.pairs)
    rounded = np.bincount(whole, weights=profile.similarity * profile.pairs) / np.maximum(pairs, 1)
    for name, x, y, colour, dash in (
        ("all directions", np.arange(len(rounded)), rounded, "#8A8F98", "dot"),
        ("along a row", np.arange(len(profile.along_row)), profile.along_row, CATEGORICAL[0], "solid"),
        ("along a column", np.arange(len(profile.along_column)), profile.along_column, CATEGORICAL[1], "solid"),
    ):
        figure.add_trace(
            go.Scatter(x=x, y=y, name=name, mode="lines", line={"color": colour, "dash": dash, "width": 3})
        )
    figure.update_xaxes(title="distance (patches)")
    figure.update_yaxes(title=f"mean {measure} similarity")
    return finish(figure, height=380)
