"""CLIP against a network trained on ImageNet, on the CLIP page: pictures that only one of them names, and why."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.data.catalogue import installed_datasets, usual_split
from core.data.prompts import STRATEGIES
from core.errors import CoreError
from core.figures.disagreements import (
    CLASSIFIER_COLOUR,
    CLIP_COLOUR,
    PictureCard,
    picture_row,
    plot_outcomes,
)
from core.methods.clip.disagreements import (
    Verdict,
    imagenet_index,
)
from core.shares import counted
from pages.clip.collecting import collecting_row
from pages.clip.disagreements_closer import look_closer
from pages.clip.disagreements_comparison import (
    EXAMPLES,
    FOLDER,
    UPLOADS,
    DisagreementRequest,
    Found,
    check_classes,
    class_titles,
    compare,
    read_question,
    seen_classes,
    titles,
    wording,
)
from pages.clip.disagreements_words import difference_sentence, divided_classes, headline, table
from pages.clip.own_classes import own_classes_form
from pages.shared.address import bound
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.layout import form_and_stage
from pages.shared.pickers import second_model_picker
from pages.shared.recipes import filled_recipe
from pages.shared.results import shared

PREFERRED = ("imagenet_samples", "tiny_imagenet")
ASKED_AS = ("photo", "plain", "ensemble")
SHOWN = 12


def panel(name: str) -> None:
    """The controls, pictures that divide the two, and one of them looked at closely."""
    form, stage, _ = form_and_stage("disagreements")
    question = found = None
    with form, guard():
        question = _form(name)
    if question is None:
        return
    with stage, guard():
        found = compare(question)
        (clip, classifier), names = titles(question), class_titles(name)
        st.markdown(f"#### {plain(headline(found, names, clip, classifier))}")
        show_chart(
            plot_outcomes(found.comparison, clip, classifier),
            key="disagreements_outcomes",
            alt="How many pictures both models name, only one of them, or neither.",
        )
        collecting_row(question, found)
        if difference := difference_sentence(found.comparison, clip):
            st.caption(plain(difference))
        for who, title, colour in (
            ("only_clip", f"Only {clip} has it in its best {question.top}", CLIP_COLOUR),
            ("only_classifier", f"Only {classifier} has it in its best {question.top}", CLASSIFIER_COLOUR),
        ):
            rows = found.comparison.of(who)  # type: ignore[arg-type]
            if rows:
                st.html(
                    picture_row(f"{title}: {len(rows)}", colour, [_card(found, each, names) for each in rows[:SHOWN]])
                )
            else:
                st.caption(f"{plain(title)}: none of these pictures.")
        divided = found.comparison.split_classes()
        if divided:
            classes = counted(len(divided), "class", "classes")
            with st.expander(f"{plain(classes)} of which each names a picture that the other does not"):
                st.dataframe(divided_classes(divided, names, clip, classifier), hide_index=True, width="stretch")
        if found.left_out:
            are = "is" if found.left_out == 1 else "are"
            left_out = f"{counted(found.left_out, 'picture')} {are} of no class that ImageNet has, or unreadable."
            st.caption(f":material/info: {plain(left_out)}")
    if found is not None:
        with guard():
            look_closer(question, found)


def export(name: str) -> Export:
    """Figures, a row per picture, and a script that makes them again."""
    question = read_question(name)
    found = compare(question)
    clip, classifier = titles(question)
    return Export(
        stem="disagreements",
        recipe=filled_recipe("clip", "disagreements", **recipe_settings(question)),
        figures={"outcomes": plot_outcomes(found.comparison, clip, classifier)},
        table=table(found, class_titles(name)),
        facts={
            "clip": question.clip,
            "classifier": question.classifier,
            "pictures": len(found.pictures),
            "top": question.top,
            "templates": list(STRATEGIES[question.strategy].templates),
            "difference": list(found.comparison.difference),
            "classes that divide them": [
                [class_titles(name)[label], ours, theirs] for label, ours, theirs in found.comparison.split_classes()
            ],
        },
    )


def recipe_settings(question: DisagreementRequest) -> dict[str, object]:
    """What the recipe asks: the same."""
    source = question.data if question.data in (FOLDER, EXAMPLES) else "data"
    if question.data == UPLOADS:  # saved beside the script, in a folder for each class
        source = FOLDER
    return {
        "clip": question.clip,
        "classifier": question.classifier,
        "source": source,
        "data": {FOLDER: question.folder, EXAMPLES: "", UPLOADS: "photos"}.get(question.data, question.data),
        "splits": (usual_split(question.data),) if source == "data" else (),
        "count": question.count,
        "allowed": seen_classes(question.clip) if question.only_seen else None,
        "wording": wording(question.clip),
        "templates": list(STRATEGIES[question.strategy].templates),
        "top": question.top,
    }


def _form(name: str) -> DisagreementRequest | None:
    """The widgets, and what they ask; None while the classifier is not on this machine."""
    classifier = second_model_picker(
        "classifier", name="classifier", label="Trained on ImageNet", preferred=("efficientnet_lite0",)
    )
    if classifier is None:
        return None
    check_classes(classifier)
    installed = installed_datasets()
    names = [each for each in PREFERRED if each in installed]
    names += [each for each in installed if each not in names and _knows(each)] + [EXAMPLES, UPLOADS, FOLDER]
    st.selectbox(
        "Pictures",
        names,
        format_func=lambda each: (
            {EXAMPLES: "The bundled photos", UPLOADS: "Your own photos", FOLDER: "Folder on this machine"}.get(each)
            or installed[each]["title"]
        ),
        key="disagreements_data",
        bind="query-params",
    )
    if st.session_state["disagreements_data"] == FOLDER:
        st.text_input(
            "Path of the folder",
            key="disagreements_folder",
            placeholder="/pictures",
            help="A folder for each class, named by its ImageNet id or name: tabby/*.jpg or n02123045/*.jpg.",
        )
        if not st.session_state.get("disagreements_folder", "").strip():
            raise CoreError("Which folder?", "It holds a folder per class, named by its ImageNet id or name.")
    if st.session_state["disagreements_data"] == UPLOADS:
        own_classes_form()
    st.number_input(
        "Pictures at most", 10, 20_000, 150, 50, key="disagreements_count", bind=bound("disagreements_count")
    )
    seen = seen_classes(name)
    if seen:
        st.toggle(
            f"Only the {len(seen)} classes it was taught",
            value=True,
            key="disagreements_seen",
            bind="query-params",
            help="All 1000 stay possible answers; a small CLIP knows few of their names.",
        )
    st.selectbox(
        "Asked as",
        ASKED_AS,
        format_func=lambda each: STRATEGIES[each].title,
        key="disagreements_strategy",
        bind="query-params",
    )
    st.number_input("Named means among the best", 1, 20, 5, key="disagreements_top", bind=bound("disagreements_top"))
    return read_question(name)


def _card(found: Found, verdict: Verdict, names: Sequence[str]) -> PictureCard:
    line = f"place {verdict.clip_place} and {verdict.classifier_place}"
    return PictureCard(pixels=found.thumbnails[verdict.picture], shows=names[verdict.label], line=line)


@shared("Looking up the classes …")
def _knows(data: str) -> bool:
    """Whether most classes of a data set are among the 1000."""
    info = installed_datasets()[data]
    pairs = zip(info["classes"], info.get("class_titles") or info["classes"], strict=True)
    return 2 * sum(imagenet_index(str(name), str(title)) is not None for name, title in pairs) > len(info["classes"])
