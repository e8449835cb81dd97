"""CLIP against a network trained on ImageNet: which pictures, and what both say of them, each asked once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import streamlit as st
from PIL import Image

from core.data.catalogue import usual_split
from core.data.labelled_pictures import (
    LabelledPicture,
    LabelledPictures,
    dataset_pictures,
    example_pictures,
    folder_pictures,
)
from core.data.prompts import STRATEGIES
from core.data.wordnet import find_synset
from core.errors import CoreError, IncompatibleError
from core.methods.accuracy.batched_answers import Answers, ask_about
from core.methods.clip.disagreements import (
    Disagreements,
    choose_imagenet_pictures,
    class_names,
    find_disagreements,
    imagenet_index,
)
from core.methods.clip.zero_shot import Scale, zero_shot_scores
from core.reports import OnProgress, silent
from pages.shared.cache import in_use, loaded_model
from pages.shared.pictures import picture_at
from pages.shared.results import shared
from pages.shared.zero_shot import encoder, labels_seen, weights_of

CLASSES = 1000
OWN_CLASSES = "disagreements_own_classes"  # of the session: ids by the addresses of one's own photos
Opener = Callable[[], Image.Image]


EXAMPLES, FOLDER, UPLOADS = "examples", "folder", "uploads"


@dataclass(frozen=True, kw_only=True)
class DisagreementRequest:
    """Which pictures, which two models, how many classes count.

    Attributes:
        data: a data set, or one of `EXAMPLES`, `FOLDER` and `UPLOADS`.
        folder: its path; of uploads, their addresses with the ids of their classes.
    """

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


def read_question(name: str) -> DisagreementRequest:
    """What the session's widgets ask."""
    state = st.session_state
    return DisagreementRequest(
        clip=name,
        classifier=state.get("classifier", ""),
        data=state.get("disagreements_data") or EXAMPLES,
        folder=_own_classes() if state.get("disagreements_data") == UPLOADS else _folder_named(),
        count=int(state.get("disagreements_count", 150)),
        only_seen=bool(state.get("disagreements_seen", True)) and bool(seen_classes(name)),
        strategy=state.get("disagreements_strategy", "photo"),
        top=int(state.get("disagreements_top", 5)),
    )


def _folder_named() -> str:
    return str(st.session_state.get("disagreements_folder", "")).strip()


def _own_classes() -> str:
    """What was said of the photos of one's own, as part of a question."""
    given: dict[str, str] = st.session_state.get(OWN_CLASSES, {})
    return ",".join(f"{key}={wnid}" for key, wnid in sorted(given.items()))


def source_words(question: DisagreementRequest, title: str) -> str:
    """Where a picture is from, to begin with."""
    if question.data == UPLOADS:
        return f"My own photo, {title}"
    return f"{chosen_source(question).title}, {title}"


def wording(name: str) -> Literal["wordnet", "openai"]:
    """How the 1000 classes are called: a CLIP of our own was taught WordNet's names."""
    return "wordnet" if seen_classes(name) else "openai"


def class_titles(name: str) -> tuple[str, ...]:
    """The 1000 classes as the CLIP is asked for them."""
    return class_names(wording(name))


def titles(question: DisagreementRequest) -> tuple[str, str]:
    """The two models as people read them."""
    return loaded_model(question.clip).spec.title, loaded_model(question.classifier).spec.title


@shared("Looking up the classes it was taught …", most=32)
def seen_classes(name: str) -> tuple[int, ...]:
    """Those of the 1000 whose names a model of our own was taught; empty for models of others."""
    labels = [label for each in labels_seen(name).values() for label in each]
    return tuple(sorted({index for label in labels if (index := imagenet_index(label)) is not None}))


def chosen_pictures(question: DisagreementRequest) -> tuple[tuple[LabelledPicture, ...], tuple[int, ...], int]:
    """Pictures, their classes of the 1000, and how many had none.

    Raises:
        CoreError: they are not on this machine, or none is of a class that ImageNet has.
    """
    allowed = seen_classes(question.clip) if question.only_seen else None
    return choose_imagenet_pictures(chosen_source(question), question.count, allowed)


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


def compare(question: DisagreementRequest) -> Found:
    """Both models' answers for the same pictures; each is asked once.

    Raises:
        IncompatibleError: the classifier has other classes.
    """
    check_classes(question.classifier)
    pictures, labels, without = chosen_pictures(question)
    key = (question.data, question.folder, question.count, question.only_seen and question.clip)
    module = encoder(question.clip)
    openers = [each.open for each in pictures]

    seen = _seen(question.clip, key, openers)
    said = _said(question.classifier, key, openers)
    names = class_titles(question.clip)
    templates = STRATEGIES[question.strategy].templates
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


def _uploads(given: str) -> LabelledPictures:
    """Photos of one's own with the classes that somebody gave them.

    Raises:
        CoreError: there is none, or one is gone.
    """
    pairs = [each.partition("=")[::2] for each in given.split(",") if each]
    if not pairs:
        raise CoreError("No photo has a class yet.", "Upload photos, and say of each what it shows.")
    wnids = tuple(dict.fromkeys(wnid for _, wnid in pairs))
    photos = [(picture_at(key), wnids.index(wnid)) for key, wnid in pairs]
    return LabelledPictures(
        title="Your own photos",
        classes=wnids,
        titles=tuple(", ".join(find_synset(wnid).names) for wnid in wnids),
        groups={
            "photos": tuple(
                LabelledPicture(label=label, title=picture.title, open=partial(getattr, picture, "image"))
                for picture, label in photos
            )
        },
    )


def check_classes(classifier: str) -> None:
    known = len(loaded_model(classifier).classes)
    if known != CLASSES:
        raise IncompatibleError(
            f"{loaded_model(classifier).spec.title} tells {known} classes apart.",
            "Choose a classifier of ImageNet's 1000 classes.",
        )


def chosen_source(question: DisagreementRequest) -> LabelledPictures:
    """All that there is to choose from; nothing is read yet."""
    if question.data == UPLOADS:
        return _uploads(question.folder)
    if question.data == FOLDER:
        return folder_pictures(question.folder)
    return (
        example_pictures()
        if question.data == EXAMPLES
        else dataset_pictures(question.data, (usual_split(question.data),))
    )
