"""Models that read one cue by construction come out as constructed; every answer is kept, and asked for once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import NotFiniteError
from core.methods.biases.asking import Asked, ask_models
from core.methods.biases.shape_bias import shape_bias
from core.methods.biases.stress_table import StressRow, stress_table
from core.methods.manipulations.manipulated import manipulated
from core.methods.manipulations.steps import Step, parse_steps
from core.reports import finish
from tests.methods.biases.constructed import (
    CLASSES,
    ByColour,
    ByPatch,
    ByShape,
    Guessing,
    asked,
    pictures,
)

COUNT = 80
LABELS = np.arange(COUNT) % CLASSES
CONDITIONS = ("", "grey:100", "scramble:4", "noise_patch:255@0.0625")
NAMES = ("as they are", "grey", "scramble", "patch")


def ask(models: list[Asked], images: np.ndarray, text: str = "", **options: Any) -> np.ndarray:
    options = {"seed": 0, "keys": range(len(images)), **options}
    found, _ = finish(ask_models(models, images, steps=parse_steps(text), **options))
    return np.asarray(found)


def noisy_place(seed: int) -> tuple[int, int]:
    """Where the patch of noise lies: the first row and column that it changes."""
    grey = torch.full((1, 3, 32, 32), 0.5)
    changed = (manipulated(grey, [Step("noise_patch", 255, 0.0625)], seed=seed, keys=[0]) != grey).any(dim=1)[0]
    rows, columns = torch.nonzero(changed, as_tuple=True)
    return int(rows.min()), int(columns.min())


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], StressRow]:
    """Everything about three constructed models, by model and condition; shape, colour and patch tell the class."""
    top, left = noisy_place(seed=0)
    images = pictures(LABELS, LABELS)
    images[:, top : top + 8, left : left + 8] = (30 + 60 * LABELS)[:, None, None, None]
    models = {"colour": ByColour(), "shape": ByShape(), "patch": ByPatch(top, left)}
    listed = [asked(module, name) for name, module in models.items()]
    answers = np.stack([ask(listed, images, text) for text in CONDITIONS], axis=2)
    table = stress_table(LABELS, answers, CLASSES)
    return {(list(models)[row.model], NAMES[row.condition]): row for row in table}


@pytest.mark.parametrize("model", ["colour", "shape", "patch"])
def test_every_constructed_model_is_right_on_the_images_as_they_are(
    rows: dict[tuple[str, str], StressRow], model: str
) -> None:
    assert rows[model, "as they are"].accuracy.value == 1


@pytest.mark.parametrize(
    ("model", "takes", "leaves"),
    [
        ("colour", "grey", ("scramble", "patch")),
        ("shape", "scramble", ("grey", "patch")),
        ("patch", "patch", ("grey",)),
    ],
)
def test_what_takes_the_cue_leaves_chance_and_what_does_not_leaves_all(
    rows: dict[tuple[str, str], StressRow], model: str, takes: str, leaves: tuple[str, ...]
) -> None:
    lost = rows[model, takes].ratio
    assert lost is not None
    assert lost.corrected.value is not None
    assert abs(lost.corrected.value) < 0.3
    for condition in leaves:
        kept = rows[model, condition].ratio
        assert kept is not None
        assert kept.corrected.value == 1


def test_without_colour_the_reader_of_colours_says_one_class_and_its_corrected_ratio_is_exactly_nothing(
    rows: dict[tuple[str, str], StressRow],
) -> None:
    found = rows["colour", "grey"].ratio
    assert found is not None
    assert found.ratio.value == 1 / CLASSES
    assert found.corrected.value == 0


def test_cue_conflict_tells_the_readers_of_shape_and_of_colour_apart_and_shows_who_guesses() -> None:
    random = np.random.default_rng(0)
    shape = random.integers(0, CLASSES, 400)
    colour = (shape + random.integers(1, CLASSES, 400)) % CLASSES
    answers = ask([asked(ByShape()), asked(ByColour()), asked(Guessing())], pictures(shape, colour))
    by_shape, by_colour, guessing = (shape_bias(column, shape, colour, tuple("abcd")) for column in answers.T)
    assert (by_shape.overall.bias.value, by_shape.overall.decided_share) == (1, 1)
    assert (by_colour.overall.bias.value, by_colour.overall.decided_share) == (0, 1)
    assert guessing.overall.bias.value == pytest.approx(0.5, abs=0.1)
    assert guessing.overall.decided_share == pytest.approx(guessing.chance_decided, abs=0.1)


class Counting(ByShape):
    """Counts the images that it is asked about."""

    seen = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        type(self).seen += len(images)
        return super().forward(images)


def test_nothing_is_asked_twice_and_the_answers_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "seen", 0)
    model, images = asked(Counting()), pictures(LABELS, LABELS)
    first = ask([model], images, "scramble:4", kept=tmp_path)
    assert Counting.seen == COUNT
    np.testing.assert_array_equal(ask([model], images, "scramble:4", kept=tmp_path), first)
    ask([model], images, "scramble:4+grey:0", kept=tmp_path)
    assert Counting.seen == COUNT
    for change in ({"text": "scramble:2"}, {"text": "scramble:4", "seed": 1}):
        ask([model], images, kept=tmp_path, **change)
    assert Counting.seen == 3 * COUNT
    other = Counting()
    with torch.no_grad():
        other.templates.mul_(-1)
    assert (ask([asked(other)], images, "scramble:4", kept=tmp_path) != first).any()


def test_a_damaged_file_is_asked_for_again(tmp_path: Path) -> None:
    model, images = asked(ByShape()), pictures(LABELS, LABELS)
    first = ask([model], images, kept=tmp_path)
    [file] = tmp_path.rglob("*.npy")
    file.write_bytes(file.read_bytes()[:-9])
    np.testing.assert_array_equal(ask([model], images, kept=tmp_path), first)


def test_a_slow_model_is_asked_about_the_first_images_alone() -> None:
    answers = ask([asked(ByShape(), most=3), asked(ByShape())], pictures(LABELS, LABELS))
    assert (answers[:3, 0] >= 0).all()
    assert (answers[3:, 0] == -1).all()
    np.testing.assert_array_equal(answers[:3, 0], answers[:3, 1])
    assert (answers[:, 1] >= 0).all()


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batches_change_no_answer(batch_size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), dtype=np.uint8)
    expected = ask([asked(ByShape())], images, "noise:40")
    np.testing.assert_array_equal(ask([asked(ByShape())], images, "noise:40", batch_size=batch_size), expected)
    alone = [ask([asked(ByShape())], images[row : row + 1], "noise:40", keys=[row]) for row in range(len(images))]
    np.testing.assert_array_equal(np.concatenate(alone), expected)


def test_answers_that_are_no_numbers_are_named_and_not_kept(tmp_path: Path) -> None:
    broken = ByShape()
    with torch.no_grad():
        broken.templates.fill_(float("nan"))
    with pytest.raises(NotFiniteError, match="The answers of Model"):
        ask([asked(broken)], pictures(LABELS, LABELS), kept=tmp_path)
    assert not list(tmp_path.rglob("*.npy"))
