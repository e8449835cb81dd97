"""Embeddings on Home: views of the chosen photo among views of the bundled ones, and which of them lie nearest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.data.examples import EXAMPLES, load_example
from core.data.image_sets import ImageSet, view_set
from core.figures.embedding import gallery, label_palette, picture_plane
from core.methods.embeddings.embedding import PlaneConfig, place_once
from core.methods.embeddings.embedding_quality import directions, nearest
from core.methods.embeddings.features import extract_features
from core.reports import finish
from pages.shared.cache import loaded_model
from pages.shared.foreign import plain
from pages.shared.pickers import Picture
from pages.shared.results import shared
from pages.shared.tiles import Tiles, tile

_VIEWS = 12
_MODEL = "cnn_small"
TOUR = ("**Embeddings**: click a picture that lies among strangers; then play the film from pixels to the last layer.",)


@dataclass(frozen=True)
class Drawn:
    """Pictures: the plane, and the first view of the photo with its eight nearest, three by three."""

    plane: np.ndarray
    nearest: np.ndarray


@shared("Looking at views of photos …", most=16)
def drawn_views(digest: str, title: str, _image: Image.Image) -> Drawn:
    """Computed once for a photo."""
    others = [(example.title, load_example(example.name)) for example in EXAMPLES.values() if example.title != title]
    views: ImageSet = finish(
        view_set([(title, _image), *others], _VIEWS, seed=0, name=f"tile/{digest}", title="Views of photos")
    )
    model = loaded_model(_MODEL)
    preprocessing = model.network.preprocessing
    features = finish(
        extract_features(
            model.module,
            views.source(preprocessing.size),
            model=_MODEL,
            size=preprocessing.size,
            normalisation=preprocessing.normalisation,
            lock=model.lock,
        )
    )["embedding"]
    palette = label_palette(len(views.classes))
    rims = [palette[label] for label in views.labels]
    plane = place_once(features.vectors, PlaneConfig(perplexity=10))
    rows = [0, *nearest(directions(features.vectors), 8).indices[0]]
    sheet = gallery(views.thumbnails[rows], [rims[row] for row in rows], columns=3)
    drawn = picture_plane(plane.coordinates, views.thumbnails, rims, width=1200, side=56, paper="#FFFFFF00")
    return Drawn(plane=drawn, nearest=sheet)


def plane(picture: Picture) -> None:
    """All views where the network puts them."""
    tile(
        drawn_views(picture.digest, picture.title, picture.image).plane,
        "Embeddings",
        "Views of this photo and of others, cut and recoloured, where "
        f"{plain(loaded_model(_MODEL).spec.title)} puts them: near is what it finds alike.",
        "embeddings",
    )


def neighbours(picture: Picture) -> None:
    """Those that are nearest to the photo."""
    tile(
        drawn_views(picture.digest, picture.title, picture.image).nearest,
        "Neighbours",
        "The photo, first, and the eight views that are nearest to it.",
        "embeddings",
    )


TILES: Tiles = ((2, plane), (1, neighbours))
