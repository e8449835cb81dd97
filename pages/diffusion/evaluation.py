"""The diffusion classifier on a whole data set: under which plan, at which cost, and what other models say."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import streamlit as st

from core.errors import CoreError
from core.experiments.diffusion_results import GRID
from core.experiments.diffusion_zero_shot import Config
from core.experiments.evaluation import Evaluation, evaluated_splits
from core.figures.elimination_cost import plot_accuracy_by_calls, plot_replays
from core.methods.accuracy.confusion import Accuracy
from core.methods.accuracy.paired import Paired
from core.methods.diffusion.elimination_cost import BudgetCurve, budget_curve
from core.models.catalogue import MODELS
from core.models.weights import availability
from core.reports import roughly
from core.shares import counted, share_of
from pages.diffusion.pace import cost_sentence, earlier_pace, probed_pace
from pages.diffusion.plan_form import plan_form
from pages.shared.amounts import amount_input
from pages.shared.cache import loaded_model
from pages.shared.evaluation.images import ChosenImages, label_area, read_labels
from pages.shared.evaluation.panel import DatasetEvaluation, ResultFigure
from pages.shared.foreign import plain
from pages.shared.zero_shot import read_model_card

# A network of so many parameters is probed without being asked: a pass takes moments.
SMALL = 60_000_000
# Of images with the full grid's answer: plans below it are not recommended.
FAITHFUL = 0.97


class DiffusionEvaluation(DatasetEvaluation):
    """Zero-shot by denoising."""

    recipe, key, stem = "diffusion_zero_shot", "diffusion_evaluation", "diffusion_evaluation"
    deed = "names images by denoising them under every label."
    kept = "A run goes on when this page is closed; when it is stopped, the images that are finished are kept."
    gallery = "Quickest errors"
    left_out = GRID
    arrays = ("leader", "calls_by_sample")

    def config(self, name: str, images: ChosenImages) -> Config:
        """How many images, the plan, labels, prompt, and who answers beside it."""
        first, second = st.columns(2, vertical_alignment="bottom")
        with first:
            count = amount_input(
                "Images",
                100,
                "all images",
                key="diffusion_evaluation_images",
                most=1_000_000,
                step=50,
                help="A random part of all of them.",
            )
        with second:
            plan = plan_form()
        full_grid = st.toggle(
            "Full grid",
            key="diffusion_evaluation_full_grid",
            help="No prompt leaves: every sample is computed for all, which shows what pruning saves, at which price.",
        )
        with st.expander("Labels, prompt, other models", icon=":material/tune:"):
            labels = label_area(images, self.key)
            template = st.text_input(
                "Prompt, with {} for the label",
                value=str(read_model_card(name).get("prompt") or Config().template),
                key=f"diffusion_evaluation_template_{name}",
            )
            ready = [each for each, spec in MODELS.items() if _answers(each) and availability(spec).state == "ready"]
            compared = st.multiselect(
                "The same images also to",
                ready,
                default=[each for each in Config().compare_with if each in ready and _knows(each, images.info)],
                format_func=lambda each: MODELS[each].title,
                key=f"diffusion_evaluation_compared_{images.dataset}",
            )
        return Config(
            model=name,
            dataset=images.dataset,
            test_split=images.test_split,
            images=count,
            template=template.strip(),
            labels=read_labels(labels, images),
            plan=plan,
            full_grid=full_grid,
            compare_with=tuple(compared),
        )

    def cost(self, config: Config, images: ChosenImages) -> None:
        """How many calls the run needs at most, and how long they take here."""
        total = sum(images.info["splits"][split] for split in evaluated_splits(config.test_split, images.info))
        count = min(total, config.images or total)
        grid = count * len(images.info["classes"]) * config.plan.most_samples
        pace = earlier_pace(config.model, config.plan, self._finished())
        if pace is None:
            module = loaded_model(config.model).module
            small = sum(parameter.numel() for parameter in module.parameters()) <= SMALL
            if not small and not st.button(
                "How long will it take?", icon=":material/timer:", key="diffusion_evaluation_probe"
            ):
                st.caption(f"{count:,} images, at most {grid:,} calls of the network.")
                return
            pace = probed_pace(config.model)
        pruned = config.plan.pruning != "none" and not config.full_grid
        st.caption(cost_sentence(count, grid, pace, pruned=pruned))

    def _finished(self) -> list[Evaluation]:
        found = []
        for run in self.runs.finished():
            with suppress(CoreError):
                found.append(self.runs.read(run))
        return found

    def card_accuracies(self, name: str) -> list[tuple[str, Accuracy]]:
        """On test images, and on those of the validation."""
        metrics = read_model_card(name).get("metrics", {})
        found = []
        for split, words in (("test", "test images"), ("val", "validation images")):
            share, count = metrics.get(f"{split}_accuracy"), metrics.get(f"{split}_count")
            if isinstance(share, float) and isinstance(count, int) and count:
                protocol = metrics.get(f"{split}_protocol", "")
                title = f"{words}: {protocol}" if protocol else words
                found.append((title, Accuracy(correct=round(share * count), count=count)))
        return found

    def protocol(self, found: Evaluation) -> str:
        summary, calls = found.summary, found.summary["calls"]
        return (
            f"{summary['model_title']} on {counted(len(found.labels), 'random image')} of {summary['dataset_title']}, "
            f"{summary['split']}: {calls['mean']:,.0f} calls an image ({calls['quantile_0.1']:,.0f} to "
            f"{calls['quantile_0.9']:,.0f} for the middle 80 %), {calls['saved']:.1f} times fewer than the full grid's "
            f"{calls['full_grid']:,}; {summary['image_seconds']['mean']:.2g} s an image on {summary['device'].upper()}"
            f"{' for the full grid' * summary['full_grid']}."
        )

    def figures(self, found: Evaluation, usual: list[ResultFigure]) -> list[ResultFigure]:
        """Accuracy by calls first; last, after a full grid, what pruning saves."""
        summary = found.summary
        others = [(row["title"], _accuracy(row)) for row in summary["others"]]
        curve = plot_accuracy_by_calls(budget(found), others=others, chance=1 / len(found.classes))
        by_calls = ResultFigure(
            key="accuracy_by_calls",
            title="Had every image been decided after so many calls",
            figure=curve,
            alt="Accuracy against the calls that an image may cost, with the other models as lines across.",
        )
        if not (rows := summary.get("replays")):
            return [by_calls, *usual]
        same = [_accuracy(row["same"]) for row in rows]
        pruning = ResultFigure(
            key="pruning",
            title="What pruning saves, and its price",
            figure=plot_replays([row["words"] for row in rows], [row["saved"] for row in rows], same, chosen=0),
            alt="Calls saved and share of the full grid's answers, for several plans.",
            caption=replay_sentence(rows),
        )
        return [by_calls, *usual, pruning]

    def sentences(self, found: Evaluation) -> list[str]:
        """Every other model beside it, and the other objective."""
        sentences = []
        for row in found.summary["others"]:
            table = Paired(**{each: row[each] for each in ("both", "only_first", "only_second", "neither")})
            sentences.append(
                f"{row['title']}: {_accuracy(row).sentence()}. {table.sentence('Denoising', row['title'])}"
            )
        other = found.summary["other_objective"]
        name = {"noise": "noise error", "reconstruction": "reconstruction error"}[other["objective"]]
        same = share_of(other["same_answer"]["correct"], other["same_answer"]["count"], "image")
        right = _accuracy(other).sentence()
        return [*sentences, f"By the {name}, without any further call: {right}; the same answer on {same}."]

    def certainty(self, found: Evaluation) -> np.ndarray:
        """What was decided after few calls was sure."""
        return -found.columns["calls"]

    def note(self, found: Evaluation, index: int) -> str:
        """Calls, and which other models say the same."""
        said_by = zip(found.summary["others"], found.columns["compared"], strict=True)
        alike = [row["title"] for row, said in said_by if said[index] == found.predicted[index]]
        too = f"; {', '.join(alike)} too" if alike else ""
        return f", {found.columns['calls'][index]:,} calls{too}"

    def columns(self, found: Evaluation) -> dict[str, np.ndarray]:
        names, columns = np.array(found.classes), found.columns
        titles = [row["title"] for row in found.summary["others"]]
        return {
            "other objective": names[columns["other_objective"]],
            **{title: names[said] for title, said in zip(titles, columns["compared"], strict=True)},
            "calls": columns["calls"],
            "seconds": columns["seconds"].round(3),
            "seed": columns["seed"],
        }

    def details(self, found: Evaluation) -> tuple[str, list[str]]:
        summary = found.summary
        plan = summary["plan"]
        spent = roughly(summary["image_seconds"]["mean"] * len(found.labels))
        samples = summary["calls"]["full_grid"] // len(found.classes)
        return f"Prompt, plan, command · {spent} in all", [
            f"**Prompt** {plain(summary['template'])}",
            f"**Plan** {plain(plan['objective'])} error, {plain(summary['plan_words'])}, at most {samples:,} samples; "
            f"{plain(summary['precision'])}, batches of {plain(summary['batch_size'])}, "
            f"{plain(summary['threads'])} threads",
        ]


EVALUATION = DiffusionEvaluation()


def budget(found: Evaluation) -> BudgetCurve:
    """How right it would have been had every image been decided earlier."""
    return budget_curve(found.labels, found.columns["leader"], found.columns["calls_by_sample"])


def replay_sentence(rows: list[dict[str, Any]]) -> str:
    """The cheapest plan that agrees with the full grid on at least 97 % of the images."""
    faithful = [row for row in rows if row["same"]["accuracy"] >= FAITHFUL]
    if not faithful:
        return f"None of these plans gives the full grid's answer on {FAITHFUL:.0%} of the images."
    row = max(faithful, key=lambda each: each["saved"])
    return (
        f"The cheapest plan with the full grid's answer on at least {FAITHFUL:.0%}: {row['words']}, "
        f"{row['saved']:.1f} times fewer calls, the same answer on {_accuracy(row['same']).sentence()}."
    )


def _accuracy(row: dict[str, Any]) -> Accuracy:
    return Accuracy(correct=row["correct"], count=row["count"])


def _answers(name: str) -> bool:
    """Whether a model of the catalogue names images."""
    return not MODELS[name].lacks("image_text") or not MODELS[name].lacks("classifier")


def _knows(name: str, info: dict[str, Any]) -> bool:
    """Whether comparing with it makes sense before anybody chose: a CIFAR-10 classifier on CIFAR-10, or any words."""
    return not MODELS[name].lacks("image_text") or set(loaded_model(name).classes) == set(info["classes"])
