"""One photo against any labels: bars that follow the typing, the strategies, the sentences, and what counted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from core.data.prompts import STRATEGIES, fill_template, join_labels, parse_labels
from core.errors import CoreError
from core.figures.overlay import overlay, to_png
from core.figures.zero_shot import (
    plot_label_bars,
    plot_template_scores,
    word_marks,
)
from core.methods.clip.zero_shot import ZeroShotScores
from core.models.imagenet import imagenet_classes
from pages.clip.own_labels import ask_fitting_labels
from pages.clip.zero_shot_strategies import (
    DEFAULT_LABELS,
    MOST_COMPARED,
    StrategyRequest,
    compared_scores,
    read_question,
    show_strategies,
    strategy_figure,
    template_answers,
)
from pages.components.keys import component_key
from pages.components.label_bars.label_bars import LabelBar, label_bars
from pages.shared.cache import display_photo, loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.pickers import Picture
from pages.shared.recipes import filled_recipe, picture_setting
from pages.shared.results import shared
from pages.shared.work import rest
from pages.shared.zero_shot import (
    BUNDLED_LABELS,
    best_template,
    hiding_check,
    is_cut,
    labels_seen,
    relevance_of,
    scores_of,
    words_met,
)

LISTS: dict[str, Callable[[], str]] = {
    "The bundled photos": lambda: BUNDLED_LABELS,
    "CIFAR-10": lambda: "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck",
    "PACS": lambda: "dog, elephant, giraffe, guitar, horse, house, person",
    "ImageNet, all 1000": lambda: join_labels(parse_labels("\n".join(imagenet_classes())).names),
}
MOST_BARS = 12
LONG = 50  # letters of a label that a headline has room for
REST_S = 0.25


def zero_shot_panel(name: str, picture: Picture) -> None:
    """Photo and bars first, then what lies behind them; typing runs nothing else of the page again."""
    st.fragment(_panel)(name, picture, ask_fitting_labels(picture))


def _panel(name: str, picture: Picture, about_labels: str) -> None:
    left, right = st.columns([5, 7], gap="large")
    question = None
    with right:
        _controls()
        if about_labels and st.session_state.get("labels") == st.session_state["labels_suggested"][1]:
            st.caption(plain(about_labels))
        with guard():
            question = read_question()
            scores = scores_of(name, picture.digest, picture.image, question.labels, question.templates)
            _bars(name, question, scores)
    _let_letters_follow()
    with left, guard():
        _where(name, picture, question)
    if question is not None:
        with guard():
            show_strategies(name, picture, question)


def _let_letters_follow() -> None:
    """Map and charts cost ten times what the bars do, and the next letter would wait for them."""
    labels = st.session_state.get("labels")
    if st.session_state.get("labels_rested", labels) != labels:
        rest(REST_S)
    st.session_state["labels_rested"] = labels


def _controls() -> None:
    """Labels, lists of them, and the way to ask."""
    first, second = st.columns([7, 2], vertical_alignment="bottom")
    first.text_input(
        "Labels, with commas between them",
        value=DEFAULT_LABELS,
        key="labels",
        bind="query-params",
        persist_state="session",
        live="100ms",  # hardly a pause: the bars cost a tenth of that, and what was typed meanwhile is asked at once
        placeholder="cat, dog, cup of coffee",
    )
    with second.popover("Lists", icon=":material/list:", width="stretch"):
        st.text_area(
            "One a line, or with commas",
            key="labels_long",
            height=180,
            placeholder="Paste up to 2,000 labels here.",
        )
        st.button("Use this list", key="use_list", type="primary", on_click=_use_pasted)
        for title, names in LISTS.items():
            st.button(plain(title), key=f"list_{title}", on_click=_use, args=(names,), width="stretch")
    strategy = st.pills(  # which, unlike segments, wrap on a narrow screen
        "Asked as",
        list(STRATEGIES),
        format_func=lambda each: STRATEGIES[each].title,
        default="photo",
        required=True,
        key="strategy",
        bind="query-params",
        persist_state="session",
    )
    if strategy == "domain":
        st.text_input(
            "What kind of things are they?",
            key="domain",
            bind="query-params",
            live="300ms",
            placeholder="object: pet, vehicle, food …",
        )
    if strategy == "custom":
        st.text_area(
            "Your sentences, one a line, with {} where the label goes",
            value="a photo of a {}.\na drawing of a {}.",
            key="templates",
            bind="query-params",
            height=100,
        )


def _use(names: Callable[[], str]) -> None:
    st.session_state["labels"] = names()


def _use_pasted() -> None:
    """What was pasted, in one line, or as it is where it cannot be read, so that the page says why."""
    text = st.session_state.get("labels_long", "")
    try:
        st.session_state["labels"] = join_labels(parse_labels(text).names)
    except CoreError:
        st.session_state["labels"] = text.replace("\n", ", ")


def _bars(name: str, question: StrategyRequest, scores: ZeroShotScores) -> None:
    order = scores.order()
    st.markdown(f"#### {plain(_headline(scores))}")
    met = words_met(name)
    bars = [
        LabelBar(
            label=scores.labels[index],
            share=float(scores.probabilities[0, index]),
            detail=f"cosine {scores.cosines[0, index]:.3f}, logit {scores.logits[0, index]:.2f}",
            mark="never met" if met and scores.labels[index].casefold() not in met else "",
        )
        for index in order[:MOST_BARS]
    ]
    more = len(order) - len(bars)
    share = float(scores.probabilities[0, order[MOST_BARS:]].sum())
    rest = f"The best {len(bars)} of {len(order):,} labels; the others share {share:.1%}." if more > 0 else ""
    if more > 0 and scores.kind == "sigmoid":
        rest = f"The best {len(bars)} of {len(order):,} labels."
    label_bars(
        bars,
        key=component_key("bars", "zero_shot"),
        chosen=_explained(scores),
        rest=rest,
        alt=f"{_headline(scores)}. Choose a label to see what speaks for it.",
        on_choice=lambda label: st.session_state.update(explained=label),
    )
    for note in question.notes:
        st.caption(f":material/info: {plain(note)}")
    if cut := is_cut(name, [fill_template(question.templates[0], bar.label) for bar in bars]):
        st.caption(f":material/content_cut: Too long, so the model does not read its end: “{plain(cut[0][:80])}…”")
    _what_it_knows(name)


def _headline(scores: ZeroShotScores) -> str:
    """The best label and how far ahead it is."""
    order = scores.order()
    best = _with_share(scores, order[0])
    if len(order) == 1:
        alone = "the only label, so there is nothing to choose" if scores.kind == "softmax" else "the only label"
        return f"{best}: {alone}"
    second = _with_share(scores, order[1])
    if scores.kind == "sigmoid" and scores.probabilities[0, order[0]] < 0.5:
        return f"None of these, it thinks; nearest: {best}, then {second}"
    return f"{best}, then {second}"


def _with_share(scores: ZeroShotScores, index: int) -> str:
    share = float(scores.probabilities[0, index])
    name = scores.labels[index] if len(scores.labels[index]) <= LONG else scores.labels[index][:LONG] + "…"
    return f"{name} {share:.0%}" if share >= 0.005 else f"{name} under 1%"


def _what_it_knows(name: str) -> None:
    """Where the words of a model of our own come from."""
    seen = labels_seen(name)
    if not seen:
        return
    count = len({label for labels in seen.values() for label in labels})
    kinds = sorted(words_met(name) - {label.casefold() for labels in seen.values() for label in labels})
    with st.popover(f"This model has met {count} labels", icon=":material/school:", type="tertiary"):
        st.markdown(plain(loaded_model(name).spec.note))
        for data, labels in seen.items():
            st.markdown(f"**{plain(data)}** ({len(labels)}): {plain(', '.join(sorted(labels)))}")
        st.markdown(f"**Synonyms, and what these are kinds of** ({len(kinds)}): {plain(', '.join(kinds))}")


def _explained(scores: ZeroShotScores) -> str:
    """The label whose score is explained: the one that was clicked while it is there, else the best."""
    wanted = st.session_state.get("explained")
    return wanted if wanted in scores.labels else scores.labels[scores.order()[0]]


def _where(name: str, picture: Picture, question: StrategyRequest | None) -> None:
    """The photo, and what in it and in the words speaks for the chosen label."""
    photo = display_photo(loaded_model(name), picture.digest, picture.image)
    if question is None:
        st.image(photo, width="stretch", alt=picture.title)
        return
    scores = scores_of(name, picture.digest, picture.image, question.labels, question.templates)
    label = _explained(scores)
    choices = {"map": "What speaks for it", "photo": "Photo"}
    slot = st.container()
    shown = st.segmented_control(
        "Show", list(choices), format_func=choices.__getitem__, default="map", required=True, key="where",
        label_visibility="collapsed", bind="query-params",
    )  # fmt: skip
    if shown == "photo":
        slot.image(photo, width="stretch", alt=picture.title)
        return
    if not hasattr(loaded_model(name).module, "trace_pair"):
        slot.image(photo, width="stretch", alt=picture.title)
        st.caption("Its image tower is not a plain vision transformer, so no attention tells where the score is from.")
        return
    text = best_template(name, picture.digest, picture.image, label, question.templates)
    found = relevance_of(name, picture.digest, text, (), picture.image)
    slot.image(
        _glowing(name, picture.digest, text, photo, found.patches),
        width="stretch",
        alt=f"{picture.title}: patches that speak for “{text}” glow.",
    )
    st.html(word_marks(found.words, found.word_relevance))
    st.caption(plain(hiding_check(name, picture.digest, text, (), picture.image).sentence()))


@shared("Drawing the map …", most=128)
def _glowing(name: str, digest: str, text: str, _photo: np.ndarray, _patches: np.ndarray) -> bytes:
    """The photo under its map as a file: encoding it takes as long as the bars."""
    return to_png(overlay(_photo, _patches))


def zero_shot_export(name: str, picture: Picture) -> Export:
    """Bars, slopes, sentences and the relevance map, as they are on the page."""
    question = read_question()
    scores = scores_of(name, picture.digest, picture.image, question.labels, question.templates)
    order = scores.order()
    figures, pictures = {"labels": plot_label_bars(scores)}, {}
    if len(question.labels) <= MOST_COMPARED:
        results = compared_scores(name, picture, question)
        labels, templates, shares, together = template_answers(name, picture, question, results)
        figures["strategies"] = strategy_figure(results)
        figures["sentences"] = plot_template_scores(templates, labels, shares, together)
    if hasattr(loaded_model(name).module, "trace_pair"):
        text = best_template(name, picture.digest, picture.image, _explained(scores), question.templates)
        photo = display_photo(loaded_model(name), picture.digest, picture.image)
        pictures["relevance"] = overlay(photo, relevance_of(name, picture.digest, text, (), picture.image).patches)
    return Export(
        stem="zero_shot",
        recipe=filled_recipe(
            "clip",
            model=name,
            image=picture_setting(picture.key),
            labels=list(question.labels),
            templates=list(question.templates),
        ),
        figures=figures,
        pictures=pictures,
        table=pd.DataFrame(
            {
                "label": [scores.labels[index] for index in order],
                "probability": scores.probabilities[0, order],
                "cosine": scores.cosines[0, order],
                "logit": scores.logits[0, order],
            }
        ),
        facts={
            "model": name,
            "image": picture.title,
            "sha256": picture.digest,
            "strategy": question.strategy,
            "templates": list(question.templates),
            "kind": scores.kind,
        },
    )
