"""Planes are judged by who is near whom, not by coordinates; little or strange input gives words, not failures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, CoreError, ShapeError
from core.methods.embeddings.embedding import Method, PlaneConfig, align, describe, place, place_once
from core.methods.embeddings.embedding_quality import nearest, neighbours_right

# UMAP compiles itself for a quarter of a minute in every process that uses it.
UMAP = pytest.param("umap", marks=pytest.mark.slow)
METHODS = ["pca", "tsne", UMAP]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.methods.embeddings.embedding._EXAGGERATED", 50)
    monkeypatch.setattr("core.methods.embeddings.embedding._PLAIN", 100)
    monkeypatch.setattr("core.methods.embeddings.embedding._EPOCHS", 100)


def clusters(count: int = 60, classes: int = 3, dim: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    vectors = 4 * random.normal(size=(classes, dim))[labels] + random.normal(size=(count, dim))
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_separated_clusters_stay_separated(method: Method, dimensions: int) -> None:
    vectors, labels = clusters()
    plane = place(vectors, PlaneConfig(method=method, dimensions=dimensions, perplexity=8, neighbours=8))  # type: ignore[arg-type]
    assert plane.coordinates.shape == (60, dimensions)
    assert plane.coordinates.dtype == np.float32
    assert plane.note == ""
    assert neighbours_right(nearest(plane.coordinates, 5), labels, 5).mean() >= 0.98
    np.testing.assert_allclose(plane.coordinates.mean(axis=0), 0, atol=1e-4)
    assert (plane.coordinates**2).sum(axis=1).mean() == pytest.approx(1, abs=1e-4)


def test_tsne_on_a_grid_keeps_clusters_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.methods.embeddings.embedding._GRID_FROM", 1)
    vectors, labels = clusters(30)
    plane = place(vectors, PlaneConfig(perplexity=5))
    assert neighbours_right(nearest(plane.coordinates, 5), labels, 5).mean() >= 0.98


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_gives_the_same_plane_and_inputs_are_left_alone(method: Method) -> None:
    vectors, _ = clusters(40)
    before = vectors.copy()
    config = PlaneConfig(method=method, perplexity=5, neighbours=5)
    np.testing.assert_array_equal(place(vectors, config).coordinates, place(vectors, config).coordinates)
    np.testing.assert_array_equal(vectors, before)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 9])
@pytest.mark.parametrize("method", METHODS)
def test_few_images_always_have_a_place(count: int, method: Method, dimensions: int) -> None:
    vectors, _ = clusters(count)
    plane = place(vectors, PlaneConfig(method=method, dimensions=dimensions))  # type: ignore[arg-type]
    assert plane.coordinates.shape == (count, dimensions)
    assert np.isfinite(plane.coordinates).all()
    if count == 1:
        assert plane.note == "One image has no neighbours: it lies in the middle."
    if 1 < count < 6 and method != "pca":
        assert "too few" in plane.note
    if count >= 6 and method == "tsne":
        assert f"of {count} it was lowered to" in plane.note


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_identical_images_lie_in_the_middle_and_that_is_said(method: Method, value: float) -> None:
    plane = place(np.full((50, 8), value, np.float32), PlaneConfig(method=method))
    assert not plane.coordinates.any()
    assert "All 50 images have the same features" in plane.note


@pytest.mark.parametrize("method", METHODS)
def test_copies_of_two_images_make_two_heaps(method: Method) -> None:
    vectors = np.repeat(clusters(2)[0], 20, axis=0)
    plane = place(vectors, PlaneConfig(method=method, perplexity=5, neighbours=5))
    assert neighbours_right(nearest(plane.coordinates, 5), np.arange(40) // 20, 5).all()


def test_one_dimension_is_a_line() -> None:
    plane = place(np.array([[1.0], [-1.0], [2.0]]), PlaneConfig(method="pca"))
    assert not plane.coordinates[:, 1].any()
    assert "1 dimensions" in plane.note


def test_input_that_cannot_be_placed_costs_a_sentence() -> None:
    with pytest.raises(CoreError, match="no images"):
        place(np.zeros((0, 4)), PlaneConfig())
    broken = clusters(20)[0]
    broken[3, 1] = np.nan
    with pytest.raises(CoreError, match="1 of 20 images are not numbers"):
        place(broken, PlaneConfig())
    with pytest.raises(ShapeError, match="begin at"):
        place(clusters(20)[0], PlaneConfig(), start=np.zeros((19, 2)))
    with pytest.raises(ConfigError, match="perplexity is 1"):
        PlaneConfig(perplexity=1)


@pytest.mark.parametrize("method", ["tsne", UMAP])
def test_progress_rises_and_can_stop_the_work(method: Method) -> None:
    vectors, _ = clusters(40)
    config = PlaneConfig(method=method, perplexity=5, neighbours=5)
    shares: list[float] = []
    place(vectors, config, on_progress=lambda share, text: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1

    def refuse(share: float, text: str) -> None:
        if share > 0.5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        place(vectors, config, on_progress=refuse)
    # Stopping has left no lock behind.
    assert len(place(vectors, config).coordinates) == 40


def test_alignment_undoes_a_turn_and_a_mirror() -> None:
    plane = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    turned = plane @ np.array([[0, 1], [1, 0]], np.float32) @ np.array([[0.6, -0.8], [0.8, 0.6]], np.float32) + 3
    np.testing.assert_allclose(align(turned, plane), plane, atol=1e-5)
    with pytest.raises(ShapeError, match="cannot be laid"):
        align(plane, plane[:4])


def test_successive_planes_begin_where_the_last_one_was() -> None:
    vectors, _ = clusters()
    config = PlaneConfig(perplexity=8)
    first = place(vectors, config).coordinates
    mirrored = first * np.array([-1, 1], np.float32)
    again = place(vectors, config, start=mirrored).coordinates
    assert np.abs(again - mirrored).mean() < np.abs(again - first).mean()


def test_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    vectors, _ = clusters()
    first = place_once(vectors, PlaneConfig(method="pca"))
    monkeypatch.setattr("core.methods.embeddings.embedding.place", lambda *_, **__: pytest.fail("it was placed before"))
    again = place_once(vectors, PlaneConfig(method="pca"))
    np.testing.assert_array_equal(again.coordinates, first.coordinates)
    assert (again.note, again.explained) == (first.note, first.explained)
    monkeypatch.setattr("core.methods.embeddings.embedding.place", lambda *_, **__: first)
    assert len(list((tmp_path / "cache" / "planes").iterdir())) == 1
    place_once(vectors + 1, PlaneConfig(method="pca"))
    place_once(vectors, PlaneConfig(method="pca", dimensions=3))
    assert len(list((tmp_path / "cache" / "planes").iterdir())) == 3


def test_settings_that_matter_are_named() -> None:
    assert describe(PlaneConfig()) == {"method": "t-SNE", "perplexity": 30.0, "seed": 0}
    assert describe(PlaneConfig(method="pca")) == {"method": "PCA"}
