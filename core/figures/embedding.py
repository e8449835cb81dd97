"""Many pictures as points: the sheet of thumbnails, colours for any number of classes, planes and depths as figures."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageColor, ImageDraw, ImageFont

from core.figures.patches import enlarge
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.seeding import stream

# Okabe & Ito's colours and two more; enough for ten classes.
_TEN = (*CATEGORICAL, "#F0E442", "#8C564B", "#00A6A6")
# From odd ones out to the middle of their class: readable without telling red from green.
SCALE = ("#D55E00", "#E69F00", "#F0E442", "#56B4E9", "#0072B2")
QUALITY = 82


@dataclass(frozen=True, kw_only=True)
class DepthRow:
    """What one layer knows: shares in [0, 1], of `count` images."""

    title: str
    accuracy: float
    interval: tuple[float, float]
    accuracy_on_plane: float
    count: int


def label_palette(count: int) -> list[str]:
    """A colour for each of `count` classes; the first ten are easy to tell apart, hundreds are not."""
    if count <= len(_TEN):
        return list(_TEN[: max(1, count)])
    # Hues by the golden angle; two lightnesses in turns.
    return [_hex(index * 0.61803 % 1, 0.45 if index % 2 else 0.62) for index in range(count)]


def share_groups(shares: np.ndarray, k: int) -> tuple[np.ndarray, list[str], list[str]]:
    """Shares (images,) of `k` neighbours in groups of whole neighbours: codes, what each code means, its colour.

    Five groups at most; of ten neighbours: none, 1–3, 4–6, 7–9, all.
    """
    counts = np.rint(np.asarray(shares) * k).astype(np.int64)
    if k < len(SCALE):  # a colour for every count
        palette = [SCALE[round(place * (len(SCALE) - 1) / max(k, 1))] for place in range(k + 1)]
        return counts, [f"{each} of {k}" for each in range(k + 1)], palette
    groups = [range(1), *(range(part[0], part[-1] + 1) for part in np.array_split(range(1, k), 3)), range(k, k + 1)]
    words = ["none", *(_span(group) for group in groups[1:-1]), "all"]
    codes = np.searchsorted([group[0] for group in groups], counts, side="right") - 1
    return codes, [f"{each} of {k}" for each in words], list(SCALE)


def _span(group: range) -> str:
    return f"{group[0]}" if len(group) == 1 else f"{group[0]}–{group[-1]}"


def thumbnail_sheet(thumbnails: np.ndarray) -> tuple[bytes, int]:
    """All thumbnails (images, side, side, 3) uint8 on one JPEG, row by row, and how many there are in a row.

    As square as it can be, because browsers limit the sides of pictures.
    """
    count, side = thumbnails.shape[:2]
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    padded = np.zeros((rows * columns, side, side, 3), np.uint8)
    padded[:count] = thumbnails
    sheet = padded.reshape(rows, columns, side, side, 3).swapaxes(1, 2).reshape(rows * side, columns * side, 3)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue(), columns


def gallery(
    thumbnails: np.ndarray,
    colours: Sequence[str],
    *,
    columns: int,
    side: int = 96,
    gap: int = 8,
    rim: int = 5,
    marks: Sequence[str] = (),
) -> np.ndarray:
    """Pictures (images, side, side, 3) uint8 in rows, each with a rim of its colour: (height, width, 4) uint8.

    RGBA, so that the gaps show the page. `marks`: a few letters in the corner of each, such as its rank.
    """
    columns = max(1, min(columns, len(thumbnails)))
    rows = -(-len(thumbnails) // columns)
    cell = side + 2 * rim
    sheet = np.zeros((rows * (cell + gap) - gap, columns * (cell + gap) - gap, 4), np.uint8)
    for index, (thumbnail, colour) in enumerate(zip(thumbnails, colours, strict=True)):
        top, left = (place * (cell + gap) for place in divmod(index, columns))
        sheet[top : top + cell, left : left + cell] = (*ImageColor.getrgb(colour), 255)
        inner = slice(top + rim, top + rim + side), slice(left + rim, left + rim + side)
        picture = _enlarged(thumbnail, side)
        sheet[(*inner, slice(3))] = _marked(picture, marks[index]) if marks else picture
    return sheet


def _marked(picture: np.ndarray, mark: str) -> np.ndarray:
    """Letters on black in the lower left corner."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=22)
    left, top, right, bottom = pen.textbbox((0, 0), mark, font=font)
    height = image.height - (bottom - top) - 6
    pen.rectangle((0, height, right - left + 6, image.height), fill="black")
    pen.text((3 - left, height + 3 - top), mark, font=font, fill="white")
    return np.asarray(image)


