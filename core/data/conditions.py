"""The same things under other conditions: silhouettes, blur, edges, shuffled parts.

What a changed picture keeps tells what a model recognises by: a silhouette keeps the outline, blur the layout and the
colours, edges the lines, shuffled parts everything but the arrangement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from core.errors import ConfigError, UnknownNameError
from core.seeding import stream

ConditionName = Literal["whole", "silhouette", "blur", "edges", "features"]

# A shape that covers less or more of the picture than this was not found.
LEAST_COVERED, MOST_COVERED = 0.03, 0.85
_WORKING_SIDE = 112


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One way to change a picture.

    Attributes:
        title: what people read.
        keeps: what is left to recognise by.
        draw: picture (side, side, 3) uint8, strength, seed → the same shape; None where it is not possible.
        strengths: least, usual and most; None where there is nothing to set.
        unit: what the strength is.
    """

    name: ConditionName
    title: str
    keeps: str
    draw: Callable[[np.ndarray, float, int], np.ndarray | None]
    strengths: tuple[float, float, float] | None = None
    unit: str = ""


def blur(image: np.ndarray, percent: float) -> np.ndarray:
    """A Gaussian whose standard deviation is `percent` of the side; the borders are mirrored."""
    from scipy.ndimage import gaussian_filter

    width = percent / 100 * image.shape[0]
    blurred = gaussian_filter(image.astype(np.float32), (width, width, 0), mode="reflect")
    return blurred.round().clip(0, 255).astype(np.uint8)


def edges(image: np.ndarray, percent: float) -> np.ndarray:
    """Dark lines on white where brightness changes over `percent` of the side (Canny 1986)."""
    from scipy.ndimage import gaussian_filter
    from skimage.color import rgb2gray
    from skimage.feature import canny

    lines = canny(rgb2gray(image), sigma=max(0.5, percent / 100 * image.shape[0])).astype(np.float32)
    # A line of one pixel would vanish where a network makes the picture smaller.
    ink = np.clip(2.5 * gaussian_filter(lines, max(0.4, image.shape[0] / 300)), 0, 1)
    return np.repeat((255 * (1 - ink)).round().astype(np.uint8)[..., None], 3, axis=2)


def shuffle_parts(image: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """The squares of a `parts` × `parts` grid in random order, none in its own place.

    A side that does not divide leaves a margin at the right and below as it was.

    Raises:
        ConfigError: there is less than a pixel for each part, or only one part.
    """
    side = image.shape[0] // max(parts, 1)
    if parts < 2 or side == 0:
        raise ConfigError(f"{image.shape[0]} pixels do not make {parts} parts a side.", "Choose 2 to 8.")
    ring = stream("shuffled parts", seed).permutation(parts * parts)
    order = np.empty_like(ring)
    order[ring] = np.roll(ring, 1)  # one cycle through all places, so that none stays
    extent = side * parts
    squares = image[:extent, :extent].reshape(parts, side, parts, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    shuffled = image.copy()
    shuffled[:extent, :extent] = (
        squares[order].reshape(parts, parts, side, side, 3).swapaxes(1, 2).reshape(extent, extent, 3)
    )
    return shuffled


def silhouette(image: np.ndarray) -> np.ndarray | None:
    """The object in black on white; None where `find_object` finds none."""
    found = find_object(image)
    return None if found is None else np.where(found[..., None], np.uint8(0), np.uint8(255)).repeat(3, axis=2)


def find_object(image: np.ndarray) -> np.ndarray | None:
    """Which pixels belong to the thing in the middle, (side, side) bool; None if that cannot be told.

    By colour alone, and the same every time: two mixtures of four Gaussians, one begun from the centre and one from
    the border, share out the pixels and are fitted again. It fails where thing and background have the same colours,
    or where the thing fills the picture.
    Source: after Rother et al. 2004 (GrabCut), with smoothing and a prior for the centre in place of the graph cut.
    """
    from scipy import ndimage
    from skimage.color import rgb2lab

    side = _WORKING_SIDE
    small = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX))
    colours = ndimage.gaussian_filter(rgb2lab(small).astype(np.float32), (0.7, 0.7, 0))
    rows, columns = np.mgrid[:side, :side] / (side - 1) - 0.5
    radius = np.hypot(rows, columns)
    centre = 1 - radius / 0.42
    inside, outside = radius < 0.28, np.maximum(np.abs(rows), np.abs(columns)) > 0.43
    mask = inside
    if colours.std(axis=(0, 1)).max() < 1:
        return None
    # The centre counts for less as the colours become known.
    for prior in (3.0, 1.5, 0.75):
        if inside.sum() < 50 or outside.sum() < 50:
            return None
        odds = np.clip(_log_likelihood(colours, inside) - _log_likelihood(colours, outside), -6, 6)
        mask = ndimage.binary_opening(ndimage.gaussian_filter(odds, side / 64) + prior * centre > 0)
        mask = _without_specks(mask)
        inside, outside = mask, ~ndimage.binary_dilation(mask, iterations=2)
    soft = ndimage.gaussian_filter(mask.astype(np.float32), 1)
    full = Image.fromarray((255 * soft).astype(np.uint8)).resize(image.shape[1::-1], Image.Resampling.BICUBIC)
    found = np.asarray(full) > 127
    return found if LEAST_COVERED <= found.mean() <= MOST_COVERED else None


