"""What a synset is, three ways in which its pictures differ, and where grouping by synset misleads, in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.data.catalogue import installed_datasets, read_dataset, usual_split
from core.data.examples import load_example
from core.data.labelled_pictures import LabelledPicture, choose_pictures, dataset_pictures
from core.data.wordnet import class_synset, find_synset, imagenet_wnids, path_to_root
from core.errors import CoreError
from core.figures.disagreements import CLASSIFIER_COLOUR, CLIP_COLOUR, TRUE_COLOUR, PictureCard, picture_row
from core.methods.accuracy.batched_answers import Answers, ask_about
from core.methods.clip.collection import path_words
from core.methods.clip.disagreements import common_ancestor
from core.methods.clip.synset_variety import MISLEADING, Pair, Variety, Way, synset_variety
from core.reports import OnProgress, silent
from pages.clip.disagreements_comparison import Opener
from pages.shared.cache import loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.foreign import code, plain
from pages.shared.recipes import filled_recipe
from pages.shared.results import shared
from pages.shared.zero_shot import encoder

PREFERRED = ("tiny_imagenet", "cifar10", "imagenet_samples")
LEAST, MOST = 4, 60  # pictures of a class
WAYS: dict[Way, tuple[str, str, str]] = {
    "light": ("Light and colour", "ΔE {:.0f}", CLIP_COLOUR),
    "framing": ("Framing: far away or filling the picture", "{:.0%} of the detail in the middle", CLASSIFIER_COLOUR),
    "kind": ("Kind, side and surroundings", "cosine {:.2f}", TRUE_COLOUR),
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The pictures of one synset, and how they differ."""

    data: str
    wnid: str
    pictures: tuple[LabelledPicture, ...]
    answers: Answers
    ways: tuple[Variety, ...]


def panel(name: str) -> None:
    """The card: the meaning, its pictures, and where it misleads."""
    with guard():
        left, right = st.columns(2)
        with left:
            data = _data_choice()
        if data:
            with right:
                wnid = _class_choice(data)
            shown = shown_of(name, data, wnid)
            _meaning(shown.wnid)
            _pictures(shown)
        else:
            st.info(
                "Pictures of one synset come from a data set, and none with ImageNet's or CIFAR-10's classes is on "
                "this machine: python -m core data get cifar10",
                icon=":material/database:",
            )
            _meaning("n02123045")
    with guard():
        _misleading()


def export(name: str) -> Export:
    """What was measured of each picture that is shown."""
    data = _chosen_data()
    if not data:
        raise CoreError("There is nothing to export yet.", "Import a data set with ImageNet's classes or CIFAR-10.")
    shown = shown_of(name, data, st.session_state["synset_class"])
    return Export(
        stem="synsets",
        recipe=filled_recipe(
            "clip",
            "synsets",
            model=name,
            data=data,
            split=usual_split(data),
            class_name=_class_called(data, shown.wnid),
        ),
        pictures={
            f"{each.way}_{place}": shown.answers.thumbnails[picture]
            for each in shown.ways
            for place, picture in enumerate(each.ends, 1)
        },
        table=pd.DataFrame(
            [
                {"way": each.way, "picture": shown.pictures[shown.answers.kept[picture]].title, "value": value}
                for each in shown.ways
                for picture, value in zip(each.ends, each.values, strict=True)
            ]
        ),
        facts={"synset": shown.wnid, "path": path_words(shown.wnid), "pictures": len(shown.answers.kept)},
    )


def shown_of(name: str, data: str, wnid: str) -> Shown:
    """The pictures of a synset in a data set, and three ways in which they differ.

    Raises:
        CoreError: there are fewer than two that can be read.
    """
    pictures = pictures_of(data, wnid, MOST)
    answers = _seen(name, (data, wnid), [each.open for each in pictures])
    ways = synset_variety(answers.thumbnails, answers.values)
    return Shown(data=data, wnid=wnid, pictures=pictures, answers=answers, ways=ways)


@shared("Looking at the pictures …")
def _seen(
    name: str, pictures: tuple[str, str], _open: Sequence[Opener], *, on_progress: OnProgress = silent
) -> Answers:
    module, model = encoder(name), loaded_model(name)
    return ask_about(
        _open,
        model.network.preprocessing,
        module.embed,
        lock=model.lock,
        on_progress=on_progress,
    )


@shared("Looking for pictures …")
def pictures_of(data: str, wnid: str, count: int) -> tuple[LabelledPicture, ...]:
    """Up to so many random pictures of a class of a data set; none is read yet."""
    found = dataset_pictures(data, (usual_split(data),))
    labels = [label for label, name in enumerate(found.classes) if _wnid(name) == wnid]
    (group,) = found.groups.values()
    return choose_pictures(tuple(each for each in group if each.label in labels), count)


