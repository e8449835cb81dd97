"""Similarities of positions: one scale about zero for cosines, tiles as the patches lie, distances in whole patches."""

from __future__ import annotations

import numpy as np

from core.figures.overlay import colour_table
from core.figures.positional import plot_distance_profile, positional_thumbnail, positional_tile, positional_tiles
from core.figures.theme import DIVERGING, SEQUENTIAL
from core.methods.anatomy.positional import DistanceProfile, PositionalSimilarity


def similarity(measure: str = "cosine", side: int = 2) -> PositionalSimilarity:
    matrix = np.linspace(-1, 1, side**4).reshape(side**2, side**2).astype(np.float32)
    return PositionalSimilarity(
        matrix=matrix,
        tiles=matrix.reshape(side, side, side, side),
        grid=(side, side),
        measure=measure,  # type: ignore[arg-type]
    )


def test_tiles_lie_as_the_patches_do_with_a_gap_between_them() -> None:
    sheet = positional_tiles(similarity(), scale=3, gap=2)
    assert sheet.shape == (2 * 6 + 2, 2 * 6 + 2, 3)
    table = colour_table(DIVERGING)
    np.testing.assert_array_equal(sheet[0, 0], table[0])  # cosine -1
    np.testing.assert_array_equal(sheet[-1, -1], table[255])  # cosine 1
    np.testing.assert_array_equal(sheet[6:8], np.full((2, 14, 3), 128))
    np.testing.assert_array_equal(sheet[:, 6:8], np.full((14, 2, 3), 128))
    level = (similarity().tiles[0, 1, 1, 0] + 1) / 2
    np.testing.assert_array_equal(sheet[3, 8], table[int(level * 255)])


def test_cosines_share_the_scale_from_minus_one_to_one_and_products_fill_their_own() -> None:
    weak = similarity()
    weak = PositionalSimilarity(matrix=weak.matrix / 2, tiles=weak.tiles / 2, grid=weak.grid, measure="cosine")
    np.testing.assert_array_equal(positional_tiles(weak)[0, 0], colour_table(DIVERGING)[63])
    products = PositionalSimilarity(matrix=weak.matrix, tiles=weak.tiles + 7, grid=weak.grid, measure="dot product")
    np.testing.assert_array_equal(positional_tiles(products)[0, 0], colour_table(SEQUENTIAL)[0])
    np.testing.assert_array_equal(positional_tiles(products)[-1, -1], colour_table(SEQUENTIAL)[255])
    flat = PositionalSimilarity(
        matrix=np.ones((4, 4)), tiles=np.ones((2, 2, 2, 2)), grid=(2, 2), measure="dot product"
    )  # not a number nowhere
    np.testing.assert_array_equal(positional_tiles(flat)[0, 0], colour_table(SEQUENTIAL)[0])


def test_a_thumbnail_has_about_eight_tiles_a_side() -> None:
    assert positional_thumbnail(similarity(side=2)).shape[:2] == (2 * 12 - 4, 2 * 12 - 4)
    # 16 of 16 patches a side, every second of them drawn.
    assert positional_thumbnail(similarity(side=16)).shape[:2] == (8 * 68 - 4, 8 * 68 - 4)


def test_one_tile_is_symmetric_about_zero_for_cosines_alone() -> None:
    [tile] = positional_tile(similarity(), 1, 0).data
    np.testing.assert_array_equal(tile.z, similarity().tiles[1, 0])
    assert (tile.zmin, tile.zmid, tile.zmax, tile.x0, tile.y0) == (-1, 0, 1, 1, 1)
    [tile] = positional_tile(similarity("dot product"), 1, 0).data
    assert (tile.zmin, tile.zmid, tile.zmax) == (None, None, None)


def test_distances_are_rounded_to_whole_patches_and_weighted_by_their_pairs() -> None:
    profile = DistanceProfile(
        distances=np.array([0.0, 1.0, 1.4, 3.0]), similarity=np.array([1.0, 0.8, 0.2, -0.5]),
        pairs=np.array([4, 3, 1, 2]), along_row=np.array([1.0, 0.9]), along_column=np.array([1.0, 0.7]),
    )  # fmt: skip
    everywhere, row, column = plot_distance_profile(profile, "cosine").data
    np.testing.assert_array_equal(everywhere.x, [0, 1, 2, 3])
    np.testing.assert_allclose(everywhere.y, [1.0, (3 * 0.8 + 0.2) / 4, 0, -0.5])
    np.testing.assert_array_equal(row.y, profile.along_row)
    np.testing.assert_array_equal(column.y, profile.along_column)
    assert (row.name, column.name) == ("along a row", "along a column")
