"""Figures of a classification: each prompt has a line, the pruned ones a cross, and colours stay with their prompts."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.diffusion_classifier import (
    HIGHLIGHTED,
    MOST_LINES,
    plot_classification,
    plot_error_by_step,
    prompt_colours,
    view_grid,
)
from core.methods.diffusion.denoising_view import DenoisingView
from core.methods.diffusion.diffusion_classifier import Classification, replay
from core.methods.diffusion.sampling_plan import Plan

STEPS = 1000


def classification(prompts: int, samples: int = 60, *, pruning: str = "t_test") -> Classification:
    """Errors that grow with the prompt's number."""
    random = np.random.default_rng(0)
    shared = random.uniform(0.1, 2, (samples, 1))
    error = shared * (1 + 0.02 * np.arange(prompts) + 0.02 * random.standard_normal((samples, prompts)))
    plan = Plan(samples=samples, pruning=pruning, objective="noise", least_samples=5)  # type: ignore[arg-type]
    return replay(error, error, random.integers(0, STEPS, samples), plan, STEPS)


def test_every_prompt_has_a_line_and_those_who_left_a_cross() -> None:
    found = classification(6)
    figure = plot_classification(found, [f"<b>label {number}" for number in range(6)])
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.name]
    crosses = [trace for trace in figure.data if trace.marker.symbol == "x"]
    assert len(lines) == 6
    assert len(crosses) == len(found.pruned) > 0
    assert {int(cross.x[0]) for cross in crosses} == {each.sample for each in found.pruned}
    # Names from outside are text, not markup.
    assert all("<b>" not in note.text for note in figure.layout.annotations)


def test_the_winner_is_the_zero_line_and_the_ends_are_in_the_picture() -> None:
    found = classification(4, pruning="none")
    figure = plot_classification(found, list("abcd"))
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines" and trace.name}
    assert np.abs(lines["a"].y).max() == 0
    low, high = figure.layout.yaxis.range
    assert all(low < line.y[-1] < high for line in lines.values())


def test_names_of_prompts_that_end_alike_do_not_cover_each_other() -> None:
    error = np.ones((40, 4))
    found = replay(error, error, np.arange(40), Plan(samples=40, pruning="none", objective="noise"), STEPS)
    figure = plot_classification(found, list("abcd"))
    heights = sorted(note.y for note in figure.layout.annotations)
    low, high = figure.layout.yaxis.range
    assert np.diff(heights).min() > 0.04 * (high - low)


@pytest.mark.parametrize(("prompts", "samples"), [(1, 30), (2, 1), (3, 2), (200, 30)])
def test_odd_classifications_are_drawn(prompts: int, samples: int) -> None:
    found = classification(prompts, samples, pruning="none")
    labels = [str(number) for number in range(prompts)]
    figure = plot_classification(found, labels)
    assert sum(trace.name is not None for trace in figure.data) == min(prompts, MOST_LINES)
    assert plot_error_by_step(found, labels, STEPS) is not None


def test_errors_by_step_are_paired_with_the_winner() -> None:
    found = classification(3, 400, pruning="none")
    figure = plot_error_by_step(found, list("abc"), STEPS)
    # Prompt 2 is 4 % worse than prompt 0 whatever the sample's own size.
    mean = np.average(figure.data[1].y)
    assert mean == pytest.approx(4, abs=0.8)


def test_colours_stay_with_their_prompts() -> None:
    first, second = prompt_colours((0, 1, 2, 3, 4, 5)), prompt_colours((3, 0, 2, 1, 4, 5))
    assert first == second
    assert len(set(prompt_colours((7, 0, 14, 21, 1)).values())) == HIGHLIGHTED


def test_the_grid_has_a_row_for_each_prompt_and_escapes_its_name() -> None:
    picture, noise = np.zeros((16, 16, 3), dtype=np.uint8), np.zeros((8, 8, 3), dtype=np.uint8)
    view = DenoisingView(
        time_step=500, signal=0.5, original=picture, noised=picture, noise=noise, predicted=np.stack([noise] * 2),
        reconstructed=np.stack([picture] * 2), error=np.ones((2, 8, 8)),
    )  # fmt: skip
    text = view_grid(view, ["cat", "<script>"])
    assert text.count("<img") == 3 + 2 * 3
    assert "<script>" not in text
    assert text.count("alt='") == 9
