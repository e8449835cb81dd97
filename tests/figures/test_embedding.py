"""Sheets, colours and figures of many pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from core.figures.embedding import (
    DepthRow,
    Outlines,
    gallery,
    label_palette,
    picture_plane,
    plot_depths,
    plot_plane,
    thumbnail_sheet,
)


def thumbnails(count: int, side: int = 32) -> np.ndarray:
    """Each of another grey."""
    shades = np.linspace(10, 240, count).astype(np.uint8)
    return np.broadcast_to(shades[:, None, None, None], (count, side, side, 3))


@pytest.mark.parametrize("count", [1, 2, 10, 37])
def test_every_thumbnail_is_where_the_browser_looks_for_it(count: int) -> None:
    shown = thumbnails(count)
    content, columns = thumbnail_sheet(shown)
    sheet = np.asarray(Image.open(io.BytesIO(content))).astype(int)
    for index in range(count):
        row, column = divmod(index, columns)
        tile = sheet[row * 32 : (row + 1) * 32, column * 32 : (column + 1) * 32]
        # JPEG, so nearly; but nothing of a neighbouring tile may have bled into it.
        assert np.abs(tile - shown[index].astype(int)).max() <= 4


@pytest.mark.parametrize("count", [1, 2, 10, 11, 200])
def test_classes_have_colours_of_their_own(count: int) -> None:
    palette = label_palette(count)
    assert len(set(palette)) == count
    assert all(len(colour) == 7 and colour.startswith("#") for colour in palette)


def test_gallery_has_rims_and_gaps() -> None:
    sheet = gallery(thumbnails(3), ["#FF0000"] * 3, columns=2, side=40, gap=10, rim=4)
    assert sheet.shape == (2 * 58 - 10, 2 * 58 - 10, 4)
    assert tuple(sheet[0, 0]) == (255, 0, 0, 255)
    assert tuple(sheet[0, 50]) == (0, 0, 0, 0)
    assert sheet[20, 20, 0] == 10


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_plane_has_a_trace_for_each_colour(dimensions: int) -> None:
    coordinates = np.random.default_rng(0).normal(size=(12, dimensions))
    figure = plot_plane(
        coordinates,
        ids=[f"id{index}" for index in range(12)],
        codes=np.arange(12) % 3,
        legend=["a", "b", "empty", "c"][:3],
        palette=label_palette(3),
        selected=[0],
        method="t-SNE",
    )
    assert [trace.name for trace in figure.data] == ["a", "b", "empty"]
    assert [len(trace.x) for trace in figure.data] == [4, 4, 4]
    assert figure.data[0].text[1] == "id3"


@pytest.mark.parametrize(
    ("dimensions", "symbols"),
    [(2, ("circle", "square", "diamond", "triangle-up")), (3, ("circle", "square", "diamond", "cross"))],
)
def test_an_outline_is_a_shape_too_and_the_legend_says_which(dimensions: int, symbols: tuple[str, ...]) -> None:
    coordinates = np.random.default_rng(0).normal(size=(12, dimensions))
    rims = ["train", "test", "mine", "found"]
    figure = plot_plane(
        coordinates,
        ids=[f"id{index}" for index in range(12)],
        codes=np.zeros(12, int),
        legend=["a"],
        palette=label_palette(1),
        outlines=Outlines(codes=np.arange(12) % 4, legend=rims, palette=["#777777"]),
        method="t-SNE",
    )
    assert list(figure.data[0].marker.symbol) == [*symbols] * 3
    assert [(each.name, each.marker.symbol) for each in figure.data[1:]] == list(zip(rims, symbols, strict=True))


def test_dots_of_the_picture_have_the_shapes_of_their_outlines() -> None:
    # All in one place, so that one picture is shown and the rest are dots; far from it, so that they can be seen.
    points = np.array([[0.0, 0.0], *[[10.0 + index, 0.0] for index in range(4)], [30.0, 0.0]])
    drawn = []
    for code in range(4):
        outlines = Outlines(codes=[code] * 6, legend=list("abcd"), palette=["#000000"])
        sheet = picture_plane(points, thumbnails(6, 16), ["#000000"] * 6, outlines=outlines, width=200, side=16)
        drawn.append(sheet[..., 0] < 128)
    for one in range(4):
        for other in range(one):
            assert (drawn[one] != drawn[other]).any()


@pytest.mark.parametrize("count", [1, 3, 80])
def test_a_plane_as_a_picture(count: int) -> None:
    points = np.random.default_rng(0).normal(size=(count, 2))
    sheet = picture_plane(points, thumbnails(count), ["#0072B2"] * count, width=600, side=32)
    assert max(sheet.shape[:2]) <= 601
    assert (sheet != 255).any()


def test_depths_show_intervals() -> None:
    rows = [
        DepthRow(title=title, accuracy=share, interval=(share - 0.1, share + 0.05), accuracy_on_plane=share, count=40)
        for title, share in (("pixels", 0.3), ("late", 0.8))
    ]
    figure = plot_depths(rows)
    assert list(figure.data[0].y) == [30, 80]
    np.testing.assert_allclose(figure.data[0].error_y.arrayminus, [10, 10])
