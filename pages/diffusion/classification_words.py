"""A classification by denoising in sentences, and the table of all prompts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.methods.diffusion.diffusion_classifier import Classification, excess_error
from core.methods.diffusion.elimination import Pruned
from core.methods.diffusion.sampling_plan import other_objective
from core.reports import roughly
from pages.diffusion.diffusion_classifier import (
    ClassificationRequest,
    left_out_steps,
    price_of_pruning,
    second_opinion_model,
)
from pages.shared.cache import loaded_model
from pages.shared.pickers import Picture
from pages.shared.zero_shot import scores_of


def progress_words(classification: Classification, question: ClassificationRequest) -> str:
    most = classification.steps * len(question.labels)
    left = f"{len(classification.alive)} of {len(question.labels):,} prompts left"
    return (
        f"{classification.step:,} of {classification.steps:,} samples · {left} · "
        f"{classification.calls:,} of at most {most:,} calls"
    )


def classification_sentence(classification: Classification, question: ClassificationRequest) -> str:
    """Who won, by how much, and what it cost."""
    order = classification.order()
    most = classification.steps * len(question.labels)
    spent = f"{classification.seconds:.1f} s" if classification.seconds < 10 else roughly(classification.seconds)
    cost = f"{classification.calls:,} calls in {spent}"
    if classification.finished and classification.calls < most:
        cost += f" instead of {most:,}"
    if len(order) == 1:
        return f"{question.labels[order[0]]}: the only label, so there is nothing to compare it with · {cost}"
    best, second = question.labels[order[0]], question.labels[order[1]]
    ahead, width = _margin(classification, order[1])
    interval = f" ± {100 * width:.2g}" if np.isfinite(width) else ", a single sample"
    if ahead > width:
        said = f"{best} {'wins' if classification.finished else 'leads'}, then {second}"
    else:
        said = f"Too close to call{' yet' * (not classification.finished)}: {best}, then {second}"
    return f"{said} ({100 * ahead:+.2g} %{interval}) · {cost}"


def _margin(classification: Classification, prompt: int) -> tuple[float, float]:
    """By how much `prompt` is behind at its last sample, and the half-width of the 95 % interval."""
    mean, half_width = excess_error(classification)
    last = int(classification.samples[prompt]) - 1
    return float(mean[last, prompt]), float(np.nan_to_num(half_width[last, prompt], nan=np.inf))


def prompt_table(question: ClassificationRequest, picture: Picture, classification: Classification) -> pd.DataFrame:
    """A row for each prompt, the best first."""
    mean, half_width = excess_error(classification)
    gone = {each.prompt: each for each in classification.pruned}
    other = {
        prompt: place + 1
        for place, prompt in enumerate(classification.order(other_objective(classification.objective)))
    }
    clip = second_opinion_model()
    shares = None
    if clip and len(question.labels) <= 200:
        found = scores_of(clip, picture.digest, picture.image, question.labels, (question.template,))
        shares = found.probabilities[0]
    rows, samples = [], classification.samples
    for place, prompt in enumerate(classification.order()):
        last = int(samples[prompt]) - 1
        left = gone.get(prompt)
        rows.append(
            {
                "": place + 1,
                "label": question.labels[prompt],
                "above leader, %": round(100 * float(mean[last, prompt]), 2),
                "± 95 %": None if place == 0 else round(100 * float(half_width[last, prompt]), 2),
                "samples": last + 1,
                ("p" if classification.expected is None else "chance, %"): _left_at(classification, left),
                f"by {other_objective(classification.objective)}": other[prompt],
                **({"CLIP, %": round(100 * float(shares[prompt]), 1)} if shares is not None else {}),
            }
        )
    return pd.DataFrame(rows)


def _left_at(classification: Classification, left: Pruned | None) -> float | None:
    """At which p-value a prompt left, or at which chance of winning in percent."""
    if left is None or left.p_value is None:
        return None
    return left.p_value if classification.expected is None else round(100 * left.p_value, 4)


def other_answers(question: ClassificationRequest, table: pd.DataFrame, classification: Classification) -> list[str]:
    """The other objective, CLIP, and what pruning risks, each in a sentence."""
    other = question.labels[classification.order(other_objective(classification.objective))[0]]
    same = "as well" if other == question.labels[classification.predicted] else "instead"
    names = {"reconstruction": "reconstruction error", "noise": "noise error"}
    found = [
        f"By the {names[other_objective(classification.objective)]}, without any further call, {other} would "
        f"win {same}."
    ]
    if "CLIP, %" in table and len(table) > 1:
        row = table.loc[table["CLIP, %"].idxmax()]
        agrees = "agrees" if row["label"] == question.labels[classification.predicted] else "disagrees"
        clip = loaded_model(second_opinion_model()).spec.title
        found.append(f"{clip} {agrees}, after one look: {row['label']} {row['CLIP, %']:.0f} %.")
    more = price_of_pruning(question.name, question.plan, len(question.labels)), left_out_steps(question.name)
    return [*found, *(sentence for sentence in more if sentence)]
