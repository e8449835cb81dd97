"""A model on a whole data set: a form that launches a run, and its result, whatever kind of model it is.

What one kind has of its own (prompts of CLIP, a plan of sampling of a diffusion model) is a subclass in its page's
folder: its widgets, its sentences, its figures beside the two that every classifier has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import streamlit as st

from core.data.catalogue import installed_datasets
from core.experiments.evaluation import Evaluation
from core.figures.confusion import MOST_CLASSES, plot_class_accuracies, plot_compared_accuracies, plot_confusion
from core.figures.theme import Figure
from core.methods.accuracy.confusion import Accuracy, class_accuracies, mistakes_sentence
from pages.shared.cache import loaded_model
from pages.shared.charts import show_chart
from pages.shared.dataset_import import arrived, dataset_import
from pages.shared.errors import guard
from pages.shared.evaluation.gallery import error_gallery
from pages.shared.evaluation.images import ChosenImages, choose_images
from pages.shared.evaluation.runs import EvaluationRuns
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.layout import command_block, command_details, form_and_stage, page_link
from pages.shared.recipes import filled_recipe


@dataclass(frozen=True, kw_only=True)
class ResultFigure:
    """A figure of a result; `key` names it in the export too."""

    key: str
    title: str
    figure: Figure
    alt: str
    caption: str = ""


class DatasetEvaluation(ABC):
    """The view of a page that evaluates its models on data sets.

    Attributes:
        recipe: of the runs that it launches.
        key: of the result in the address; the widgets' keys begin with it.
        stem: of exported files.
        deed: what the model does to the images, after its name.
        kept: what is kept for later, where nothing was evaluated yet.
        gallery: title of the gallery of errors.
        left_out: columns of a result that are not shown.
        arrays: columns that are exported as arrays.
    """

    recipe: ClassVar[str]
    key: ClassVar[str]
    stem: ClassVar[str]
    deed: ClassVar[str]
    kept: ClassVar[str]
    gallery: ClassVar[str] = "Surest errors"
    left_out: ClassVar[tuple[str, ...]] = ()
    arrays: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def config(self, name: str, images: ChosenImages) -> Any:
        """The widgets that this kind of model has of its own, and the recipe's config that comes of all of them."""

    @abstractmethod
    def cost(self, config: Any, images: ChosenImages) -> None:
        """Say how long a run of `config` takes."""

    @abstractmethod
    def card_accuracies(self, name: str) -> list[tuple[str, Accuracy]]:
        """What a model of our own measured when it was made, from its card: title and accuracy."""

    @abstractmethod
    def protocol(self, found: Evaluation) -> str:
        """What was measured, how and at which cost, in a sentence."""

    @abstractmethod
    def certainty(self, found: Evaluation) -> np.ndarray:
        """(images,) how sure each answer was; any scale."""

    @abstractmethod
    def details(self, found: Evaluation) -> tuple[str, list[str]]:
        """Title of what is folded away, and paragraphs in Markdown."""

    @abstractmethod
    def columns(self, found: Evaluation) -> dict[str, np.ndarray]:
        """What the exported table says of every image beside its place, its label and the answer."""

    def figures(self, found: Evaluation, usual: list[ResultFigure]) -> list[ResultFigure]:
        """All figures in the order in which they are shown, two a row: the `usual` ones among those of this kind."""
        return usual

    def sentences(self, found: Evaluation) -> list[str]:
        """What is said below the first row of figures."""
        return []

    def note(self, found: Evaluation, index: int) -> str:
        """What is said of an error after label and answer."""
        return ""

    @cached_property
    def runs(self) -> EvaluationRuns:
        return EvaluationRuns(recipe=self.recipe, key=self.key, headline=self.headline, left_out=self.left_out)

    def headline(self, found: Evaluation) -> str:
        """What was measured, what guessing would give, and the commonest mistakes."""
        guessing = f"Guessing would give {1 / len(found.classes):.1%}."
        return f"{self.protocol(found)} {guessing} {mistakes_sentence(found.classes, found.confusion)}".rstrip()

    def panel(self, name: str) -> None:
        """The form, what runs now, and a result: the newest, or the one of the address."""
        form, stage, _ = form_and_stage(self.key)
        with form, guard():
            self._form(name)
        with stage:
            self.runs.progress()
            finished = self.runs.finished()
            with guard():
                if not finished:
                    self._nothing_yet(name)
                else:
                    self._show(self.runs.read(self.runs.choose(finished)))

    def export(self) -> Export:
        """The result that is shown.

        Raises:
            CoreError: there is none.
        """
        run = self.runs.shown()
        found = self.runs.read(run)
        return Export(
            stem=self.stem,
            recipe=filled_recipe(
                "shared",
                "run",
                recipe=self.recipe,
                name=f"{run.name}-again"[:80],
                overrides=list(run.read_spec().overrides),
            ),
            figures={each.key: each.figure for each in self.all_figures(found)},
            table=self.table(found),
            facts=found.summary,
            arrays={key: found.columns[key] for key in self.arrays},
        )

    def all_figures(self, found: Evaluation) -> list[ResultFigure]:
        """Confusion and classes, and what this kind of model adds."""
        few = f"Of {len(found.classes)} classes,"
        many = len(found.classes) > MOST_CLASSES
        confusion = ResultFigure(
            key="confusion",
            title="Who is taken for whom",
            figure=plot_confusion(found.confusion, found.classes),
            alt="Confusion matrix: true classes down, what was said across.",
            caption=f"{few} the {MOST_CLASSES} with the most errors, columns ordered as the rows." * many,
        )
        accuracies = class_accuracies(found.confusion)
        classes = ResultFigure(
            key="classes",
            title="Class by class",
            figure=plot_class_accuracies(found.classes, accuracies, overall=found.accuracy.value),
            alt="Accuracy of every class with its interval.",
            caption=f"{few} the best and the worst {MOST_CLASSES // 2}." * many,
        )
        return self.figures(found, [confusion, classes])

    def table(self, found: Evaluation) -> pd.DataFrame:
        """Every image: split, row, true label, what was said, and more of this kind of model."""
        names, columns = np.array(found.classes), found.columns
        where = {"split": columns["split"], "row": columns["row"]}
        answers = {"label": names[found.labels], "said": names[found.predicted]}
        return pd.DataFrame(where | answers | self.columns(found))

    def _form(self, name: str) -> None:
        """What to evaluate on, what it will cost, and the button."""
        st.markdown(f"**{plain(loaded_model(name).spec.title)}** {self.deed}")  # ours: of the class
        arrived(f"{self.key}-import", f"{self.key}_data")
        installed = installed_datasets()
        if not installed:
            st.info("No data set is on this machine yet.", icon=":material/database_off:")
        else:
            images, config = choose_images(installed, self.key), None
            with guard():
                config = self.config(name, images)
                self.cost(config, images)
            self.runs.launch(config, name, images.dataset)
        with st.popover("Import a data set", icon=":material/upload:", type="tertiary"):
            dataset_import("my_images", f"{self.key}-import")

    def _nothing_yet(self, name: str) -> None:
        """What is known before anything was evaluated here: the figures of the model's own card."""
        known = self.card_accuracies(name)
        if known:
            st.markdown("**What its card says**, measured once when it was trained")
            show_chart(
                plot_compared_accuracies([title for title, _ in known], [right for _, right in known], chosen=-1),
                key=f"{self.key}_card",
                alt="Accuracies from the model's card with their 95 % intervals.",
            )
        nothing = f"Nothing has been evaluated on this machine yet. {self.kept}"
        st.info(nothing, icon=":material/query_stats:")  # ours: of the class

    def _show(self, found: Evaluation) -> None:
        """Accuracy, figures two a row with the sentences below the first, errors, and how it was made."""
        st.markdown(f"#### {plain(found.accuracy.sentence())}")
        st.caption(plain(self.headline(found)))
        figures = self.all_figures(found)
        for start in range(0, len(figures), 2):
            for column, each in zip(st.columns(2, gap="medium"), figures[start : start + 2], strict=False):
                with column:
                    st.markdown(f"**{plain(each.title)}**")
                    show_chart(each.figure, key=f"{self.key}_{each.key}", alt=each.alt)
                    if each.caption:
                        st.caption(plain(each.caption))
            for sentence in self.sentences(found) if not start else ():
                st.markdown(f"- {plain(sentence)}")
        with guard():
            error_gallery(
                self.gallery,  # ours: of the class
                f"{self.key}_errors_{found.name}",
                found,
                self.certainty(found),
                lambda index: self.note(found, index),
            )
        title, paragraphs = self.details(found)
        with command_details(f"{self.key}_details", title, None) as is_open:
            for paragraph in (*paragraphs, f"**Labels** {plain(', '.join(found.classes[:60]))}"):
                st.markdown(paragraph)
            if is_open:
                command_block(found.summary["command"])
            page_link("runs", "Its run", "monitoring", run=found.name)
