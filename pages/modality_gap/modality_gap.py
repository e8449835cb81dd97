"""Pairs of images and captions for the Modality gap page, and what alignments do to them, computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.data.prompts import STRATEGIES
from core.methods.embeddings.embedding import TITLES, Method
from core.methods.modality_gap.alignment import VARIANTS, find_variant
from core.methods.modality_gap.alignment_steps import AlignmentStep, alignment_steps
from core.methods.modality_gap.modality_gap import Budget, Outcome, measure, pair_budget, points
from core.methods.modality_gap.modality_gap_pairs import By, Halves, embed_halves
from core.methods.modality_gap.side_planes import SidePlane, planes_beside
from core.reports import OnProgress, finish, silent, told
from core.shares import FEW, interval_words
from pages.shared.cache import loaded_model
from pages.shared.results import shared

# How often the control is fitted, each time with other captions.
SHUFFLES = 5
STEPS = 10


@dataclass(frozen=True)
class GapRequest:
    """Which pairs: the model, the images, the sentences, how many, and what keeps the two halves apart."""

    name: str
    source: str
    strategy: str
    pairs: int
    by: By
    seed: int = 0


@shared("Images and captions")
def halves_of(question: GapRequest, *, on_progress: OnProgress = silent) -> Halves:
    """The embeddings of a question.

    Raises:
        CoreError: see `embed_halves`.
    """
    embedding = embed_halves(
        loaded_model(question.name),
        question.source,
        STRATEGIES[question.strategy].templates,
        pairs=question.pairs,
        by=question.by,
        seed=question.seed,
    )
    found: Halves = finish(embedding, told(on_progress))
    return found


@shared("Fitting …")
def outcome_of(question: GapRequest, variant: str, *, on_progress: OnProgress = silent) -> Outcome:
    """A variant on the pairs of a question."""
    halves = halves_of(question)
    return measure(halves.fitted, halves.held_out, find_variant(variant), shuffles=SHUFFLES)


@shared("All alignments")
def outcomes_of(question: GapRequest, *, on_progress: OnProgress = silent) -> dict[str, Outcome]:
    """Every variant on the pairs of a question."""
    halves, found = halves_of(question), {}
    for number, (name, variant) in enumerate(VARIANTS.items()):
        on_progress(number / len(VARIANTS), f"{variant.title}: {number + 1} of {len(VARIANTS)}")
        known = outcome_of.known(question, name)
        found[name] = known or measure(halves.fitted, halves.held_out, variant, shuffles=SHUFFLES)
    return found


@shared("The way to the alignment")
def alignment_steps_of(question: GapRequest, variant: str, *, on_progress: OnProgress = silent) -> list[AlignmentStep]:
    """The way from nothing to a variant."""
    halves = halves_of(question)
    return alignment_steps(
        halves.fitted,
        halves.held_out,
        find_variant(variant),
        steps=STEPS,
        shuffles=SHUFFLES,
        on_progress=on_progress,
    )


@shared("Fitting fewer pairs")
def budget_of(question: GapRequest, variant: str, *, on_progress: OnProgress = silent) -> list[Budget]:
    """A variant fitted on ever more of the pairs."""
    halves = halves_of(question)
    return pair_budget(halves.fitted, halves.held_out, find_variant(variant))


@shared(lambda _, __, method, ___: f"{TITLES[method]} before and after")
def sides_of(
    question: GapRequest, variant: str, method: Method, seed: int, *, on_progress: OnProgress = silent
) -> tuple[SidePlane, SidePlane]:
    """The held-out pairs before and after a variant, each in a plane of its own."""
    halves = halves_of(question)
    return planes_beside(
        halves.fitted, halves.held_out, find_variant(variant), method=method, seed=seed, on_progress=on_progress
    )


def table_of(outcomes: dict[str, Outcome]) -> pd.DataFrame:
    """One row a variant; accuracies as fractions."""
    before = outcomes["before"]
    rows = []
    for name, outcome in outcomes.items():
        change, low, high = outcome.change_from(before)
        count = len(outcome.correct)
        rows.append(
            {
                "alignment": VARIANTS[name].title,
                "gap": outcome.held_out.distance,
                "cosine": outcome.held_out.paired_cosine,
                "cosine, fitted": outcome.fitted.paired_cosine,
                "accuracy": outcome.accuracy,
                "95 % interval": interval_words(int(outcome.correct.sum()), count) or None,
                "change (points)": None
                if name == "before" or count < FEW
                else f"{points(change)} ({points(low)} to {points(high)})",
                "both sides": None if outcome.both_correct is None else float(outcome.both_correct.mean()),
                "on fitted pairs": outcome.fitted_accuracy,
                "shuffled, held out": _mean(outcome.shuffled_accuracies),
                "shuffled, own pairs": _mean(outcome.shuffled_fitted_accuracies),
                "determined": None if not VARIANTS[name].rotate else outcome.alignment.determined,
                "scale": outcome.alignment.scale if VARIANTS[name].scale else None,
                "residual": outcome.alignment.residual,
            }
        )
    return pd.DataFrame(rows)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
