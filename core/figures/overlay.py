"""Maps laid over photos, as arrays of pixels: what a model attends to, where it is in the picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from core.figures.theme import DIVERGING, SEQUENTIAL, colour_table

PAPER = (128, 128, 128)


def scale_of(values: np.ndarray, *, signed: bool = False) -> tuple[float, float]:
    """The range of the colours: from 0, or symmetric about 0 for signed maps, to the 99th percentile.

    Not to the largest value: single outlier patches, which large ViTs use as registers (Darcet et al. 2023,
    arXiv:2309.16588), would leave the rest of the map black.
    """
    reach = float(np.quantile(np.abs(values), 0.99)) or float(np.abs(values).max()) or 1.0
    return (-reach, reach) if signed else (0.0, reach)


def overlay(
    photo: np.ndarray,
    values: np.ndarray,
    *,
    signed: bool = False,
    scale: tuple[float, float] | None = None,
    smooth: bool = True,
) -> np.ndarray:
    """Heat over a dimmed photo: (height, width, 3) uint8, as large as `photo` (height, width, 3) uint8.

    Args:
        values: (rows, columns); stretched over the whole photo.
        scale: value range of the colours, for several maps on one scale; the map's own range if None.
        smooth: interpolate between patches; False shows the patches as they are.
    """
    low, high = scale or scale_of(values, signed=signed)
    level = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    resample = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    size = (photo.shape[1], photo.shape[0])
    level = np.clip(np.asarray(Image.fromarray(level).resize(size, resample)), 0, 1)
    colours = colour_table(DIVERGING if signed else SEQUENTIAL)[(level * 255).astype(np.uint8)]
    strength = np.abs(2 * level - 1) if signed else level
    # Grey under the heat, so that hue always means attention and never the photo.
    grey = photo.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    base = 0.25 * photo + 0.45 * grey[..., None]
    opacity = (0.12 + 0.78 * strength**0.8)[..., None]
    return (base * (1 - opacity) + colours * opacity).astype(np.uint8)


def mosaic(
    photo: np.ndarray,
    maps: np.ndarray,
    *,
    cell: int = 72,
    gap: int = 4,
    signed: bool = False,
    shared_scale: bool = False,
    masks: np.ndarray | None = None,
) -> np.ndarray:
    """Every layer a row, every head a column: (height, width, 4) uint8, transparent between the cells.

    `maps`: (layers, heads, rows, columns). Cell (l, h) has its corner at (h, l) times cell + gap. `masks`, bool of the
    same shape, are drawn in their place: the photo where they are true.
    """
    layers, heads = maps.shape[:2]
    thumbnail = np.asarray(Image.fromarray(photo).resize((cell, cell), Image.Resampling.LANCZOS))
    scale = scale_of(maps, signed=signed) if shared_scale else None
    pitch = cell + gap
    canvas = np.zeros((layers * pitch - gap, heads * pitch - gap, 4), dtype=np.uint8)
    for layer in range(layers):
        for head in range(heads):
            top, left = layer * pitch, head * pitch
            if masks is not None:
                tile = dim_outside(thumbnail, masks[layer, head])
            else:
                tile = overlay(thumbnail, maps[layer, head], signed=signed, scale=scale)
            canvas[top : top + cell, left : left + cell, :3] = tile
            canvas[top : top + cell, left : left + cell, 3] = 255
    return canvas


def dim_outside(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photo where `mask` (rows, columns) is true, a faint grey elsewhere, with the border drawn."""
    height, width = photo.shape[:2]
    wide = (
        np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.NEAREST)) > 0
    )
    grey = photo.mean(axis=2, keepdims=True)
    result = np.where(wide[..., None], photo, 0.25 * grey + 0.5 * np.array(PAPER)).astype(np.uint8)
    edge = np.zeros_like(wide)
    edge[1:] |= wide[1:] != wide[:-1]
    edge[:, 1:] |= wide[:, 1:] != wide[:, :-1]
    result[edge] = (255, 196, 0)
    return result


def difference(photo: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where the second map is higher (red) or lower (blue) than the first; both brought to sum 1 first.

    Maps on different grids are compared on the finer one.
    """
    rows, columns = max(first.shape[0], second.shape[0]), max(first.shape[1], second.shape[1])

    def share(values: np.ndarray) -> np.ndarray:
        fine = np.asarray(Image.fromarray(values.astype(np.float32)).resize((columns, rows), Image.Resampling.BILINEAR))
        return fine / max(float(np.abs(fine).sum()), 1e-12)

    ours, theirs = share(first), share(second)
    # The maps' own peak is the scale: scaled to itself, the difference of equal maps would be rounding noise in colour.
    reach = max(float(np.abs(ours).max()), float(np.abs(theirs).max())) or 1.0
    return overlay(photo, theirs - ours, signed=True, scale=(-reach, reach))


def centre(values: np.ndarray, share: tuple[float, float]) -> np.ndarray:
    """The middle of a map (rows, columns) or a picture (rows, columns, 3), on the same grid.

    `share`: of the width and of the height.
    """
    rows, columns = values.shape[:2]
    left, top = (1 - share[0]) / 2 * columns, (1 - share[1]) / 2 * rows
    picture = Image.fromarray(values if values.ndim == 3 else values.astype(np.float32))
    box = (left, top, columns - left, rows - top)
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR, box=box))


def captioned(pictures: Sequence[np.ndarray], captions: Sequence[str]) -> np.ndarray:
    """Pictures of one height in a row, each under its caption: for export."""
    strip = 28
    height, gap = pictures[0].shape[0], 8
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, height + strip), "white")
    draw, left = ImageDraw.Draw(sheet), 0
    for picture, caption in zip(pictures, captions, strict=True):
        draw.text((left + 2, 5), caption, fill="black", font_size=16)
        sheet.paste(Image.fromarray(picture[..., :3]), (left, strip))
        left += picture.shape[1] + gap
    return np.asarray(sheet)


def to_png(pixels: np.ndarray) -> bytes:
    """Pixels as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def to_data_uri(pixels: np.ndarray, *, quality: int = 85) -> str:
    """Pixels as a `data:` address that a page can show: WebP, which keeps transparency and is small."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=1)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
