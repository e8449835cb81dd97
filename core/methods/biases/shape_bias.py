"""Does a model decide by shape or by texture? Images that have the shape of one thing and the texture of another.

Source: Geirhos et al. 2019, arXiv:1811.12231, section 2.4; reference analysis `modelvshuman/plotting/analyses.py` of
bethgelab/model-vs-human: images whose shape and texture agree are dropped, decisions for neither are left out of the
bias, and the 1000 classes become 16 categories by the mean of their probabilities.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.errors import ConfigError, ShapeError
from core.intervals import wilson_interval
from core.methods.biases.ratios import Estimate
from core.shares import counted, share_with_interval

_CUES = re.compile(r"(?P<shape>[^\d]+?)\d*-(?P<texture>[^\d]+?)\d*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class CueDecisions:
    """How often a model went by shape, by texture, or by neither.

    Attributes:
        name: of the category of shapes, or of all.
    """

    name: str
    shape: int
    texture: int
    neither: int

    @property
    def count(self) -> int:
        return self.shape + self.texture + self.neither

    @property
    def decided(self) -> int:
        """Decisions for one of the two cues."""
        return self.shape + self.texture

    @property
    def decided_share(self) -> float:
        return self.decided / self.count if self.count else 0.0

    @property
    def shape_accuracy(self) -> float:
        """Share of all images that were named by their shape: another number than the bias."""
        return self.shape / self.count if self.count else 0.0

    @property
    def bias(self) -> Estimate:
        """shape / (shape + texture) with its Wilson interval; undefined where nothing was decided."""
        if not self.decided:
            return Estimate(value=None)
        low, high = wilson_interval(self.shape, self.decided)
        return Estimate(value=self.shape / self.decided, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class ShapeBias:
    """One model's decisions on images of conflicting cues.

    Attributes:
        categories: by the shape that is shown; those of which there are images.
        congruent: images whose shape and texture are of one category; left out of everything.
        chance_decided: share that a model would decide by guessing among all categories; its bias would be one half.
    """

    overall: CueDecisions
    categories: tuple[CueDecisions, ...]
    congruent: int
    chance_decided: float

    def values(self) -> dict[str, Any]:
        """As results hold it."""
        return asdict(self)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> ShapeBias:
        """What `values` gave."""
        return cls(
            overall=CueDecisions(**values["overall"]),
            categories=tuple(CueDecisions(**row) for row in values["categories"]),
            congruent=int(values["congruent"]),
            chance_decided=float(values["chance_decided"]),
        )

    def sentence(self) -> str:
        """The bias in words, never without how much was decided."""
        found = self.overall
        if not found.decided:
            return f"It named neither shape nor texture of any of {counted(found.count, 'image')}."
        return (
            f"{share_with_interval(found.shape, found.decided)} of its decisions for a cue went by shape. It decided "
            f"for one on {found.decided_share:.0%} of {counted(found.count, 'image')}; guessing would on "
            f"{self.chance_decided:.0%}, half of them by shape."
        )


def read_cues(name: str, categories: Sequence[str]) -> tuple[int, int]:
    """Shape and texture of an image by its file's name, `bear3-clock1.png`, as indices of `categories`.

    Raises:
        ConfigError: the name says no such thing.
    """
    match = _CUES.fullmatch(name.rpartition("/")[2].rpartition(".")[0])
    known = {category.casefold(): index for index, category in enumerate(categories)}
    found = [known.get(match[cue].casefold()) for cue in ("shape", "texture")] if match else [None]
    if None in found:
        raise ConfigError(
            f"{name!r} does not say which shape and which texture it shows.",
            f"Name the files shapeN-textureM, such as bear1-clock2.png, of {', '.join(categories[:16])}.",
        )
    return found[0], found[1]  # type: ignore[return-value]


def shape_bias(predicted: np.ndarray, shapes: np.ndarray, textures: np.ndarray, categories: Sequence[str]) -> ShapeBias:
    """Count the decisions; all arrays are (images,) indices of `categories`, `predicted` below 0 where not asked.

    Raises:
        ShapeError: the arrays differ in length.
        ConfigError: no image has cues in conflict.
    """
    if not predicted.shape == shapes.shape == textures.shape:
        raise ShapeError(f"Got {predicted.shape}, {shapes.shape} and {textures.shape}.", "Give one each an image.")
    asked = predicted >= 0
    conflict = asked & (shapes != textures)
    if not conflict.any():
        raise ConfigError("No image shows one shape with another texture.", "Add images such as bear1-clock2.png.")
    by_shape, by_texture = predicted == shapes, predicted == textures

    def decisions(name: str, rows: np.ndarray) -> CueDecisions:
        shape, texture = int((rows & by_shape).sum()), int((rows & by_texture).sum())
        return CueDecisions(name=name, shape=shape, texture=texture, neither=int(rows.sum()) - shape - texture)

    rows = [decisions(category, conflict & (shapes == index)) for index, category in enumerate(categories)]
    return ShapeBias(
        overall=decisions("all", conflict),
        categories=tuple(row for row in rows if row.count),
        congruent=int((asked & ~conflict).sum()),
        chance_decided=min(1.0, 2 / len(categories)),
    )
