"""What the Embeddings page computes, each part once for all sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import CoreError
from core.methods.embeddings.embedding import TITLES, Plane, PlaneConfig, align, given_plane, place_once
from core.methods.embeddings.embedding_quality import (
    LIMIT,
    Neighbours,
    ProjectionQuality,
    debiased_cka,
    directions,
    faithfulness,
    nearest,
    neighbours_right,
)
from core.methods.embeddings.features import Features
from core.methods.embeddings.layer_features import Depth, Readout, Readouts, extract_layers, find_readouts
from core.methods.embeddings.search import Found
from core.reports import OnProgress, finish, silent, told
from core.seeding import stream
from pages.embeddings.image_sets import ChosenImages
from pages.shared.cache import in_use, loaded_model
from pages.shared.results import shared

NEAR = 10
DEPTHS: tuple[Depth, ...] = ("pixels", "early", "middle", "late")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A model and where it is cut; without a model, the vectors that came with the pictures."""

    model: str
    cut: Readout

    @property
    def title(self) -> str:
        """The model and the layer in words."""
        if not self.model:
            return "The vectors of the file"
        return f"{loaded_model(self.model).spec.title}, {cuts_of(self.model).title(self.cut)}"


@dataclass(frozen=True, kw_only=True)
class Space:
    """What a network makes of the pictures at one cut, before anything is drawn.

    Attributes:
        vectors: (images, dim) features.
        near: the nearest others by the cosine of the features.
        right: (images,) whether they vote for the image's own class; None without labels.
    """

    vectors: np.ndarray
    near: Neighbours
    right: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A plane of a space.

    Attributes:
        quality: None where there are too few images to measure it.
        near: the nearest others on the plane.
        right: (images,) whether those vote for the image's own class; None without labels.
    """

    plane: Plane
    quality: ProjectionQuality | None
    near: Neighbours
    right: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class Searched:
    """The answer of one space to a search.

    Attributes:
        title: of the space.
        query: what was searched for, in words.
    """

    title: str
    query: str
    found: Found


@dataclass(frozen=True, kw_only=True)
class PlaneView:
    """What is on the page: one plane, the frames of a film, or two planes.

    Attributes:
        planes: coordinates of each, aligned.
        names: of each: the title of a plane or of a frame.
        film: they are frames of one plane.
        found: what was searched for, in each space that can be searched.
    """

    given: ChosenImages
    asked: Sequence[Asked]
    spaces: Sequence[Space]
    drawings: Sequence[Drawing]
    planes: Sequence[np.ndarray]
    names: Sequence[str]
    film: bool

    found: Sequence[Searched] = ()

    @property
    def two(self) -> bool:
        """Two planes are beside each other."""
        return len(self.planes) > 1 and not self.film


def show_planes(asked: Sequence[Asked], given: ChosenImages, config: PlaneConfig, *, placed: bool = False) -> PlaneView:
    """One plane, or two beside each other, the second turned to lie like the first.

    `placed`: at the positions that came with the pictures.
    """
    spaces = [spaces_of(each.model, [each.cut], given)[0] for each in asked]
    drawings = [
        drawing_of(each, space, given, config, placed=placed) for each, space in zip(asked, spaces, strict=True)
    ]
    return PlaneView(
        given=given,
        asked=asked,
        spaces=spaces,
        drawings=drawings,
        planes=aligned(drawings),
        names=[each.title for each in asked],
        film=False,
    )


def show_film(asked: Asked, given: ChosenImages, config: PlaneConfig) -> PlaneView:
    """The same pictures from the pixels to the end; each plane begins where the one before ended."""
    cuts, names = depths_of(asked)
    spaces = spaces_of(asked.model, [each.cut for each in cuts], given)
    drawings: list[Drawing] = []
    for number, (each, space) in enumerate(zip(cuts, spaces, strict=True)):
        begin = drawings[-1] if drawings else None
        drawings.append(drawing_of(each, space, given, config, tuple(cuts[:number]), begin))
    # One frame must not look smaller than another because of a few far points.
    planes = [plane / max(float(np.quantile(np.linalg.norm(plane, axis=1), 0.95)), 1e-6) for plane in aligned(drawings)]
    return PlaneView(given=given, asked=cuts, spaces=spaces, drawings=drawings, planes=planes, names=names, film=True)


def depths_of(asked: Asked) -> tuple[list[Asked], list[str]]:
    """From the pixels to the end, each depth once, and what people read for each."""
    known = cuts_of(asked.model)
    numbers = {known.at(depth): depth for depth in reversed(DEPTHS)}
    cuts = [Readout(layer=number, pooling=asked.cut.pooling) for number in sorted(numbers)]
    if asked.cut.pooling == "embedding":  # it exists at the end alone; the layers before it are averaged
        cuts = [*(Readout(layer=cut.layer, pooling="mean") for cut in cuts[:-1]), asked.cut]
    names = ["pixels" if not cut.layer else f"{numbers[cut.layer]}: {known.title(cut)}" for cut in cuts]
    return [Asked(model=asked.model, cut=cut) for cut in cuts], names


@shared("Finding the layers …", most=32)
def cuts_of(name: str) -> Readouts:
    """Where a model can be cut."""
    with in_use(name) as model:
        return find_readouts(model.module.eval(), model.network.preprocessing.size)


def spaces_of(name: str, cuts: Sequence[Readout], given: ChosenImages) -> list[Space]:
    """One space for each cut of a model; all are read in one pass over the pictures."""
    if not name:
        return [_own_space(given.signature, given)] * len(cuts)
    found = _spaces(name, tuple(dict.fromkeys(cuts)), given.signature, given)
    return [found[cut] for cut in cuts]


@shared("Neighbours", most=12)
def _own_space(signature: str, _given: ChosenImages, *, on_progress: OnProgress = silent) -> Space:
    """The vectors that came with the pictures."""
    vectors = _given.images.vectors
    if vectors is None:
        raise CoreError("These pictures came without vectors.", "Choose a model.")
    near = nearest(directions(vectors), NEAR, on_progress)
    right = neighbours_right(near, _given.images.labels, NEAR) if _given.images.labelled else None
    return Space(vectors=vectors, near=near, right=right)


@shared(lambda name, *_: f"Features of {loaded_model(name).spec.title}", most=12)
def _spaces(
    name: str, cuts: tuple[Readout, ...], signature: str, _given: ChosenImages, *, on_progress: OnProgress = silent
) -> dict[Readout, Space]:
    features = _features(name, cuts, _given, lambda share, text: on_progress(0.8 * share, text))
    spaces = {}
    for number, (cut, found) in enumerate(features.items()):
        begun = 0.8 + 0.2 * number / len(cuts)
        near = nearest(
            directions(found.vectors),
            NEAR,
            lambda share, text, begun=begun: on_progress(begun + 0.2 * share / len(cuts), text),
        )
        right = neighbours_right(near, _given.images.labels, NEAR) if _given.images.labelled else None
        spaces[cut] = Space(vectors=found.vectors, near=near, right=right)
    return spaces


def drawing_of(
    asked: Asked,
    space: Space,
    given: ChosenImages,
    config: PlaneConfig,
    before: tuple[Asked, ...] = (),
    begin: Drawing | None = None,
    *,
    placed: bool = False,
) -> Drawing:
    """The plane of a space; it starts from `begin`, the drawing of the last of `before`, if there is one."""
    return _drawing(given.signature, asked, config, before, placed, space, given, begin)


@shared(lambda _, asked, config, *__: f"{TITLES[config.method]} of {asked.title}", most=24)
def _drawing(
    signature: str,
    asked: Asked,
    config: PlaneConfig,
    before: tuple[Asked, ...],
    placed: bool,
    _space: Space,
    _given: ChosenImages,
    _begin: Drawing | None,
    *,
    on_progress: OnProgress = silent,
) -> Drawing:
    positions = _given.images.positions if placed else None
    if positions is not None:
        plane = given_plane(positions)
    else:
        plane = place_once(
            _space.vectors,
            config,
            start=None if _begin is None else _begin.plane.coordinates,
            on_progress=lambda share, text: on_progress(0.95 * share, text),
        )
    on_progress(0.96, "how faithful the plane is")
    near = nearest(plane.coordinates, NEAR)
    return Drawing(
        plane=plane,
        quality=faithfulness(directions(_space.vectors), plane.coordinates, NEAR) if plane.varies else None,
        near=near,
        right=neighbours_right(near, _given.images.labels, NEAR) if _given.images.labelled else None,
    )


def aligned(drawings: Sequence[Drawing]) -> list[np.ndarray]:
    """Coordinates of successive drawings, each turned and mirrored to lie on the one before."""
    planes = [drawings[0].plane.coordinates]
    for drawing in drawings[1:]:
        planes.append(align(drawing.plane.coordinates, planes[-1]))
    return planes


def similarity_of(shown: PlaneView) -> float | None:
    """Debiased CKA of two spaces, of a fixed sample where there are many pictures; None for fewer than four."""
    count = len(shown.given.images)
    if count < 4:
        return None
    rows = np.sort(stream("similarity sample").permutation(count)[: LIMIT // 2])
    return _alike(
        shown.given.signature, tuple(shown.asked), [directions(space.vectors)[rows] for space in shown.spaces]
    )


@shared("How alike the two spaces are")
def _alike(
    signature: str, asked: tuple[Asked, ...], _vectors: list[np.ndarray], *, on_progress: OnProgress = silent
) -> float:
    return debiased_cka(*_vectors)


def _features(
    name: str, cuts: tuple[Readout, ...], given: ChosenImages, on_progress: OnProgress
) -> dict[Readout, Features]:
    """Features from the cache on disk, or from the model, which other sessions may use between two batches."""
    model = loaded_model(name)
    preprocessing = model.network.preprocessing

    extraction = extract_layers(
        model.module,
        given.images.source(preprocessing.size),
        cuts=cuts,
        known=cuts_of(name),
        model=name,
        size=preprocessing.size,
        normalisation=preprocessing.normalisation,
        lock=model.lock,
    )
    found: dict[Readout, Features] = finish(extraction, told(on_progress))
    return found
