import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import IncompatibleError, ShapeError
from core.methods.anatomy.positional import distance_profile, positional_similarity
from core.models.positions import build_positions, sinusoids

GRIDS = st.tuples(st.integers(1, 6), st.integers(1, 6))


def _table(grid: tuple[int, int], prefix: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(prefix + grid[0] * grid[1], 8)).astype(np.float32)


def test_oracle_of_a_2d_table():
    """X = ((1,0),(0,1)), Y = ((2,0),(0,2)), patches in raster order are [X_c ; Y_r]."""
    x, y = np.eye(2), 2 * np.eye(2)
    table = np.array([np.concatenate([x[c], y[r]]) for r in range(2) for c in range(2)])
    assert positional_similarity(table, (2, 2), 0, "cosine").matrix[0] == pytest.approx([1, 0.8, 0.2, 0])
    assert positional_similarity(table, (2, 2), 0, "dot").matrix[0] == pytest.approx([5, 4, 1, 0])


def test_our_2d_table_gives_that_oracle():
    module = build_positions("learned_2d", (2, 2), 4, prefix_tokens=1)
    module.columns.data[:], module.rows.data[:] = module.columns.new_tensor(np.eye(2)), 0
    module.rows.data[:] = 2 * module.columns.data
    table = module.table().detach().numpy()
    assert positional_similarity(table, (2, 2), 1, "dot").matrix[0] == pytest.approx([5, 4, 1, 0])


def test_oracle_of_sinusoids():
    table = sinusoids(4, 4).numpy()
    dots = positional_similarity(table, (1, 4), 0, "dot").matrix[0]
    assert dots == pytest.approx([2, 1.540252, 0.583653, 0.009558], abs=1e-5)
    # All sinusoids have length √(D/2), so both measures agree up to D/2.
    assert positional_similarity(table, (1, 4), 0, "cosine").matrix[0] == pytest.approx(dots / 2, abs=1e-6)


@given(grid=GRIDS, prefix=st.integers(0, 3), seed=st.integers(0, 20))
@settings(deadline=None)
def test_similarity_is_symmetric_bounded_and_blind_to_the_prefix(grid, prefix, seed):
    table = _table(grid, prefix, seed)
    before = table.copy()
    cosine = positional_similarity(table, grid, prefix, "cosine")
    assert np.array_equal(table, before)
    assert cosine.matrix == pytest.approx(cosine.matrix.T, abs=1e-6)
    assert np.diagonal(cosine.matrix) == pytest.approx(1, abs=1e-5)
    assert np.abs(cosine.matrix).max() <= 1 + 1e-5
    assert cosine.tiles.shape == (*grid, *grid)
    assert cosine.tiles[-1, 0].ravel() == pytest.approx(cosine.matrix[(grid[0] - 1) * grid[1]])
    table[:prefix] = 1e6
    assert np.array_equal(positional_similarity(table, grid, prefix, "cosine").matrix, cosine.matrix)
    scaled = positional_similarity(table * 3, grid, prefix, "cosine").matrix
    assert scaled == pytest.approx(cosine.matrix, abs=1e-5)


@given(grid=GRIDS)
@settings(deadline=None)
def test_the_profile_counts_every_pair_once(grid):
    similarity = positional_similarity(_table(grid, 0), grid, 0, "dot")
    profile = distance_profile(similarity)
    patches = grid[0] * grid[1]
    assert profile.pairs.sum() == patches**2
    assert profile.distances[0] == 0
    assert profile.pairs[0] == patches
    assert np.sum(profile.similarity * profile.pairs) == pytest.approx(similarity.matrix.sum(), rel=1e-3, abs=1e-2)
    assert profile.along_row.shape == (grid[1],)
    assert profile.along_column.shape == (grid[0],)
    assert profile.along_row[0] == pytest.approx(profile.similarity[0], abs=1e-5)


def test_rows_and_columns_are_told_apart():
    """A table that knows only its column is identical down a column and orthogonal along a row."""
    table = np.tile(np.eye(3), (4, 1))
    profile = distance_profile(positional_similarity(table, (4, 3), 0, "cosine"))
    assert profile.along_column == pytest.approx([1, 1, 1, 1])
    assert profile.along_row == pytest.approx([1, 0, 0])


def test_no_table_and_wrong_tables_are_refused():
    with pytest.raises(IncompatibleError, match="bag of patches"):
        positional_similarity(None, (2, 2), 1)
    with pytest.raises(ShapeError, match="1 \\+ 4 rows"):
        positional_similarity(np.ones((4, 8)), (2, 2), 1)


def test_a_vector_of_length_zero_is_like_nothing():
    table = np.array([[0.0, 0.0], [1.0, 0.0]])
    assert positional_similarity(table, (1, 2), 0, "cosine").matrix == pytest.approx(np.array([[0, 0], [0, 1]]))
