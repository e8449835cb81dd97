"""The parts of the Masking page: each takes the view and gives what is shown, for the screen and for the export."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from core.figures.attention import short_label
from core.figures.faithfulness import plot_faithfulness
from core.figures.masking import plot_masking_curves
from core.figures.patches import sharp
from core.figures.theme import Figure
from core.methods.accuracy.predictions import class_name, top_predictions
from core.methods.attention.explanations import EXPLANATIONS, explanations_for
from core.methods.masking.faithfulness import compare_with_band, verdict
from core.methods.masking.orders import (
    PUBLISHED,
    MaskingCurve,
    RandomBand,
    Responses,
    Strategy,
    keep_for_setting,
    keep_from_patches,
    removal_shares,
)
from core.reports import OnProgress, silent
from pages.masking.asking import (
    MaskingQuestion,
    band_of,
    faithfulness_of,
    mask_grid,
    masked_photo_of,
    masking_of,
    order_of,
    responses_of,
)
from pages.shared.cache import described_model, logits_of
from pages.shared.pickers import Picture
from pages.shared.views import MaskingView, ViewPart


def question_of(view: MaskingView, picture: Picture) -> MaskingQuestion:
    """What is measured: the class that the model predicts on the whole photo, or its embedding."""
    index = None
    if not described_model(view.model).spec.lacks("classifier"):
        index = int(np.argmax(logits_of(view.model, picture.digest, picture.image)))
    return MaskingQuestion(name=view.model, digest=picture.digest, class_index=index, fill=view.fill, steps=view.steps)


def measure_of(view: MaskingView, picture: Picture) -> str:
    """The axis of every curve, in words."""
    model = described_model(view.model)
    if model.spec.lacks("classifier"):
        return "cosine with the whole photo's embedding"
    best = top_predictions(logits_of(view.model, picture.digest, picture.image), model.classes, count=1)[0]
    return f"probability of {short_label(best.label)}"


def strategy_titles(method: str) -> dict[str, str]:
    """What goes first, and by what it is ranked."""
    by = EXPLANATIONS[method].title
    return {
        "most_attended": f"highest by {by}",
        "least_attended": f"lowest by {by}",
        "centre": "centre",
        "random": "one random order",
        "hand": "by hand",
    }


def curves_of(
    view: MaskingView, picture: Picture, *, background: bool = False, on_progress: OnProgress = silent
) -> dict[str, MaskingCurve]:
    """The curve of the view's strategy, and its opposite where the best go first."""
    strategies = [cast(Strategy, view.strategy)]
    if view.strategy == "most_attended":
        strategies.append("least_attended")
    question = question_of(view, picture)
    return {
        each: masking_of(
            question,
            each,
            view.method,
            0,
            picture.image,
            _background=background,
            on_progress=on_progress,
        )
        for each in strategies
    }


def removed_by(view: MaskingView, picture: Picture) -> tuple[int, ...]:
    """The patches that are gone on the screen, in raster order."""
    if view.strategy == "hand":
        return view.removed
    order = order_of(question_of(view, picture), view.strategy, view.method, 0, picture.image)
    return tuple(sorted(order[: counts_of(view, len(order))[view.step]].tolist()))


def counts_of(view: MaskingView, patches: int) -> list[int]:
    """Of `patches`, how many are gone at each step of the slider."""
    return [round(share * patches) for share in removal_shares(patches, view.steps).tolist()]


def share_words(removed: int, patches: int) -> str:
    """How much is gone."""
    return f"{removed / patches:.0%} removed: {removed} of {patches} patches"


def masked_part(view: MaskingView, picture: Picture) -> ViewPart:
    """The masked photo as the model gets it, pixel by pixel; small ones enlarged without a blur."""
    removed = removed_by(view, picture)
    pixels = masked_photo_of(view.model, picture.digest, view.fill, removed, picture.image)
    grid = mask_grid(view.model, picture.digest, picture.image)
    return ViewPart(
        pictures={"masked": sharp(pixels)},
        captions={"masked": share_words(len(removed), grid[0] * grid[1])},
        facts={"removed": list(removed), "grid": grid},
    )


def said(view: MaskingView, answers: MaskingCurve | Responses, at: int) -> str:
    """What the model says in one of its answers."""
    if answers.top_class is None or answers.top_probability is None:
        return f"{float(answers.confidence[at]):.3f}"
    label = short_label(class_name(described_model(view.model).classes, int(answers.top_class[at])))
    return f"{label} {answers.top_probability[at]:.0%}"


def headlines(view: MaskingView, answers: MaskingCurve | Responses) -> list[str]:
    """What the model says of the whole photo, which is the first of the answers, and of each masked one."""
    cosine = "Cosine of the embedding with the whole photo's: " if answers.top_class is None else ""
    first = said(view, answers, 0)
    return [f"{cosine}{first} → {said(view, answers, at)}" for at in range(len(answers.confidence))]


