"""Small images enlarged pixel by pixel, in rows, and with their patch grid."""

from __future__ import annotations

import numpy as np

from core.figures.patches import enlarge, image_sheet, patch_grid, sharp


def test_every_pixel_becomes_a_square():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    large = enlarge(image, 8)
    assert (large[:4, :4] == image[0, 0]).all()
    assert (large[4:, 4:] == image[1, 1]).all()
    assert enlarge(np.full((2, 2, 1), 7, dtype=np.uint8), 4).shape == (4, 4, 3)


def test_the_sheet_holds_every_image_and_its_gaps_are_transparent():
    rows = [np.full((3, 4, 4, 3), value, dtype=np.uint8) for value in (10, 90)]
    sheet = image_sheet(rows, cell=16, gap=4)
    assert sheet.shape[-1] == 4
    for value in (10, 90):
        assert ((sheet[..., 0] == value) & (sheet[..., 3] == 255)).sum() == 3 * 16 * 16
    assert (sheet[..., 3] == 0).any()


def test_the_grid_has_a_line_between_patches_and_leaves_the_image_alone():
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    grid = patch_grid(image, 8, side=320)
    lit = grid[40, :, 0] > 0
    assert np.flatnonzero(np.diff(lit.astype(int)) == 1).size == 3  # four patches, three lines
    assert not image.any()


def test_a_wider_gap_sets_the_first_row_apart_and_nothing_else():
    row = np.full((2, 4, 4, 3), 50, dtype=np.uint8)
    sheet = image_sheet([row, row, row], cell=10, gap=3)
    drawn = (sheet[:, 0, 3] == 255).astype(int)
    starts = np.flatnonzero(np.diff(drawn, prepend=0) == 1)
    np.testing.assert_array_equal(starts, [0, 10 + 2 * 3, 10 + 2 * 3 + 10 + 3])
    assert sheet.shape == (3 * 10 + 3 * 3, 2 * 10 + 3, 4)
    assert image_sheet([row, row], cell=10, gap=3, first_apart=False).shape[:2] == (23, 23)
    assert image_sheet([row], cell=10, gap=3).shape[:2] == (10, 23)


def test_a_small_image_grows_by_whole_pixels():
    assert sharp(np.zeros((30, 30, 3), dtype=np.uint8), side=100).shape == (90, 90, 3)
    assert sharp(np.zeros((30, 30, 3), dtype=np.uint8), side=20).shape == (30, 30, 3)
