"""A model of images and texts on a whole data set: which prompts, and whether they were chosen on other images."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.data.catalogue import DATASETS
from core.data.prompts import STRATEGIES, parse_templates
from core.experiments.evaluation import Evaluation
from core.experiments.zero_shot import Config
from core.figures.confusion import plot_compared_accuracies
from core.methods.accuracy.confusion import Accuracy
from core.reports import roughly
from pages.shared.amounts import amount_input
from pages.shared.evaluation.images import ChosenImages, label_area, read_labels
from pages.shared.evaluation.panel import DatasetEvaluation, ResultFigure
from pages.shared.foreign import plain
from pages.shared.zero_shot import read_model_card

CHOOSE = "choose"


class ClipEvaluation(DatasetEvaluation):
    """Zero-shot by the names of the classes."""

    recipe, key, stem = "zero_shot", "evaluation", "zero_shot_evaluation"
    deed = "names every image of a data set, untrained."
    kept = "Afterwards the images are kept, so that other labels or prompts on them take seconds."

    def config(self, name: str, images: ChosenImages) -> Config:
        """Strategy, labels, prompts, and how many images."""
        strategy = st.selectbox(
            "Prompts",
            [CHOOSE, *STRATEGIES],
            format_func=lambda each: STRATEGIES[each].title if each != CHOOSE else "Best on validation images",
            key="evaluation_strategy",
            help="Best on validation images: all strategies are compared on images that are not tested on.",
        )
        templates, domain = "", ""
        with st.expander("Labels and prompts", icon=":material/tune:"):
            labels = label_area(images, "evaluation")
            if strategy in (CHOOSE, "domain"):
                domain = st.text_input("Kind of things (domain prompts)", key="evaluation_domain", placeholder="object")
            if strategy in (CHOOSE, "custom"):
                templates = st.text_area(
                    "Sentences of your own, with {} for the label",
                    key="evaluation_templates",
                    placeholder="a sketch of a {}.",
                )
        most = amount_input(
            "Images of each split", 0, "all images", key="evaluation_images", most=10_000_000, step=500,
            help="A fixed random part.",
        )  # fmt: skip
        return Config(
            model=name,
            dataset=images.dataset,
            strategy=strategy,  # type: ignore[arg-type]
            test_split=images.test_split,
            templates=parse_templates(templates) if templates.strip() else (),
            domain=domain.strip(),
            labels=read_labels(labels, images),
            max_images=most,
        )

    def cost(self, config: Config, images: ChosenImages) -> None:
        """The number of images: CLIP reads them in a moment."""
        sizes = images.info["splits"]
        st.caption(f"{sum(min(sizes[split], config.max_images or sizes[split]) for split in images.splits):,} images.")

    def card_accuracies(self, name: str) -> list[tuple[str, Accuracy]]:
        """Data sets with labels that the model has seen, then pictures that it has not."""
        metrics = read_model_card(name).get("metrics", {})
        rows = [
            (f"{_title(data)}, {found.get('split', 'test')}: seen labels", found)
            for data, found in metrics.get("test", {}).items()
        ]
        rows += [
            (f"{_title(data)}, {split}: unseen pictures", found)
            for data, kinds in metrics.get("transfer", {}).items()
            for split, found in kinds.get("splits", {}).items()
        ]
        return [(title, _accuracy(found["accuracy"], found["count"])) for title, found in rows]

    def protocol(self, found: Evaluation) -> str:
        summary = found.summary
        chosen = f", chosen on {summary['chosen_on']}" if summary["chosen_on"] else ""
        return (
            f"{summary['model_title']} on {summary['dataset_title']}, {summary['split']}; prompts: "
            f"{STRATEGIES[summary['strategy']].title}{chosen}."
        )

    def figures(self, found: Evaluation, usual: list[ResultFigure]) -> list[ResultFigure]:
        """The usual ones, then strategies on validation images and the test splits, where there are several."""
        figures, rows = list(usual), found.summary["compared"]
        if rows:
            names = [row["strategy"] for row in rows]
            rights = [_accuracy(row["val_accuracy"], row["val_count"]) for row in rows]
            chosen = names.index(found.summary["strategy"])
            figure = plot_compared_accuracies([STRATEGIES[name].title for name in names], rights, chosen=chosen)
            title = f"Prompts, on {rows[0]['val_count']:,} validation images"
            figures.append(ResultFigure(key="prompts", title=title, figure=figure, alt=title))
        splits = found.split_accuracies
        if len(splits) > 1:
            figure = plot_compared_accuracies(list(splits), list(splits.values()), chosen=-1)
            figures.append(ResultFigure(key="splits", title="Split by split", figure=figure, alt="Split by split"))
        return figures

    def certainty(self, found: Evaluation) -> np.ndarray:
        """The probability of the answer."""
        return found.columns["confidence"]

    def note(self, found: Evaluation, index: int) -> str:
        return f" {found.columns['confidence'][index]:.0%}"

    def columns(self, found: Evaluation) -> dict[str, np.ndarray]:
        return {"confidence": found.columns["confidence"]}

    def details(self, found: Evaluation) -> tuple[str, list[str]]:
        summary = found.summary
        images, texts = (roughly(summary[f"{kind}_seconds"]) for kind in ("image", "text"))
        paragraphs = [f"**Prompts** {plain(' · '.join(summary['templates'][:8]))}"]
        if summary["skipped"]:
            paragraphs.append(f"**Left out** {plain(', '.join(list(summary['skipped'])[:10]))}: could not be decoded.")
        return f"Prompts, labels, command · {images} for the images, {texts} for the labels", paragraphs


EVALUATION = ClipEvaluation()


def _title(data: str) -> str:
    return DATASETS[data].title if data in DATASETS else data


def _accuracy(share: float, count: int) -> Accuracy:
    return Accuracy(correct=round(share * count), count=count)
