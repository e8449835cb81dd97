"""CLIP against a network trained on ImageNet: one picture, what both say of it, and where that lies in WordNet."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.data.wordnet import find_synset, imagenet_wnids, path_to_root
from core.figures.disagreements import (
    plot_answers,
    plot_class_tree,
)
from core.methods.clip.disagreements import (
    Verdict,
    class_tree,
    common_ancestor,
)
from pages.clip.collecting import collect_button
from pages.clip.disagreements_comparison import (
    DisagreementRequest,
    Found,
    class_titles,
    titles,
)
from pages.shared.charts import show_chart
from pages.shared.foreign import code, plain


def look_closer(question: DisagreementRequest, found: Found) -> None:
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
        collect_button(question, found, verdict)
    with second:
        clip, classifier = titles(question)
        show_chart(
            plot_answers(verdict, names, clip, classifier),
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
    show_chart(
        plot_class_tree(class_tree(classes), verdict),
        key="disagreements_tree",
        alt="The true class and the best classes of both models in WordNet's tree.",
    )
    st.caption("Green: the truth. Blue: only CLIP's best. Orange: only ImageNet's best. Pink: both.")
