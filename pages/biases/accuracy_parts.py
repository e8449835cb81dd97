"""What the view of accuracies shows and gives away, of a run of this machine or of what comes with Vitrine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.experiments.evaluation import Evaluation
from core.figures.ratios import NamedRatio, plot_ratios
from core.figures.stress import (
    MEASURES,
    Measure,
    StressTable,
    measured,
    plot_consistency,
    plot_stress,
    plot_stress_curves,
)
from core.figures.theme import Figure
from core.methods.biases.ratios import Estimate
from core.methods.biases.stress_table import condition_words
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.shares import counted, share_with_interval
from pages.biases.measured import overrides_of, title_of
from pages.shared.export import Export
from pages.shared.recipes import filled_recipe

CUES = ("shape", "texture", "colour")
LOCAL = {"noise_patch": "noise_patch:128", "scramble": "scramble:4"}
WORDS = {
    "noise_patch": "one patch",
    "scramble": "scrambled",
    "style, Small CNN on CIFAR-10": "style (CNN)",
    "style, EfficientNet-Lite0": "style (EfficientNet)",
}


@dataclass(frozen=True, kw_only=True)
class AccuracyView:
    """What is on the screen.

    Attributes:
        name: of the run; empty for what comes with Vitrine.
        summary: `result.json`, or the part of it that comes with Vitrine.
        measure: which number.
        manipulation: whose strengths are drawn; empty where no manipulation has several.
        condition: whose agreement of errors is drawn.
    """

    name: str
    summary: dict[str, Any]
    table: StressTable
    measure: Measure
    manipulation: str
    condition: int

    def figures(self) -> dict[str, Figure]:
        """By file stem."""
        found = {"conditions": plot_stress(self.table, self.measure)}
        if self.manipulation:
            found["strengths"] = plot_stress_curves(self.table, self.manipulation, self.measure)
        if self.table.pairs:
            found["agreement"] = plot_consistency(self.table, self.condition)
        return found


def headline(table: StressTable, summary: dict[str, Any]) -> str:
    """Which manipulation takes most from which model, and least."""
    rows = [row for row in table.rows if row.ratio is not None and row.ratio.corrected.value is not None]
    count = table.rows[0].accuracy.count
    data = f"{summary['dataset_title']}, {counted(count, 'image')}"
    if not rows:
        best = max((row for row in table.rows), key=lambda row: row.accuracy.value)
        return f"{table.models[best.model]} names {best.accuracy.sentence()} right. {data}."
    worst = min(rows, key=lambda row: row.ratio.corrected.value)  # type: ignore[union-attr, arg-type, return-value]
    kept = max(0.0, worst.ratio.corrected.value or 0.0)  # type: ignore[union-attr]
    words = condition_words(table.conditions[worst.condition])
    return f"Least is left under “{words}”: {table.models[worst.model]} keeps {kept:.0%} beyond chance. {data}."


def conditions_table(table: StressTable) -> pd.DataFrame:
    """A row for each condition and model, every number with its interval."""
    rows = []
    for row in table.rows:
        numbers: dict[str, Any] = {}
        for measure, title in MEASURES.items():
            found = measured(row, measure)
            numbers |= {title: found.value, f"{title}, from": found.low, f"{title}, to": found.high}
        against = row.ratio.paired.p_value if row.ratio and row.ratio.paired else None
        rows.append(
            {
                "condition": condition_words(table.conditions[row.condition]),
                "steps": table.conditions[row.condition],
                "model": table.models[row.model],
                "right": row.accuracy.correct,
                "images": row.accuracy.count,
                **numbers,
                "p (exact McNemar, against as they are)": against,
            }
        )
    return pd.DataFrame(rows)


def readable_table(table: StressTable) -> pd.DataFrame:
    """The same with every interval beside its number, for the screen."""
    rows = []
    for row in table.rows:
        low, high = row.accuracy.interval
        ratio = row.ratio
        rows.append(
            {
                "Condition": condition_words(table.conditions[row.condition]),
                "Model": table.models[row.model],
                "Accuracy": f"{row.accuracy.value:.1%} ({low:.1%} to {high:.1%})",
                "Beyond chance": ratio.corrected.words() if ratio else "1",
                "Plain ratio": ratio.ratio.words() if ratio else "1",
                "Drop, points": _points(ratio.drop) if ratio else "0",
                "p": f"{ratio.paired.p_value:.2g}" if ratio and ratio.paired else "",
                "Images": row.accuracy.count,
            }
        )
    return pd.DataFrame(rows)


def _points(drop: Estimate) -> str:
    return Estimate(value=100 * (drop.value or 0), low=100 * (drop.low or 0), high=100 * (drop.high or 0)).words(1)


def accuracy_export(view: AccuracyView, found: Evaluation | None, overrides: list[str]) -> Export:
    """What is on the screen; of a run of this machine every answer, too."""
    name = f"{view.name}-again"[:80] if view.name else "stress"
    return Export(
        stem="biases_accuracy",
        recipe=filled_recipe("shared", "run", recipe="stress", name=name, overrides=overrides),
        figures=view.figures(),
        table=conditions_table(view.table),
        facts={
            **{key: value for key, value in view.summary.items() if key != "table"},
            "shown": {
                "measure": view.measure,
                "manipulation": view.manipulation,
                "agreement": view.table.conditions[view.condition],
            },
            "headline": headline(view.table, view.summary),
        },
        arrays={} if found is None else {key: np.asarray(found.columns[key]) for key in ("answers", "label", "row")},
    )


def bundled_overrides(evaluation: dict[str, Any]) -> list[str]:
    """The settings of the run that comes with Vitrine."""
    return overrides_of(str(evaluation["command"]))


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure of ours beside published ones.

    Attributes:
        table: the one of `benchmarks/biases.py` whose commands and words stand below it.
        numbers: what the figure shows, with counts and intervals.
    """

    key: str
    title: str
    figure: Figure
    alt: str
    caption: str
    table: dict[str, Any]
    numbers: pd.DataFrame


