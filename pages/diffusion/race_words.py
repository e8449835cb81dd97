"""A race of prompts in sentences, and the table of all prompts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.methods.diffusion.diffusion_classifier import Race, excess_error
from core.methods.diffusion.sampling_plan import other_objective
from core.reports import roughly
from pages.diffusion.diffusion_classifier import (
    Question,
    left_out_steps,
    price_of_pruning,
    second_opinion_model,
)
from pages.shared.cache import loaded_model
from pages.shared.pickers import Picture
from pages.shared.zero_shot import scores_of


def progress_words(race: Race, question: Question) -> str:
    most = race.steps * len(question.labels)
    return (
        f"{race.step:,} of {race.steps:,} samples · {len(race.alive)} of {len(question.labels):,} prompts left · "
        f"{race.calls:,} of at most {most:,} calls"
    )


def race_sentence(race: Race, question: Question) -> str:
    """Who won, by how much, and what it cost."""
    order = race.order()
    most = race.steps * len(question.labels)
    spent = f"{race.seconds:.1f} s" if race.seconds < 10 else roughly(race.seconds)
    cost = f"{race.calls:,} calls in {spent}"
    if race.finished and race.calls < most:
        cost += f" instead of {most:,}"
    if len(order) == 1:
        return f"{question.labels[order[0]]}: the only label, so there is nothing to race against · {cost}"
    best, second = question.labels[order[0]], question.labels[order[1]]
    ahead, width = _margin(race, order[1])
    interval = f" ± {100 * width:.2g}" if np.isfinite(width) else ", a single sample"
    if ahead > width:
        said = f"{best} {'wins' if race.finished else 'leads'}, then {second}"
    else:
        said = f"Too close to call{' yet' * (not race.finished)}: {best}, then {second}"
    return f"{said} ({100 * ahead:+.2g} %{interval}) · {cost}"


def _margin(race: Race, prompt: int) -> tuple[float, float]:
    """By how much `prompt` is behind at its last sample, and the half-width of the 95 % interval."""
    mean, half_width = excess_error(race)
    last = int(race.samples[prompt]) - 1
    return float(mean[last, prompt]), float(np.nan_to_num(half_width[last, prompt], nan=np.inf))


def race_table(question: Question, picture: Picture, race: Race) -> pd.DataFrame:
    """A row for each prompt, the best first."""
    mean, half_width = excess_error(race)
    gone = {each.prompt: each for each in race.pruned}
    other = {prompt: place + 1 for place, prompt in enumerate(race.order(other_objective(race.objective)))}
    clip = second_opinion_model()
    shares = None
    if clip and len(question.labels) <= 200:
        found = scores_of(clip, picture.digest, picture.image, question.labels, (question.template,))
        shares = found.probabilities[0]
    rows, samples = [], race.samples
    for place, prompt in enumerate(race.order()):
        last = int(samples[prompt]) - 1
        left = gone.get(prompt)
        rows.append(
            {
                "": place + 1,
                "label": question.labels[prompt],
                "above leader, %": round(100 * float(mean[last, prompt]), 2),
                "± 95 %": None if place == 0 else round(100 * float(half_width[last, prompt]), 2),
                "samples": last + 1,
                "p": left.p_value if left is not None else None,
                f"by {other_objective(race.objective)}": other[prompt],
                **({"CLIP, %": round(100 * float(shares[prompt]), 1)} if shares is not None else {}),
            }
        )
    return pd.DataFrame(rows)


def other_answers(question: Question, table: pd.DataFrame, race: Race) -> list[str]:
    """The other objective, CLIP, and what pruning risks, each in a sentence."""
    other = question.labels[race.order(other_objective(race.objective))[0]]
    same = "as well" if other == question.labels[race.winner] else "instead"
    names = {"reconstruction": "reconstruction error", "noise": "noise error"}
    found = [f"By the {names[other_objective(race.objective)]}, without any further call, {other} would win {same}."]
    if "CLIP, %" in table and len(table) > 1:
        row = table.loc[table["CLIP, %"].idxmax()]
        agrees = "agrees" if row["label"] == question.labels[race.winner] else "disagrees"
        clip = loaded_model(second_opinion_model()).spec.title
        found.append(f"{clip} {agrees}, after one look: {row['label']} {row['CLIP, %']:.0f} %.")
    more = price_of_pruning(question.plan, len(question.labels)), left_out_steps(question.name)
    return [*found, *(sentence for sentence in more if sentence)]
