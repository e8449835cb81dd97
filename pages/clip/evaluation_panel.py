"""A model of images and texts on a whole data set: launched here, run in the background, read from its folder."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.data.catalogue import installed_datasets
from core.data.prompts import STRATEGIES, parse_templates
from core.experiments.zero_shot import RESULT, Config
from core.figures.confusion import MOST_CLASSES, plot_compared_accuracies
from core.methods.accuracy.confusion import surest_errors
from core.reports import roughly
from core.runs.store import RunFolder
from pages.clip.evaluation_views import (
    Evaluation,
    card_accuracies,
    comparison_figures,
    error_picture,
    evaluation_figures,
    evaluation_table,
    headline,
    read_evaluation,
)
from pages.shared.background_results import GALLERY, Results, error_gallery
from pages.shared.cache import loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.forms import dataset_import
from pages.shared.layout import page_link
from pages.shared.recipes import filled_recipe
from pages.shared.tested_images import choose_images, label_area, read_labels

CHOOSE = "choose"


def _line(run: RunFolder) -> str:
    """A result in a few words."""
    found = read_evaluation(run)
    split = found.summary["test"]["split"]
    return f"{found.accuracy.short()} · {found.summary['model_title']} · {found.summary['dataset_title']} ({split})"


RESULTS = Results(recipe="zero_shot", key="evaluation", file=RESULT, line=_line)


def evaluation_panel(name: str) -> None:
    """The form, what runs now, and a result: the newest, or the one of the address."""
    form, stage = st.columns([4, 9], gap="large")
    with form, guard():
        _form(name)
    with stage:
        RESULTS.progress()
        finished = RESULTS.finished()
        with guard():
            if not finished:
                _nothing_yet(name)
            else:
                show_evaluation(read_evaluation(RESULTS.choose(finished)))


def _form(name: str) -> None:
    """What to evaluate on, and the button."""
    st.markdown(f"**{plain(loaded_model(name).spec.title)}** names every image of a data set, untrained.")
    installed = installed_datasets()
    if not installed:
        st.info("No data set is on this machine yet.", icon=":material/database_off:")
    else:
        config = _config(name, installed)
        RESULTS.launch(config, name, config.dataset if config is not None else "")
    with st.popover("Import a data set", icon=":material/upload:", type="tertiary"):
        dataset_import("my_images", "evaluation-import")


def _config(name: str, installed: dict[str, Any]) -> Config | None:
    """The config that the widgets make, or None beside a sentence."""
    images = choose_images(installed, "evaluation")
    sizes = images.info["splits"]
    choices = [CHOOSE, *STRATEGIES]
    strategy = st.selectbox(
        "Prompts",
        choices,
        format_func=lambda each: STRATEGIES[each].title if each != CHOOSE else "Best on validation images",
        key="evaluation_strategy",
        help="Best on validation images: all strategies are compared on images that are not tested on.",
    )
    labels, templates, domain = "", "", ""
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
    most = st.number_input(
        "Images of each split", 0, 10_000_000, 0, 500, key="evaluation_images", help="A fixed random part; 0 is all."
    )
    with guard():
        config = Config(
            model=name,
            dataset=images.dataset,
            strategy=strategy,  # type: ignore[arg-type]
            test_split=images.test_split,
            templates=parse_templates(templates) if templates.strip() else (),
            domain=domain.strip(),
            labels=read_labels(labels, images),
            max_images=int(most),
        )
        count = sum(min(sizes[split], int(most) or sizes[split]) for split in images.splits)
        st.caption(f"{count:,} images.")
        return config
    return None


def _nothing_yet(name: str) -> None:
    """What is known before anything was evaluated here: the figures of the model's own card."""
    known = card_accuracies(name)
    if known:
        st.markdown("**What its card says**, measured once when it was trained")
        st.plotly_chart(
            plot_compared_accuracies([title for title, _ in known], [right for _, right in known], chosen=-1),
            width="stretch",
            key="card_accuracies",
            alt="Accuracies from the model's card with their 95 % intervals.",
        )
    st.info(
        "Nothing has been evaluated on this machine yet. Afterwards the images are kept, so that other labels or "
        "prompts on them take seconds.",
        icon=":material/query_stats:",
    )


def show_evaluation(found: Evaluation) -> None:
    """Accuracy, confusion, classes, splits, strategies, errors."""
    summary = found.summary
    st.markdown(f"#### {plain(found.accuracy.sentence())}")
    st.caption(plain(headline(found)))
    figures = evaluation_figures(found)
    left, right = st.columns(2, gap="medium")
    left.plotly_chart(
        figures["confusion"],
        width="stretch",
        key="confusion",
        alt="Confusion matrix: true classes down, what was said across.",
    )
    right.plotly_chart(
        figures["classes"], width="stretch", key="class_accuracies", alt="Accuracy of every class with its interval."
    )
    if len(found.classes) > MOST_CLASSES:
        st.caption(
            f"Of {len(found.classes)} classes, left the {MOST_CLASSES} with the most errors, columns ordered as the "
            f"rows; right the best and the worst {MOST_CLASSES // 2}."
        )
    if len(summary["splits"]) > 1 or summary["compared"]:
        left, right = st.columns(2, gap="medium")
        for place, (title, figure, alt) in zip((left, right), comparison_figures(found), strict=False):
            with place:
                st.markdown(f"**{plain(title)}**")
                st.plotly_chart(figure, width="stretch", key=f"compared_{alt}", alt=title)
    with guard():
        _gallery(found)
    _more(found)


def _gallery(found: Evaluation) -> None:
    """The errors it was surest of, all or of one kind."""

    def caption(index: int) -> str:
        true, said = found.classes[found.labels[index]], found.classes[found.predicted[index]]
        return f"{plain(true)} → **{plain(said)}** {found.confidence[index]:.0%}"

    error_gallery(
        "Surest errors",
        f"errors_{found.name}",
        found.classes,
        found.confusion,
        find=lambda true, said: surest_errors(
            found.labels, found.predicted, found.confidence, GALLERY, true_class=true, said_class=said
        ),
        picture=lambda index: error_picture(found, index),
        caption=caption,
    )


def _more(found: Evaluation) -> None:
    summary = found.summary
    seconds = f"{roughly(summary['image_seconds'])} for the images, {roughly(summary['text_seconds'])} for the labels"
    with st.expander(f"Prompts, labels, command · {seconds}"):
        st.markdown(f"**Prompts** {plain(' · '.join(summary['templates'][:8]))}")
        st.markdown(f"**Labels** {plain(', '.join(found.classes[:60]))}")
        if summary["skipped"]:
            st.markdown(f"**Left out** {plain(', '.join(list(summary['skipped'])[:10]))}: could not be decoded.")
        st.code(summary["command"], language="bash", wrap_lines=True)
        page_link("runs", "Its run", "monitoring", run=found.name)


def evaluation_export() -> Export:
    """The result that is shown.

    Raises:
        CoreError: there is none.
    """
    run = RESULTS.shown()
    found = read_evaluation(run)
    return Export(
        stem="zero_shot_evaluation",
        recipe=filled_recipe(
            "shared",
            "run",
            recipe="zero_shot",
            name=f"{run.name}-again"[:80],
            overrides=list(run.read_spec().overrides),
        ),
        figures=evaluation_figures(found),
        table=evaluation_table(found),
        facts=found.summary,
    )
