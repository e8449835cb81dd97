"""Images and captions side by side: each sentence once, and whether what lies beside what crosses over."""

from __future__ import annotations

import numpy as np
import pytest

from core.methods.modality_gap.alignment import VARIANTS
from core.methods.modality_gap.modality_gap import Pairs
from core.methods.modality_gap.side_planes import planes_beside, side_arrays


def clouds(seed: int, apart: float) -> Pairs:
    """Sixty images of three classes around their captions, the captions `apart` along an axis of their own."""
    random = np.random.default_rng(seed)
    labels, chosen = np.repeat(np.arange(3), 20), np.tile([0, 1], 30)
    captions = np.zeros((3, 2, 8))
    captions[np.arange(3), :, np.arange(3)] = 1
    captions += 0.02 * np.random.default_rng(0).normal(size=captions.shape)
    images = captions[labels, chosen] + 0.1 * random.normal(size=(60, 8))
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
    assert before.by_chance == pytest.approx(6 / (59 + 6))
    for side in (before, after):
        assert (side.images.shape, side.captions.shape) == ((60, 2), (6, 2))  # six sentences, each once
        assert side.classes.tolist() == [0, 0, 1, 1, 2, 2]
        assert side.note == ""
        assert bool(side.explained) == (method == "pca")
    assert said == sorted(said)
    assert 0 <= said[0] <= said[-1] <= 1
    assert set(side_arrays((before, after))) == {"before_images", "before_captions", "after_images", "after_captions"}


def test_a_plane_shows_the_gap_that_is_there() -> None:
    before, after = planes_beside(clouds(1, 3.0), clouds(2, 3.0), VARIANTS["mean_shift"])
    gaps = [np.linalg.norm(side.images.mean(axis=0) - side.captions.mean(axis=0)) for side in (before, after)]
    assert gaps[0] > 1
    assert gaps[1] < 0.5
