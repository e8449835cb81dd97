"""CLIP against a network trained on ImageNet, on the CLIP page: pictures that only one of them names, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from core.data.catalogue import installed_datasets, usual_split
from core.data.labelled_pictures import (
    LabelledPicture,
    LabelledPictures,
    dataset_pictures,
    example_pictures,
    folder_pictures,
)
from core.data.prompts import STRATEGIES
from core.data.wordnet import find_synset, imagenet_wnids, path_to_root
from core.errors import CoreError, IncompatibleError
from core.figures.disagreements import (
    CLASSIFIER_COLOUR,
    CLIP_COLOUR,
    PictureCard,
    picture_row,
    plot_answers,
    plot_class_tree,
    plot_outcomes,
)
from core.methods.accuracy.many_pictures import Answers, ask_about
from core.methods.clip.disagreements import (
    Disagreements,
    Verdict,
    choose_imagenet_pictures,
    class_names,
    class_tree,
    common_ancestor,
    find_disagreements,
    imagenet_index,
)
from core.methods.clip.zero_shot import Scale, zero_shot_scores
from core.reports import OnProgress, silent
from core.shares import FEW, counted, difference_words, interval_words, share, share_of
from pages.shared.address import bound
from pages.shared.cache import in_use, loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import code, plain
from pages.shared.pickers import second_model_picker
from pages.shared.recipes import filled_recipe
from pages.shared.results import shared
from pages.shared.zero_shot import encoder, labels_seen, weights_of

Who = Literal["only_clip", "only_classifier"]

CLASSES = 1000
EXAMPLES, FOLDER = "examples", "folder"
PREFERRED = ("imagenet_samples", "tiny_imagenet")
ASKED_AS = ("photo", "plain", "ensemble")
SHOWN = 12

Opener = Callable[[], Image.Image]


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which pictures, which two models, how many classes count."""

    clip: str
    classifier: str
    data: str
    folder: str
    count: int
    only_seen: bool
    strategy: str
    top: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """The comparison, and the pictures that both answered about."""

    comparison: Disagreements
    pictures: tuple[LabelledPicture, ...]
    thumbnails: np.ndarray
    left_out: int


def panel(name: str) -> None:
    """The controls, pictures that divide the two, and one of them looked at closely."""
    form, stage = st.columns([4, 9], gap="large")
    question = found = None
    with form, guard():
        question = _form(name)
    if question is None:
        return
    with stage, guard():
        found = compare(question)
        (clip, classifier), names = titles(question), class_titles(name)
        st.markdown(f"#### {plain(headline(found, names, clip, classifier))}")
        st.plotly_chart(
            plot_outcomes(found.comparison, clip, classifier),
            width="stretch",
            key="disagreements_outcomes",
            alt="How many pictures both models name, only one of them, or neither.",
        )
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
            _closer(question, found)


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
            "templates": list(STRATEGIES[question.strategy].templates),  # type: ignore[index]
            "difference": list(found.comparison.difference),
            "classes that divide them": [
                [class_titles(name)[label], ours, theirs] for label, ours, theirs in found.comparison.split_classes()
            ],
        },
    )


def read_question(name: str) -> Question:
    """What the session's widgets ask."""
    state = st.session_state
    return Question(
        clip=name,
        classifier=state.get("classifier", ""),
        data=state.get("disagreements_data") or EXAMPLES,
        folder=state.get("disagreements_folder", "").strip(),
        count=int(state.get("disagreements_count", 150)),
        only_seen=bool(state.get("disagreements_seen", True)) and bool(seen_classes(name)),
        strategy=state.get("disagreements_strategy", "photo"),
        top=int(state.get("disagreements_top", 5)),
    )


def wording(name: str) -> Literal["wordnet", "openai"]:
    """How the 1000 classes are called: a CLIP of our own was taught WordNet's names."""
    return "wordnet" if seen_classes(name) else "openai"


def class_titles(name: str) -> tuple[str, ...]:
    """The 1000 classes as the CLIP is asked for them."""
    return class_names(wording(name))


def titles(question: Question) -> tuple[str, str]:
    """The two models as people read them."""
    return loaded_model(question.clip).spec.title, loaded_model(question.classifier).spec.title


@st.cache_data(max_entries=32, show_spinner=False)
def seen_classes(name: str) -> tuple[int, ...]:
    """Those of the 1000 whose names a model of our own was taught; empty for models of others."""
    labels = [label for each in labels_seen(name).values() for label in each]
    return tuple(sorted({index for label in labels if (index := imagenet_index(label)) is not None}))


def chosen_pictures(question: Question) -> tuple[tuple[LabelledPicture, ...], tuple[int, ...], int]:
    """Pictures, their classes of the 1000, and how many had none.

    Raises:
        CoreError: they are not on this machine, or none is of a class that ImageNet has.
    """
    allowed = seen_classes(question.clip) if question.only_seen else None
    return choose_imagenet_pictures(_source(question), question.count, allowed)