SHAPES = 4
# Of dots on a plane, and in a space, where there is no triangle.
_SYMBOLS = {True: ("circle", "square", "diamond", "triangle-up"), False: ("circle", "square", "diamond", "cross")}


@dataclass(frozen=True, kw_only=True)
class Outlines:
    """What is around each image's colour: `codes` (images,) into `legend` and `palette`.

    Dots have a shape by it, too, for eyes that cannot tell the colours.
    """

    codes: Sequence[int] | np.ndarray
    legend: Sequence[str]
    palette: Sequence[str]

    def ink(self, index: int) -> str:
        return self.palette[int(self.codes[index]) % len(self.palette)]

    def shape(self, index: int) -> int:
        return int(self.codes[index]) % SHAPES


def picture_plane(
    coordinates: np.ndarray,
    thumbnails: np.ndarray,
    colours: Sequence[str],
    *,
    outlines: Outlines | None = None,
    width: int = 2000,
    side: int = 64,
    paper: str = "#FFFFFFFF",
) -> np.ndarray:
    """The plane as one picture: thumbnails where they fit, dots of their colour where not; (height, width, 4) uint8.

    Of three axes the first two are drawn.

    Args:
        coordinates: (images, 2 or 3).
        thumbnails: (images, side, side, 3) uint8.
        colours: of each image.
        outlines: around the colours.
        paper: what it is drawn on; "#FFFFFF00" lets the page shine through.
    """
    points = coordinates[:, :2] - coordinates[:, :2].min(axis=0)
    extent = np.maximum(points.max(axis=0), 1e-6)
    margin = side
    scale = (width - 2 * margin) / extent.max()
    height = int(extent[1] * scale) + 2 * margin
    sheet = Image.new("RGBA", (int(extent[0] * scale) + 2 * margin, height), paper)
    pen = ImageDraw.Draw(sheet)
    places = np.round(points * scale + margin).astype(int) * [1, -1] + [0, height]
    shown: list[int] = []
    taken = np.empty((0, 2))
    for index in stream("thumbnails").permutation(len(places)):
        if not len(taken) or (np.abs(taken - places[index]).max(axis=1) >= 0.75 * side).all():
            shown.append(int(index))
            taken = np.vstack([taken, places[index]])
    for index in np.setdiff1d(np.arange(len(places)), shown):
        x, y = places[index]
        if outlines:
            _dot(pen, x, y, 9, outlines.shape(index), outlines.ink(index))
        _dot(pen, x, y, 6, outlines.shape(index) if outlines else 0, colours[index])
    for index in shown:
        left, top = places[index] - side // 2
        sheet.paste(Image.fromarray(_enlarged(thumbnails[index], side)), (int(left), int(top)))
        pen.rectangle((left - 2, top - 2, left + side + 1, top + side + 1), outline=colours[index], width=4)
        if outlines:
            rim = (left - 7, top - 7, left + side + 6, top + side + 6)
            pen.rectangle(rim, outline=outlines.ink(index), width=4)
    return np.asarray(sheet)


