"""Images and captions side by side: each sentence once, and whether what lies beside what crosses over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.methods.modality_gap.alignment import VARIANTS
from core.methods.modality_gap.modality_gap import Pairs
from core.methods.modality_gap.side_planes import planes_beside, side_arrays


def clouds(seed: int, apart: float) -> Pairs:
    """Sixty images of three classes and sixty sentences around the same places, each side in a cone of its own."""
    random = np.random.default_rng(seed)
    labels, chosen = np.repeat(np.arange(3), 20), np.tile(np.arange(20), 3)
    centres = np.eye(3, 8)
    images = centres[labels] + 0.1 * random.normal(size=(60, 8))
    captions = centres[:, None] + 0.1 * np.random.default_rng(0).normal(size=(3, 20, 8))
    images[:, 6] += apart
    captions[..., 7] += apart
    return Pairs(images=images, labels=labels, captions=captions, chosen=chosen)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_clouds_that_lie_apart_have_no_neighbours_across_and_find_some_when_moved(method) -> None:
    said: list[float] = []
    before, after = planes_beside(
        clouds(1, 3.0),
        clouds(2, 3.0),
        VARIANTS["mean_shift"],
        method=method,
        on_progress=lambda share, _: said.append(share),
    )
    assert before.neighbours_across == 0
    assert after.neighbours_across > 0.1
    assert before.by_chance == pytest.approx(60 / (59 + 60))
    for side in (before, after):
        assert (side.images.shape, side.captions.shape) == ((60, 2), (60, 2))
        assert side.classes.tolist() == [0] * 20 + [1] * 20 + [2] * 20
        assert side.note == ""
        assert bool(side.explained) == (method == "pca")
    assert said == sorted(said)
    assert 0 <= said[0] <= said[-1] <= 1
    assert set(side_arrays((before, after))) == {"before_images", "before_captions", "after_images", "after_captions"}


def test_a_plane_shows_the_gap_that_is_there() -> None:
    before, after = planes_beside(clouds(1, 1.5), clouds(2, 1.5), VARIANTS["mean_shift"])
    gaps = [np.linalg.norm(side.images.mean(axis=0) - side.captions.mean(axis=0)) for side in (before, after)]
    assert gaps[0] > 1
    assert gaps[1] < 0.5


def test_a_sentence_of_many_images_is_one_point() -> None:
    pairs = clouds(1, 1.5)
    few = replace(pairs, chosen=pairs.chosen % 2)
    side, _ = planes_beside(few, few, VARIANTS["mean_shift"])
    assert side.captions.shape == (6, 2)
    assert side.classes.tolist() == [0, 0, 1, 1, 2, 2]