@shared(lambda name, *_: f"{loaded_model(name).spec.title} looks …")
def _seen(
    name: str,
    pictures: tuple[object, ...],
    _open: Sequence[Opener],
    *,
    on_progress: OnProgress = silent,
) -> Answers:
    """What an encoder of images and texts sees in the pictures."""
    module, model = encoder(name), loaded_model(name)
    return ask_about(_open, model.network.preprocessing, module.embed, lock=model.lock, on_progress=on_progress)


@shared(lambda name, *_: f"{loaded_model(name).spec.title} looks …")
def _said(
    name: str,
    pictures: tuple[object, ...],
    _open: Sequence[Opener],
    *,
    on_progress: OnProgress = silent,
) -> Answers:
    """What a classifier says about them."""
    model = loaded_model(name)
    return ask_about(
        _open,
        model.network.preprocessing,
        model.module,
        lock=model.lock,
        with_thumbnails=False,
        on_progress=on_progress,
    )


def compare(question: Question) -> Found:
    """Both models' answers for the same pictures; each is asked once.

    Raises:
        IncompatibleError: the classifier has other classes.
    """
    _check(question.classifier)
    pictures, labels, without = chosen_pictures(question)
    key = (question.data, question.folder, question.count, question.only_seen and question.clip)
    module = encoder(question.clip)
    openers = [each.open for each in pictures]

    seen = _seen(question.clip, key, openers)
    said = _said(question.classifier, key, openers)
    names = class_titles(question.clip)
    templates = STRATEGIES[question.strategy].templates  # type: ignore[index]
    weights = weights_of(question.clip, names, templates)
    with in_use(question.clip):
        scores = zero_shot_scores(seen.values, weights, names, Scale.of(module))
    # The same pictures are readable for both.
    kept = seen.kept
    comparison = find_disagreements(scores.logits, said.values, np.array(labels)[kept], question.top)
    return Found(
        comparison=comparison,
        pictures=tuple(pictures[index] for index in kept),
        thumbnails=seen.thumbnails,
        left_out=without + len(seen.skipped),
    )


def table(found: Found, names: Sequence[str]) -> pd.DataFrame:
    """A row per picture."""
    return pd.DataFrame(
        {
            "picture": [found.pictures[each.picture].title for each in found.comparison.verdicts],
            "class": [names[each.label] for each in found.comparison.verdicts],
            "wnid": [imagenet_wnids()[each.label] for each in found.comparison.verdicts],
            "named by": [each.who.replace("_", " ") for each in found.comparison.verdicts],
            "place for CLIP": [each.clip_place for each in found.comparison.verdicts],
            "place for the classifier": [each.classifier_place for each in found.comparison.verdicts],
            "CLIP says": [names[each.clip_top[0][0]] for each in found.comparison.verdicts],
            "the classifier says": [names[each.classifier_top[0][0]] for each in found.comparison.verdicts],
        }
    )


def divided_classes(
    divided: Sequence[tuple[int, int, int]], names: Sequence[str], clip: str, classifier: str
) -> pd.DataFrame:
    """A row per class: how many pictures only one of the two names, and its path in WordNet."""
    wnids = imagenet_wnids()
    return pd.DataFrame(
        {
            "class": [names[label] for label, _, _ in divided],
            f"only {clip}": [ours for _, ours, _ in divided],
            f"only {classifier}": [theirs for _, _, theirs in divided],
            "wnid": [wnids[label] for label, _, _ in divided],
            "in WordNet": [
                " › ".join(synset.names[0] for synset in reversed(path_to_root(wnids[label])))
                for label, _, _ in divided
            ],
        }
    )


def recipe_settings(question: Question) -> dict[str, object]:
    """What the recipe asks: the same."""
    source = question.data if question.data in (FOLDER, EXAMPLES) else "data"
    return {
        "clip": question.clip,
        "classifier": question.classifier,
        "source": source,
        "data": {FOLDER: question.folder, EXAMPLES: ""}.get(question.data, question.data),
        "splits": (usual_split(question.data),) if source == "data" else (),
        "count": question.count,
        "allowed": seen_classes(question.clip) if question.only_seen else None,
        "wording": wording(question.clip),
        "templates": list(STRATEGIES[question.strategy].templates),  # type: ignore[index]
        "top": question.top,
    }


