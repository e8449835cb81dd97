"""Pictures painted by a formula and a seed: styles that nobody has a right to, the same on every machine.

A flow is drawn as painters draw wind: colours scattered at random are smeared along it (line integral convolution,
Cabral & Leedom 1993), and lit from one side as if the strokes stood up from the canvas.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from core.errors import UnknownNameError
from core.seeding import stream

# Of the canvas; what is shown of it is scaled.
SIDE = 320
NIGHT = ((10, 24, 76), (24, 58, 132), (54, 110, 176), (120, 170, 204), (232, 214, 120), (248, 176, 44))
AUTUMN = ((74, 26, 20), (158, 42, 28), (222, 96, 34), (244, 178, 72), (96, 104, 46), (36, 58, 60))
TILES = ((18, 62, 110), (28, 128, 150), (236, 226, 198), (222, 150, 58), (176, 58, 46), (58, 40, 60))


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns in [0, 1], each (side, side)."""
    rows, columns = np.mgrid[:side, :side] / side
    return rows, columns


def _smeared(colours: np.ndarray, rows: np.ndarray, columns: np.ndarray, length: int) -> np.ndarray:
    """`colours` (side, side, 3) averaged along the unit flow (rows, columns), `length` pixels either way."""
    from scipy.ndimage import map_coordinates

    side = len(colours)
    place = np.mgrid[:side, :side].astype(float)
    total = colours.copy()
    for sign in (1, -1):
        at = place.copy()
        for _ in range(length):
            near = [map_coordinates(part, at, order=1, mode="nearest") for part in (rows, columns)]
            at = np.clip(at + sign * np.stack(near), 0, side - 1)
            total += np.stack([map_coordinates(colours[..., c], at, order=1, mode="nearest") for c in range(3)], -1)
    return total / (2 * length + 1)


def _blobs(random: np.random.Generator, side: int, cells: int) -> np.ndarray:
    """A smooth field in [0, 1], (side, side), with about `cells` hills a side."""
    from scipy.ndimage import zoom

    field = zoom(random.random((cells + 3, cells + 3)), side / cells, order=3)[:side, :side]
    return (field - field.min()) / np.ptp(field)


def _palette(values: np.ndarray, colours: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Values in [0, 1] → colours between those of the palette, (…, 3) in [0, 255]."""
    stops = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(values, stops, [colour[c] for colour in colours]) for c in range(3)], axis=-1)


def _lit(painted: np.ndarray, height: np.ndarray, strength: float) -> np.ndarray:
    """Brighter where `height` falls away towards the lower right, as under a lamp at the upper left."""
    slope = np.gradient(height, axis=0) + np.gradient(height, axis=1)
    return painted + strength * (slope / (np.abs(slope).std() + 1e-9))[..., None]


def _strokes(
    random: np.random.Generator, base: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, grain: int, length: int
) -> np.ndarray:
    """`base`, values in [0, 1], smeared along a flow, and the height of the paint: (side, side, 2)."""
    side = len(base)
    size = np.hypot(rows, columns) + 1e-9
    scattered = random.random((side // grain + 1, side // grain + 1)).repeat(grain, 0).repeat(grain, 1)[:side, :side]
    smeared = _smeared(np.stack([base, scattered, scattered], -1), rows / size, columns / size, length)
    paint = smeared[..., 1] - smeared[..., 1].mean()
    return np.stack([smeared[..., 0], paint / paint.std()], -1)


def _swirl(random: np.random.Generator, side: int) -> np.ndarray:
    """Whirls of wind with a light in each, in blue and yellow."""
    y, x = _grid(side)
    rows, columns, glow = 0.35 * np.sin(5 * x + 1), np.ones((side, side)), np.zeros((side, side))
    for turn, (row, column) in enumerate(((0.3, 0.27), (0.42, 0.74), (0.82, 0.42), (0.1, 0.62), (0.8, 0.92))):
        row, column = row + random.normal(0, 0.02), column + random.normal(0, 0.02)
        away = np.hypot(y - row, x - column)
        width, way = random.uniform(0.14, 0.2), (-1) ** turn
        pull = 5 * np.exp(-((away / width) ** 2)) / (away + 0.02)
        rows, columns = rows + way * pull * (x - column), columns - way * pull * (y - row)
        # Rings of light around each whirl.
        glow += np.exp(-((away / (0.62 * width)) ** 2)) * (0.78 + 0.22 * np.cos(away * 95))
    base = np.clip(0.42 * _blobs(random, side, 5) + 0.9 * glow, 0, 1)
    tone, paint = np.moveaxis(_strokes(random, base, rows, columns, grain=3, length=13), -1, 0)
    return _lit(_palette(np.clip(tone + 0.11 * paint, 0, 1), NIGHT), paint, 9)


def _brush(random: np.random.Generator, side: int) -> np.ndarray:
    """Broad short strokes across each other, in autumn's colours."""
    bend = 2 * np.pi * _blobs(random, side, 3)
    base = _blobs(random, side, 6)
    tone, paint = np.moveaxis(_strokes(random, base, np.sin(bend), np.cos(bend), grain=7, length=15), -1, 0)
    return _lit(_palette(np.clip(tone + 0.17 * paint, 0, 1), AUTUMN), paint, 12)


def _mosaic(random: np.random.Generator, side: int) -> np.ndarray:
    """Stones of one colour each, with mortar between them."""
    from scipy.spatial import cKDTree

    y, x = _grid(side)
    across = 26
    centres = (np.moveaxis(np.mgrid[:across, :across], 0, -1).reshape(-1, 2) + 0.5) / across
    centres = centres + random.normal(0, 0.22 / across, centres.shape)
    near, stones = cKDTree(centres).query(np.stack([y, x], axis=-1).reshape(-1, 2), k=2)
    mortar = ((near[:, 1] - near[:, 0]).reshape(side, side) * across < 0.13)[..., None]
    rings = 0.5 + 0.5 * np.sin(9 * np.hypot(centres[:, 0] - 0.35, centres[:, 1] - 0.6) * np.pi)
    tones = np.clip(rings + random.normal(0, 0.13, len(centres)), 0, 1)
    painted = _palette(tones[stones[:, 0]].reshape(side, side), TILES)
    painted = painted + random.normal(0, 8, len(centres))[stones[:, 0]].reshape(side, side, 1)
    return np.where(mortar, 214.0, painted)


PAINTINGS: dict[str, tuple[str, Callable[[np.random.Generator, int], np.ndarray]]] = {
    "swirl": ("Swirl", _swirl),
    "brush": ("Brush strokes", _brush),
    "mosaic": ("Mosaic", _mosaic),
}


@lru_cache(maxsize=8)
def paint(name: str, seed: int = 0) -> Image.Image:
    """A square painting by its name, RGB, the same for the same seed.

    Raises:
        UnknownNameError: there is no such painting.
    """
    if name not in PAINTINGS:
        raise UnknownNameError("painting", name, PAINTINGS)
    pixels = PAINTINGS[name][1](stream("painting", seed, *name.encode()), SIDE)
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))