def area_sentence(view: MaskingView, curve: MaskingCurve, band: RandomBand, measure: str) -> str:
    """Whether the curve falls sooner than random orders, by the areas under them."""
    found = compare_with_band(curve, band)
    # Of a few orders that differ much, two standard deviations reach where no area of probabilities can lie.
    least = 0.0 if not described_model(view.model).spec.lacks("classifier") else -1.0
    ends = np.clip([found.random_low, found.random_high], least, 1.0)
    interval = f"{ends[0]:.3f} to {ends[1]:.3f} (mean ± 2 sd of {found.orders} orders)"
    areas = f"Area under the curve {found.area:.3f}; removed at random, {interval}"
    if view.strategy == "random":
        return f"{areas}. This curve is one of these orders."
    than = "than at random" if found.falls != "no differently" else "from random"
    return f"{areas}: the {measure} falls {found.falls} {than}."


def curve_figure(view: MaskingView, picture: Picture, band: RandomBand | None) -> Figure:
    return plot_masking_curves(
        curves_of(view, picture),
        strategy_titles(view.method),
        band,
        current=(view.strategy, view.step),
        classes=described_model(view.model).classes,
        measure=measure_of(view, picture),
    )


def curves_part(view: MaskingView, picture: Picture) -> ViewPart:
    """The curves beside random orders, and what they amount to."""
    question, curves = question_of(view, picture), curves_of(view, picture)
    curve, band = curves[view.strategy], band_of(question, view.orders, picture.image)
    table = pd.DataFrame({"removed": curve.shares})
    arrays = {"shares": curve.shares, "random_curves": band.curves}
    for strategy, each in curves.items():
        table[strategy] = arrays[f"curve_{strategy}"] = each.confidence
        arrays[f"order_{strategy}"] = order_of(question, strategy, view.method, 0, picture.image)  # type: ignore[arg-type]
    table["random_mean"], table["random_sd"] = band.mean, band.std
    if curve.top_class is not None:
        classes = described_model(view.model).classes
        table["says"] = [class_name(classes, int(index)) for index in curve.top_class]
    return ViewPart(
        figures={"curve": curve_figure(view, picture, band)},
        arrays=arrays,
        table=table,
        facts={
            "headline": headlines(view, curve)[view.step],
            "areas": area_sentence(view, curve, band, measure_of(view, picture)),
        },
    )


def by_hand_part(view: MaskingView, picture: Picture) -> ViewPart:
    """The painted mask beside none and beside the published ones."""
    question, model = question_of(view, picture), described_model(view.model)
    grid = mask_grid(view.model, picture.digest, picture.image)
    masks = {"Your mask": keep_from_patches(view.removed, grid), "Nothing removed": keep_from_patches([], grid)}
    masks |= {setting.title: keep_for_setting(setting, grid) for setting in PUBLISHED.values()}
    rows, responses = [], []
    answers = responses_of(question, np.stack(list(masks.values())), picture.image)
    for at, (title, keep) in enumerate(masks.items()):
        responses.append(float(answers.confidence[at]))
        row = {"mask": title, "removed": float((~keep).mean()), measure_of(view, picture): responses[-1]}
        if answers.top_class is not None and answers.top_probability is not None:
            row |= {
                "says": short_label(class_name(model.classes, int(answers.top_class[at]))),
                "sure": float(answers.top_probability[at]),
            }
        rows.append(row)
    now = f"{rows[0]['says']} {rows[0]['sure']:.0%}" if "says" in rows[0] else f"{responses[0]:.3f}"
    return ViewPart(
        arrays={"masks": np.stack(list(masks.values())), "responses": np.array(responses, dtype=np.float32)},
        table=pd.DataFrame(rows),
        facts={"headline": now if "says" in rows[0] else f"Cosine of the embedding with the whole photo's: {now}"},
    )


def faithfulness_part(view: MaskingView, picture: Picture) -> ViewPart:
    """Every map put to the test on this photo."""
    titles = {entry.name: entry.title for entry in explanations_for(described_model(view.model).spec)}
    result = faithfulness_of(question_of(view, picture), tuple(titles), view.orders, picture.image)
    rows = [
        {
            "explanation": titles[each],
            "deletion area ↓": curves.deletion_area,
            "insertion area ↑": curves.insertion_area,
            "verdict": verdict(result, each).outcome,
        }
        for each, curves in result.methods.items()
    ]
    random = result.random
    rows.append(
        {
            "explanation": f"random ({len(random.seeds)} orders)",
            "deletion area ↓": float(random.deletion_areas.mean()),
            "insertion area ↑": float(random.insertion_areas.mean()),
            "verdict": "–",
        }
    )
    arrays = {f"deletion_{name}": curves.deletion for name, curves in result.methods.items()}
    arrays |= {f"insertion_{name}": curves.insertion for name, curves in result.methods.items()}
    return ViewPart(
        figures={"faithfulness": plot_faithfulness(result, titles, measure=measure_of(view, picture))},
        arrays=arrays | {"deletion_random": random.deletion, "insertion_random": random.insertion},
        facts={"on this photo": rows},
    )