def _dot(pen: ImageDraw.ImageDraw, x: int, y: int, r: int, shape: int, ink: str) -> None:
    """A dot in one of the four shapes that the browser draws, too."""
    if shape == 0:
        pen.ellipse((x - r, y - r, x + r, y + r), fill=ink)
        return
    square = [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
    diamond = [(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
    triangle = [(x, y - r), (x + r, y + r), (x - r, y + r)]
    pen.polygon((square, diamond, triangle)[shape - 1], fill=ink)


def plot_plane(
    coordinates: np.ndarray,
    *,
    ids: Sequence[str],
    codes: np.ndarray,
    legend: Sequence[str],
    palette: Sequence[str],
    selected: Sequence[int] = (),
    outlines: Outlines | None = None,
    method: str,
    height: int = 620,
) -> go.Figure:
    """A plane (images, 2) or a space (images, 3), one trace a colour; what is selected has a dark rim.

    `outlines`: rims and shapes of the dots, named in the legend; what is selected is larger then.
    """
    figure = go.Figure()
    flat = coordinates.shape[1] == 2
    everyone = range(len(coordinates))
    rims = np.array([outlines.ink(index) if outlines else "#111" for index in everyone], dtype=object)
    symbols = np.array([_SYMBOLS[flat][outlines.shape(index) if outlines else 0] for index in everyone], dtype=object)
    rim = np.full(len(coordinates), 2.0 if outlines else 0.0)
    rim[list(selected)] = 2.0 if outlines else 1.5
    sizes = np.full(len(coordinates), (9 if outlines else 6) if flat else 3)
    if outlines:
        sizes[list(selected)] += 5
    for code, name in enumerate(legend):
        rows = np.flatnonzero(np.asarray(codes) == code)
        if not len(rows):
            continue
        marker: dict[str, Any] = {"size": sizes[rows], "color": palette[code % len(palette)]}
        if outlines:
            marker["symbol"] = list(symbols[rows])
        if flat:
            marker["line"] = {"color": list(rims[rows]), "width": rim[rows]}
        figure.add_trace(
            (go.Scattergl if flat else go.Scatter3d)(
                **dict(zip("xyz", coordinates[rows].T, strict=False)),
                mode="markers",
                marker=marker,
                text=[ids[int(row)] for row in rows],
                name=name,
                hovertemplate=f"{name}<br>%{{text}}<extra></extra>",
            )
        )
    for code, name in enumerate(outlines.legend if outlines else ()):
        ink = outlines.palette[code % len(outlines.palette)] if outlines else ""
        figure.add_trace(
            (go.Scattergl if flat else go.Scatter3d)(
                **{axis: [None] for axis in "xyz"[: coordinates.shape[1]]},
                mode="markers",
                marker={"size": 9, "symbol": _SYMBOLS[flat][code % SHAPES], "color": ink},
                name=name,
                legendgroup="outlines",
            )
        )
    axes = {"visible": False} if method != "PCA" else {}
    if flat:
        figure.update_xaxes(title="first axis" if axes == {} else None, **axes)
        figure.update_yaxes(title="second axis" if axes == {} else None, scaleanchor="x", **axes)
    else:
        figure.update_scenes(xaxis_title="1", yaxis_title="2", zaxis_title="3", aspectmode="data")
    return finish(figure, height=height, title={"text": method, "x": 0.99, "xanchor": "right"})


def plot_depths(rows: Sequence[DepthRow]) -> go.Figure:
    """What the ten nearest neighbours know, layer by layer, with 95 % intervals."""
    figure = go.Figure()
    titles = [row.title for row in rows]
    figure.add_trace(
        go.Scatter(
            x=titles,
            y=[100 * row.accuracy for row in rows],
            error_y={
                "array": [100 * (row.interval[1] - row.accuracy) for row in rows],
                "arrayminus": [100 * (row.accuracy - row.interval[0]) for row in rows],
                "thickness": 2,
            },
            mode="lines+markers",
            line={"color": CATEGORICAL[0], "width": 3},
            marker={"size": 10},
            name="in the layer's own dimensions",
            customdata=[row.count for row in rows],
            hovertemplate="%{x}: %{y:.1f} % of %{customdata:,}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=titles,
            y=[100 * row.accuracy_on_plane for row in rows],
            mode="lines+markers",
            line={"color": BASELINE, "dash": "dot"},
            name="on the plane",
            hovertemplate="%{x}, on the plane: %{y:.1f} %<extra></extra>",
        )
    )
    figure.update_yaxes(title="neighbours name the class (%)", range=[0, 101])
    return finish(figure, height=320)


def _enlarged(thumbnail: np.ndarray, side: int) -> np.ndarray:
    """Small images keep their pixels as squares; photos are smooth."""
    if thumbnail.shape[0] <= 32:
        return enlarge(thumbnail, side)
    return np.asarray(Image.fromarray(thumbnail).resize((side, side), Image.Resampling.BICUBIC))


def _hex(hue: float, lightness: float) -> str:
    red, green, blue = (round(255 * channel) for channel in colorsys.hls_to_rgb(hue, lightness, 0.62))
    return f"#{red:02X}{green:02X}{blue:02X}"