@shared("Looking up the classes …", most=16)
def synsets_in(data: str) -> tuple[str, ...]:
    """The ids of the classes of a data set that have enough pictures."""
    found = dataset_pictures(data, (usual_split(data),))
    (group,) = found.groups.values()
    counts = np.bincount([each.label for each in group], minlength=len(found.classes))
    known = [_wnid(name) for name in found.classes]
    return tuple(wnid for wnid, count in zip(known, counts, strict=True) if wnid and count >= LEAST)


def _class_called(data: str, wnid: str) -> str:
    """How a data set calls the class of a synset."""
    return next(name for name in map(str, read_dataset(data)["classes"]) if _wnid(name) == wnid)


def _wnid(name: str) -> str:
    synset = class_synset(name)
    return synset.wnid if synset else ""


def _datasets() -> list[str]:
    installed = installed_datasets()
    names = [*(each for each in PREFERRED if each in installed), *(each for each in installed if each not in PREFERRED)]
    # Few enough to look into each; classes of a data set are read from its card.
    return [each for each in names if any(map(_wnid, installed[each]["classes"])) and synsets_in(each)]


def _chosen_data() -> str:
    names = _datasets()
    wanted = st.session_state.get("synset_data")
    return wanted if wanted in names else (names[0] if names else "")


def _data_choice() -> str:
    names = _datasets()
    if not names:
        return ""
    installed = installed_datasets()
    chosen: str = st.selectbox(
        "Pictures of", names, format_func=lambda each: installed[each]["title"], key="synset_data", bind="query-params"
    )
    return chosen


def _class_choice(data: str) -> str:
    wnids = list(synsets_in(data))
    if st.session_state.get("synset_class") not in wnids:
        usual = "n04398044"  # teapot: many makes, one meaning
        st.session_state["synset_class"] = usual if usual in wnids else wnids[0]
    chosen: str = st.selectbox(
        "Synset", wnids, format_func=lambda wnid: f"{', '.join(find_synset(wnid).names)} ({wnid})", key="synset_class"
    )
    return chosen


def _meaning(wnid: str) -> None:
    """The entry in WordNet."""
    synset = find_synset(wnid)
    several = len(synset.names)
    words = f"{several} words that mean the same" if several > 1 else "one word"
    st.markdown(f"#### A synset is one meaning: {plain(', '.join(synset.names))}")
    st.markdown(f"{code(wnid)}: {words}, one gloss, “{plain(synset.gloss)}”, and one place among all things:")
    st.caption(f"{plain(path_words(wnid))} ({len(path_to_root(wnid)) - 1} steps)")


def _pictures(shown: Shown) -> None:
    """Three rows of pictures of the synset."""
    st.markdown(
        f"**Three ways in which {len(shown.answers.kept)} pictures of it differ**, chosen by measuring, not by eye"
    )
    name = find_synset(shown.wnid).names[0]
    for each in shown.ways:
        title, measured, colour = WAYS[each.way]
        cards = [
            PictureCard(
                pixels=shown.answers.thumbnails[picture], shows=name, line=_line(each.way, place, value, measured)
            )
            for place, (picture, value) in enumerate(zip(each.ends, each.values, strict=True))
        ]
        st.html(picture_row(title, colour, cards))


def _line(way: Way, place: int, value: float, measured: str) -> str:
    if way != "framing" and place == 0:
        return "compared with"
    return measured.format(value)


def _misleading() -> None:
    """Where the grouping and the eye disagree."""
    st.markdown("**Where grouping by synset misleads recognition**")
    left, right = st.columns([1, 3], gap="large")
    with left:
        st.image(load_example("coffee"), width="stretch", alt="An espresso in a cup on a plate, with a spoon")
        st.caption(
            "One picture, several synsets: its label is espresso, and it shows a cup, a plate and a wooden table, too. "
            "Who says cup is counted as wrong."
        )
    with right:
        for pair in MISLEADING:
            _pair(pair)
    st.caption(
        "Steps count edges of WordNet's tree over the nearest thing that both are a kind of: meaning, not likeness."
    )


def _pair(pair: Pair) -> None:
    index = imagenet_wnids().index
    above, steps = common_ancestor(index(pair.first), index(pair.second))
    names = [", ".join(find_synset(wnid).names) for wnid in (pair.first, pair.second)]
    columns = st.columns([1, 1, 6], vertical_alignment="center")
    for column, wnid, called in zip(columns, (pair.first, pair.second), names, strict=False):
        if (pixels := _one_of(wnid)) is not None:
            column.image(pixels, width=96, alt=plain(called))
    columns[2].markdown(
        f"{plain(pair.why)} {plain(names[0])} {code(pair.first)}, {plain(names[1])} {code(pair.second)}: {steps:d} "
        f"steps apart, over {plain(above)}."
    )


@shared("Looking for pictures …", most=32)
def _one_of(wnid: str) -> np.ndarray | None:
    """A picture of a class, of any data set that is here; None where none has it."""
    for data, card in installed_datasets().items():
        if wnid in card["classes"]:
            for picture in pictures_of(data, wnid, 1):
                try:
                    return np.asarray(picture.open())
                except (CoreError, OSError):
                    continue
    return None
