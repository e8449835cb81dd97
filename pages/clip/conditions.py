"""The same things in several conditions, on the CLIP page: a sheet of answers, accuracies, values to compare with."""

from __future__ import annotations

import streamlit as st

from core.data.catalogue import installed_datasets, usual_split
from core.data.conditions import CONDITIONS
from core.data.prompts import STRATEGIES
from core.errors import CoreError
from core.figures.conditions import condition_sheet, plot_categories, plot_condition_counts, plot_conditions
from pages.clip.conditions_answers import (
    EXAMPLES,
    ConditionRequest,
    Found,
    Source,
    answer,
    count_of_each,
    headline,
    kept_cues,
    left_out_of_all,
    read_question,
    sheet_tiles,
    table,
)
from pages.shared.address import bound
from pages.shared.amounts import amount_input
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.layout import form_and_stage
from pages.shared.recipes import filled_recipe
from pages.shared.zero_shot import labels_seen

SOURCES: dict[Source, str] = {
    "made": "Made here",
    "stored": "Data set",
    "folder": "Folder",
}
# Data sets whose parts show the same kinds of things, or whose pictures make good silhouettes, first.
MADE_FROM = ("cifar10", "pacs", "tiny_imagenet")
STORED_IN = ("cifar10g", "pacs")
ASKED_AS = ("photo", "plain", "descriptive", "ensemble")


def panel(name: str) -> None:
    """The controls and the sheet; the model called `name` knows images and texts."""
    form, stage, _ = form_and_stage("conditions")
    question = found = None
    with form, guard():
        question = _form()
    if question is None:
        return
    with stage, guard():
        found = answer(name, question)
        st.markdown(f"#### {plain(headline(found))}")
        st.html(condition_sheet(found.result, kept_cues(question, found.set), sheet_tiles(found)))
        _notes(name, question, found)
    if found is None:
        return
    with st.expander("Accuracies with intervals", icon=":material/bar_chart:", expanded=True):
        left, right = st.columns(2, gap="large")
        show_chart(
            plot_conditions(found.result),
            key="conditions_figure",
            alt="Share of pictures named right in each condition, with 95 % intervals, chance and reference values.",
            place=left,
        )
        for row in found.result.rows:
            if sentence := row.sentence():
                left.caption(plain(sentence))
        show_chart(
            plot_categories(found.result),
            key="conditions_categories",
            alt="Share named right for each category in each condition.",
            place=right,
        )
        right.dataframe(table(found.result), hide_index=True, width="stretch")
        show_chart(
            plot_condition_counts(found.result),
            key="conditions_counts",
            alt="How many pictures of each category each condition shows, as stacked bars.",
        )


def export(name: str) -> Export:
    """Figures, the table, and a script that makes them again."""
    question = read_question()
    found = answer(name, question)
    return Export(
        stem="conditions",
        recipe=filled_recipe("clip", "conditions", **recipe_settings(name, question)),
        figures={
            "accuracies": plot_conditions(found.result),
            "categories": plot_categories(found.result),
            "counts": plot_condition_counts(found.result),
        },
        table=table(found.result),
        facts={
            "model": name,
            "pictures": found.set.title,
            "categories": list(found.set.categories),
            "templates": list(question.templates),
            "chance": found.result.chance,
            "strengths": dict(question.strengths) if question.source == "made" else {},
        },
    )


def recipe_settings(name: str, question: ConditionRequest) -> dict[str, object]:
    """What the recipe asks: the same."""
    of_dataset = question.source == "made" and question.data != EXAMPLES
    return {
        "model": name,
        "source": question.source,
        "data": question.data,
        "splits": (usual_split(question.data),) if of_dataset else (),
        "count": count_of_each(question),
        "strengths": dict(question.strengths),
        "templates": list(question.templates),
        "references": question.references,
    }


def _form() -> ConditionRequest:
    """The widgets, and what they ask."""
    installed = installed_datasets()
    source: Source = st.segmented_control(
        "Conditions",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        default="made",
        required=True,
        key="conditions_from",
        bind="query-params",
        help="Ordinary pictures changed in five ways; the parts that a data set has, such as photos and sketches; or a "
        "folder on this machine: CONDITION/CATEGORY/*.jpg or CONDITION/categoryN.jpg.",
    )
    if source == "folder":
        st.text_input(
            "Path of the folder",
            key="conditions_folder",
            placeholder="/pictures",
            help="CONDITION/CATEGORY/*.jpg or CONDITION/categoryN.jpg",
        )
        if not st.session_state.get("conditions_folder", "").strip():
            raise CoreError("Which folder?", "It holds a folder per condition, and in each a folder per category.")
    else:
        preferred = MADE_FROM if source == "made" else STORED_IN
        names = [each for each in preferred if each in installed]
        names += [each for each in installed if each not in names]
        if source == "made":
            names.append(EXAMPLES)
        if not names:
            raise CoreError("No data set is on this machine yet.", "Import one: python -m core data import FILE.")
        st.selectbox(
            "Of",
            names,
            format_func=lambda each: "The bundled photos" if each == EXAMPLES else installed[each]["title"],
            key=f"conditions_{source}_data",
            bind="query-params",
        )
    _count_input(source)
    if source == "made":
        with st.popover("How strong", icon=":material/tune:", width="stretch"):
            for kind, condition in CONDITIONS.items():
                if condition.strengths:
                    least, usual, most = map(float, condition.strengths)
                    step = 1.0 if kind == "features" else 0.1
                    st.slider(
                        f"{condition.title} ({condition.unit})", least, most, usual, step, key=f"conditions_{kind}",
                        bind="query-params",
                    )  # fmt: skip
    st.selectbox(
        "Asked as",
        ASKED_AS,
        format_func=lambda each: STRATEGIES[each].title,
        key="conditions_strategy",
        bind="query-params",
    )
    st.text_input(
        "To compare with, in %",
        key="conditions_reference",
        bind="query-params",
        placeholder="100, 54.2, 69.1 or Silhouette: 54.2",
        help="Published values of people or of other models, in the order of the conditions or by their names.",
    )
    return read_question()


def _count_input(source: Source) -> None:
    """How many pictures: what is stored by condition is shown whole, what is made takes five passes of each."""
    if source == "made":
        st.number_input(
            "Pictures of each category",
            1,
            500,
            4,
            key="conditions_count",
            bind=bound("conditions_count"),
            help="In each condition. More take longer and make the intervals narrower.",
        )
    else:
        amount_input(
            "Pictures of each category",
            0,
            "all pictures",
            key="conditions_most",
            most=500,
            in_address=True,
            help="In each condition.",
        )


def _notes(name: str, question: ConditionRequest, found: Found) -> None:
    """What was left out, and what the model has never heard of."""
    if left_out := left_out_of_all(question, found.set):
        st.caption(f":material/info: {plain(left_out)}")
    if skipped := found.answers.skipped:
        why = next(iter(skipped.values()))
        st.caption(f":material/info: {len(skipped):,} of {len(found.set.pictures):,} could not be shown: {plain(why)}")
    seen = {label.casefold() for labels in labels_seen(name).values() for label in labels}
    unseen = [category for category in found.set.categories if category.casefold() not in seen]
    if seen and unseen:
        shown = ", ".join(unseen[:8]) + (" …" if len(unseen) > 8 else "")
        st.caption(f":material/info: Never seen in training under these names: {plain(shown)}.")