CONDITIONS: dict[ConditionName, Condition] = {
    condition.name: condition
    for condition in (
        Condition(name="whole", title="As it is", keeps="everything", draw=lambda image, strength, seed: image),
        Condition(
            name="silhouette",
            title="Silhouette",
            keeps="the outline",
            draw=lambda image, strength, seed: silhouette(image),
        ),
        Condition(
            name="blur",
            title="Blurred",
            keeps="the layout and the colours",
            draw=lambda image, strength, seed: blur(image, strength),
            strengths=(0.5, 3.0, 10.0),
            unit="standard deviation, % of the side",
        ),
        Condition(
            name="edges",
            title="Edges",
            keeps="the lines",
            draw=lambda image, strength, seed: edges(image, strength),
            strengths=(0.2, 0.7, 3.0),
            unit="scale of the lines, % of the side",
        ),
        Condition(
            name="features",
            title="Shuffled parts",
            keeps="parts and texture, not their arrangement",
            draw=lambda image, strength, seed: shuffle_parts(image, round(strength), seed),
            strengths=(2, 4, 8),
            unit="parts a side",
        ),
    )
}


def change(image: np.ndarray, name: str, strength: float | None = None, seed: int = 0) -> np.ndarray | None:
    """`image` (side, side, 3) uint8 under condition `name`; None where that cannot be drawn.

    Args:
        strength: the usual one where it is None.
        seed: of what is drawn at random.

    Raises:
        UnknownNameError: there is no such condition.
    """
    known = {condition.name: condition for condition in CONDITIONS.values()}
    if name not in known:
        raise UnknownNameError("condition", name, known)
    condition = CONDITIONS[name]
    usual = condition.strengths[1] if condition.strengths else 0.0
    return condition.draw(image, usual if strength is None else strength, seed)


def _log_likelihood(colours: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Of every pixel, under a mixture fitted to the `chosen` ones: (side, side)."""
    from sklearn.mixture import GaussianMixture

    # Every so many are enough, and which ones is not left to chance.
    pixels = colours[chosen]
    pixels = pixels[:: max(1, len(pixels) // 1500)]
    # 1e-2 is where the fit no longer moves a boundary by a pixel.
    mixture = GaussianMixture(4, reg_covar=4.0, random_state=0, max_iter=100, tol=1e-2).fit(pixels)
    return mixture.score_samples(colours.reshape(-1, 3)).reshape(colours.shape[:2])


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """The largest pieces, with their small holes closed; larger ones, as between legs, stay."""
    from scipy import ndimage

    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = np.isin(pieces, np.flatnonzero(sizes >= max(1, 0.25 * sizes.max())))
    holes, _ = ndimage.label(~kept)
    small = np.bincount(holes.ravel()) < kept.size / 60
    return kept | small[holes]
