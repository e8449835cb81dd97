import numpy as np
import pytest
from PIL import Image

from core.data.transforms import HALF_NORMALISATION, Preprocessing
from core.errors import CoreError
from core.methods.accuracy.batched_answers import BATCH_SIZE, ask_about

PREPROCESSING = Preprocessing(size=4, normalisation=HALF_NORMALISATION)


def _opener(level: int):
    return lambda: Image.new("RGB", (10, 8), (level, 0, 0))


def _broken() -> Image.Image:
    raise CoreError("It is torn.")


def test_every_picture_is_asked_about_in_its_order():
    said = []
    count = BATCH_SIZE + 5
    answers = ask_about(
        [_opener(level) for level in range(count)],
        PREPROCESSING,
        lambda images: images.mean(dim=(2, 3)),
        on_progress=lambda share, text: said.append((share, text)),
    )
    assert answers.values[:, 0] == pytest.approx(np.arange(count) / 255 / 0.5 - 1, abs=1e-5)
    assert answers.kept.tolist() == list(range(count))
    assert answers.thumbnails.shape == (count, 96, 96, 3)
    assert said[-1] == (1.0, f"{count} of {count} pictures")


def test_what_cannot_be_read_is_left_out_and_named():
    answers = ask_about(
        [_opener(0), _broken, _opener(255)], PREPROCESSING, lambda images: images[:, 0, 0], with_thumbnails=False
    )
    assert answers.kept.tolist() == [0, 2]
    assert answers.skipped == {1: "It is torn."}
    assert len(answers.values) == 2
    assert len(answers.thumbnails) == 0
    with pytest.raises(CoreError, match="torn"):
        ask_about([_broken], PREPROCESSING, lambda images: images)
    with pytest.raises(CoreError, match="none"):
        ask_about([], PREPROCESSING, lambda images: images)
