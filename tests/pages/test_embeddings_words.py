"""What the colours and sentences of the Embeddings page say, on neighbours that are known."""

from __future__ import annotations

import numpy as np
import pytest

from core.data.arrays import ArrayDataset
from core.data.image_sets import ImageSet
from core.methods.embeddings.embedding import Plane
from core.methods.embeddings.embedding_quality import Neighbours
from pages.components.image_plane.image_plane import Pictures
from pages.embeddings.image_sets import ChosenImages
from pages.embeddings.spaces import Drawing, PlaneView, Space
from pages.embeddings.words import colours_of, pair_sentence, shares_as_colours


def shown(labels: np.ndarray, near: np.ndarray, other: np.ndarray | None = None) -> PlaneView:
    """A page about pictures with these labels and these neighbours."""
    count = len(labels)
    thumbnails = np.zeros((count, 4, 4, 3), np.uint8)
    images = ImageSet(
        name="known",
        title="Known",
        ids=tuple(map(str, range(count))),
        labels=labels,
        classes=("cat", "dog"),
        thumbnails=thumbnails,
        source=lambda side: ArrayDataset(name="known", split="all", images=thumbnails, labels=labels, classes=()),
    )
    pictures = Pictures(signature="s", sheet=b"", tile=4, columns=1, ids=images.ids, labels=labels, classes=("a", "b"))
    tables = [near] if other is None else [near, other]
    spaces = [
        Space(
            vectors=np.zeros((count, 3)),
            near=Neighbours(indices=each.astype(np.int32), distances=np.zeros(each.shape, np.float32)),
            right=None,
        )
        for each in tables
    ]
    plane = np.zeros((count, 2), np.float32)
    drawing = Drawing(plane=Plane(coordinates=plane), quality=None, near=spaces[0].near, right=None)
    return PlaneView(
        given=ChosenImages(address="views:1/0", images=images, pictures=pictures),
        asked=[],
        spaces=spaces,
        drawings=[drawing] * len(tables),
        planes=[plane] * len(tables),
        names=["one", "other"][: len(tables)],
        film=False,
    )


def test_each_number_of_neighbours_with_its_label_has_the_colour_that_the_legend_says() -> None:
    """Twelve cats, of which number k has k cats among its ten nearest, and twelve dogs."""
    labels = np.array([0] * 12 + [1] * 12)
    cats, dogs = np.arange(12), np.arange(12, 24)
    near = np.array(
        [[*np.delete(cats, row)[: min(row, 10)], *dogs[: 10 - min(row, 10)]] for row in range(12)]
        + [[*np.delete(dogs, row)[:10]] for row in range(12)]
    )
    colours = colours_of(shown(labels, near))[1]
    said = [colours.legend[code] for code in colours.codes]
    assert said[:11] == ["none of 10", *["1–3 of 10"] * 3, *["4–6 of 10"] * 3, *["7–9 of 10"] * 3, "all of 10"]
    assert set(said[12:]) == {"all of 10"}
    assert len({colours.palette[code] for code in colours.codes}) == 5


@pytest.mark.parametrize("k", range(12))
def test_the_legend_names_every_count_of_neighbours_once(k: int) -> None:
    colours = shares_as_colours(np.arange(k + 1) / max(k, 1), k, "")
    for count, code in enumerate(colours.codes):
        words = colours.legend[code].removesuffix(f" of {k}")
        low, _, high = {"none": "0", "all": f"{k}"}.get(words, words).partition("–")
        assert int(low) <= count <= int(high or low), (k, count, colours.legend)
    assert len(colours.legend) == len(colours.palette) == len(set(colours.legend))
    assert set(colours.codes) == set(range(len(colours.legend)))


def test_what_two_spaces_share_is_told_as_the_index_that_it_is() -> None:
    """Two of four neighbours in common: of the six that either names, a third is named by both."""
    near, other = (np.tile(each, (7, 1)) for each in ([1, 2, 3, 4], [1, 2, 5, 6]))
    page = shown(np.array([0, 1] * 3 + [0]), near, other)
    assert "that either counts among a picture's 4 nearest, **33%** are among them in both" in pair_sentence(page)
    common = colours_of(page)[-1]
    assert {common.legend[code] for code in common.codes} == {"25–50 %"}