def _form(name: str) -> Question | None:
    """The widgets, and what they ask; None while the classifier is not on this machine."""
    classifier = second_model_picker(
        "classifier", name="classifier", label="Trained on ImageNet", preferred=("efficientnet_lite0",)
    )
    if classifier is None:
        return None
    _check(classifier)
    installed = installed_datasets()
    names = [each for each in PREFERRED if each in installed]
    names += [each for each in installed if each not in names and _knows(each)] + [EXAMPLES, FOLDER]
    st.selectbox(
        "Pictures",
        names,
        format_func=lambda each: (
            {EXAMPLES: "The bundled photos", FOLDER: "Folder on this machine"}.get(each) or installed[each]["title"]
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


def _check(classifier: str) -> None:
    known = len(loaded_model(classifier).classes)
    if known != CLASSES:
        raise IncompatibleError(
            f"{loaded_model(classifier).spec.title} tells {known} classes apart.",
            "Choose a classifier of ImageNet's 1000 classes.",
        )


def _closer(question: Question, found: Found) -> None:
    """One picture: what both say of it, and where those classes lie in WordNet."""
    comparison = found.comparison
    rows = [*comparison.of("only_clip"), *comparison.of("only_classifier")]
    rows += [*comparison.of("neither"), *comparison.of("both")]
    places = list(range(len(rows)))
    names = class_titles(question.clip)
    said = {"only_clip": "only CLIP", "only_classifier": "only ImageNet", "neither": "neither", "both": "both"}
    place = st.selectbox(
        "Look closer at",
        places,
        format_func=lambda each: (
            f"{names[rows[each].label]}, {said[rows[each].who]} ({found.pictures[rows[each].picture].title})"
        ),
        key="disagreements_closer",
    )
    verdict = rows[place]
    first, second, third = st.columns([2, 4, 5], gap="medium")
    with first:
        st.image(found.pictures[verdict.picture].open(), width="stretch", alt=names[verdict.label])
    with second:
        clip, classifier = titles(question)
        st.plotly_chart(
            plot_answers(verdict, names, clip, classifier),
            width="stretch",
            key="disagreements_answers",
            alt="The best classes of both models for this picture.",
        )
    with third:
        _place_in_wordnet(verdict, names)


def _place_in_wordnet(verdict: Verdict, names: Sequence[str]) -> None:
    """The true class's path to the root, how far off both are, and the tree of all classes said."""
    wnid = imagenet_wnids()[verdict.label]
    path = " › ".join(synset.names[0] for synset in reversed(path_to_root(wnid)))
    st.markdown(f"**{plain(names[verdict.label])}** {code(wnid)}: {plain(find_synset(wnid).gloss)}")
    st.caption(plain(path))
    for who, top in (("CLIP", verdict.clip_top), ("ImageNet", verdict.classifier_top)):
        best = top[0][0]
        if best == verdict.label:
            st.caption(f"{plain(who)} says just that.")
        else:
            above, steps = common_ancestor(verdict.label, best)
            st.caption(
                f"{plain(who)} says **{plain(names[best])}**: also a kind of *{plain(above)}*, "
                f"{steps:d} steps away in WordNet."
            )
    classes = tuple(
        dict.fromkeys((verdict.label, *(index for index, _ in (*verdict.clip_top, *verdict.classifier_top))))
    )
    st.plotly_chart(
        plot_class_tree(class_tree(classes), verdict),
        width="stretch",
        key="disagreements_tree",
        alt="The true class and the best classes of both models in WordNet's tree.",
    )
    st.caption("Green: the truth. Blue: only CLIP's best. Orange: only ImageNet's best. Pink: both.")


def _card(found: Found, verdict: Verdict, names: Sequence[str]) -> PictureCard:
    line = f"place {verdict.clip_place} and {verdict.classifier_place}"
    return PictureCard(pixels=found.thumbnails[verdict.picture], shows=names[verdict.label], line=line)


def headline(found: Found, names: Sequence[str], clip: str, classifier: str) -> str:
    """How many pictures each names; of a few, which."""
    comparison, total = found.comparison, len(found.comparison.verdicts)
    if total < FEW:
        said = " ".join(
            f"{title} names {_named(comparison, names, which)}."
            for title, which in ((clip, "clip"), (classifier, "classifier"))
        )
        return f"{counted(total, 'picture')}, too few for percentages. Among their best {comparison.top}: {said}"
    right = [comparison.correct(which) for which in ("clip", "classifier")]  # type: ignore[arg-type]
    return (
        f"{clip} names {share_of(right[0], total, 'picture')} in its best {comparison.top}, "
        f"{classifier} {share(right[1], total)}"
    )


def _named(found: Disagreements, names: Sequence[str], which: str) -> str:
    """The classes of the pictures that one of the two names."""
    labels = [names[each.label] for each in found.verdicts if each.who in ("both", f"only_{which}")]
    return ", ".join(labels) or "none of them"


def difference_sentence(found: Disagreements, clip: str) -> str:
    """Both accuracies with intervals, and their difference picture by picture; nothing of a few pictures."""
    total = len(found.verdicts)
    if total < FEW:
        return ""
    ends = [interval_words(found.correct(which), total) for which in ("clip", "classifier")]  # type: ignore[arg-type]
    difference = difference_words(found.count("only_clip"), found.count("only_classifier"), total)
    return f"95 % intervals: {ends[0]} and {ends[1]}. {clip} minus the other, picture by picture: {difference}."


def _source(question: Question) -> LabelledPictures:
    if question.data == FOLDER:
        return folder_pictures(question.folder)
    return (
        example_pictures()
        if question.data == EXAMPLES
        else dataset_pictures(question.data, (usual_split(question.data),))
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _knows(data: str) -> bool:
    """Whether most classes of a data set are among the 1000."""
    info = installed_datasets()[data]
    pairs = zip(info["classes"], info.get("class_titles") or info["classes"], strict=True)
    return 2 * sum(imagenet_index(str(name), str(title)) is not None for name, title in pairs) > len(info["classes"])
