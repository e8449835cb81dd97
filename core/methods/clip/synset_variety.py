"""Three ways in which pictures of one synset differ, measured: light and colour, framing, kind and surroundings.

And where grouping by synset misleads: words that mean two things, things that two synsets divide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.errors import ShapeError
from core.finite import require_finite

Way = Literal["light", "framing", "kind"]


@dataclass(frozen=True, kw_only=True)
class Variety:
    """One way in which pictures differ.

    Attributes:
        way: light: the mean colour of the whole picture; framing: how much of the detail lies in its middle; kind: what
            a network makes of it.
        ends: indices of pictures, from one end to the other; the first and the last are the two that differ most.
        values: of each, what was measured: distance of its mean colour from the first's (CIE 1976, ΔE*ab), share of
            the detail in [0, 1], cosine with the first.
    """

    way: Way
    ends: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two synsets of ImageNet that grouping by meaning divides or joins otherwise than eyes do."""

    first: str
    second: str
    why: str


# Ids, since words are what misleads here.
MISLEADING = (
    Pair(first="n02012849", second="n03126707", why="One word, two things: a bird and a machine are called crane."),
    Pair(first="n02113186", second="n02963159", why="One word, two things: a corgi and a jacket are called Cardigan."),
    Pair(first="n04355933", second="n04356056", why="One thing, two synsets: a sunglass, and sunglasses."),
    Pair(first="n03773504", second="n04008634", why="One look, two synsets: one is a weapon, the other flies."),
    Pair(first="n02808440", second="n04493381", why="One look, two synsets: a bathtub, and a tub."),
)


def synset_variety(images: np.ndarray, vectors: np.ndarray, shown: int = 4) -> tuple[Variety, ...]:
    """How pictures of one synset differ, the pictures chosen by measuring and not by eye.

    Args:
        images: (pictures, height, width, 3) uint8.
        vectors: (pictures, dim) of an image encoder.
        shown: pictures of each way.

    Raises:
        ShapeError: fewer than two pictures, or not one vector each.
        NotFiniteError: the vectors are no numbers.
    """
    if len(images) < 2 or len(vectors) != len(images) or images.ndim != 4:
        raise ShapeError(
            f"Got pictures {images.shape} and vectors {vectors.shape}; expected two or more pictures with one each.",
            "Choose a class with more pictures.",
        )
    require_finite("The vectors", vectors)
    from skimage.color import rgb2lab

    colours = rgb2lab(images.reshape(len(images), -1, 3).mean(axis=1)[:, None] / 255)[:, 0]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    shares = np.array([detail_in_the_middle(image) for image in images])
    return (
        _farthest("light", np.linalg.norm(colours[:, None] - colours[None], axis=-1), shown),
        _ranked("framing", shares, shown),
        _farthest("kind", 1 - unit @ unit.T, shown, as_cosine=True),
    )


def detail_in_the_middle(image: np.ndarray) -> float:
    """Which share of the edges of a picture (height, width, 3) lies in its middle, a quarter of the area; [0, 1].

    A thing that is far away has its detail there or around it, a close one fills the frame. A picture without any
    edges has a quarter.
    """
    grey = image.astype(np.float64).mean(axis=-1)
    down, across = np.gradient(grey)
    energy = np.hypot(down, across)
    height, width = grey.shape
    middle = energy[height // 4 : height - height // 4, width // 4 : width - width // 4]
    total = float(energy.sum())
    return float(middle.sum()) / total if total else 0.25


def _ranked(way: Way, values: np.ndarray, shown: int) -> Variety:
    """Pictures spread evenly over the order of `values`."""
    order = np.argsort(values, kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, min(shown, len(order))).round().astype(int))
    ends = tuple(int(order[place]) for place in places)
    return Variety(way=way, ends=ends, values=tuple(float(values[each]) for each in ends))


def _farthest(way: Way, distances: np.ndarray, shown: int, *, as_cosine: bool = False) -> Variety:
    """The two pictures farthest apart, and between them those in even steps of the distance from the first."""
    first, last = (int(each) for each in np.unravel_index(int(distances.argmax()), distances.shape))
    row = distances[first]
    order = [int(each) for each in np.argsort(row, kind="stable") if each not in (first, last)]
    places = np.unique(np.linspace(0, len(order) - 1, max(0, min(shown - 2, len(order)))).round().astype(int))
    ends = (first, *(order[place] for place in places), last)
    return Variety(way=way, ends=ends, values=tuple(float(1 - row[each] if as_cosine else row[each]) for each in ends))