def published_figures(tables: Mapping[str, dict[str, Any]]) -> list[Published]:
    """Shape, texture and colour; then noise in one patch, scrambled tiles and style: what was measured of them."""
    found = []
    cues = [row for name in ("ratios", "colour") for row in tables.get(name, {}).get("rows", ()) if row["cue"] in CUES]
    if cues:
        first = tables.get("ratios") or tables["colour"]
        found.append(
            Published(
                key="cues", title="Shape, texture, colour", alt="Ratios of accuracies by cue and model.", table=first,
                numbers=_numbers(cues),
                figure=plot_ratios(_named(sorted(cues, key=lambda row: CUES.index(row["cue"]))), first["reports"]),
                caption="Shape: CIFAR-10G (drawings and silhouettes) against CIFAR-10 (JPEG copy). Texture: elastic "
                "distortion of CIFAR-10G. Colour: coloured MNIST (white digits on a red, green or blue ground) against "
                "plain MNIST (white on black), from which a probe on the frozen network has learned, or a network of "
                "its own. EfficientNet-Lite0 sees the photos enlarged from 32 to "
                "224 pixels, and nine classes: it knows no deer.",
            )
        )  # fmt: skip
    if "locality" in tables:
        evaluation, reports = tables["locality"]["evaluation"], dict(tables["locality"]["reports"])
        steps = [str(each["steps"]) for each in evaluation["conditions"]]
        rows = [
            {"model": evaluation["models"][row["model"]]["name"], "cue": cue, **row["against_as_they_are"]}
            for cue, text in LOCAL.items()
            for row in evaluation["table"]
            if steps[row["condition"]] == text
        ]
        style = tables.get("style", {"rows": [], "reports": {}})
        found.append(
            Published(
                key="locality", title="One patch, scrambled tiles, style", alt="Ratios of accuracies by manipulation.",
                figure=plot_ratios(_named([*rows, *style["rows"]], WORDS), _renamed(reports | style["reports"])),
                numbers=_numbers([*rows, *style["rows"]]),
                table={**tables["locality"], "commands": [*tables["locality"]["commands"], *style.get("commands", ())]},
                caption="On CIFAR-10 (JPEG copy): noise of 128 grey levels in a sixteenth of the area; 4 × 4 tiles; "
                "style: 100 images in the style of a painted swirl against themselves.",
            )
        )  # fmt: skip
    return found


def _named(rows: Sequence[dict[str, Any]], words: Mapping[str, str] | None = None) -> list[NamedRatio]:
    return [
        NamedRatio(
            model=title_of(row["model"]) + ", probe" * bool(row.get("probe")),
            cue=(words or {}).get(row["cue"], row["cue"]),
            ratio=Estimate(**row["ratio"]),
            corrected=Estimate(**row["corrected"]),
        )
        for row in rows
    ]


def _numbers(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows of `benchmarks/biases.py` as people read them."""
    return pd.DataFrame(
        [
            {
                "Cue": row["cue"],
                "Model": title_of(row["model"]) + ", probe" * bool(row.get("probe")),
                "Originals": _right(row["original"]),
                "Changed": _right(row["changed"]),
                "Same images": "yes" if row["same_images"] else "no",
                "Plain ratio": Estimate(**row["ratio"]).words(),
                "Beyond chance": Estimate(**row["corrected"]).words(),
            }
            for row in rows
        ]
    )


def _right(values: Mapping[str, Any]) -> str:
    return share_with_interval(int(values["correct"]), int(values["count"]))


def _renamed(reports: Mapping[str, Mapping[str, float]]) -> dict[str, Mapping[str, float]]:
    return {WORDS.get(cue, cue): models for cue, models in reports.items()}


def strengths_of(table: StressTable) -> dict[str, str]:
    """Manipulations that have several strengths here: name → title."""
    return {name: MANIPULATIONS[name].title for name in table.manipulations()}
