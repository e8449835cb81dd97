"""What the CLIP page asks of a model, each thing computed once: sentences, photos, scores, where they come from."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import streamlit as st
import torch
from PIL import Image

from core.data.captions import caption_table, class_names
from core.data.prompts import fill_template, prompts_for
from core.data.transforms import to_batch
from core.data.wordnet import CIFAR10, find_synset, imagenet_wnids
from core.errors import CoreError
from core.methods.accuracy.targets import Target
from core.methods.clip.image_text_relevance import ImageTextRelevance, image_text_relevance
from core.methods.clip.zero_shot import (
    Scale,
    ZeroShotScores,
    class_weights,
    embed_images,
    embed_texts,
    template_scores,
    text_classifier,
    zero_shot_scores,
)
from core.methods.masking.masking import masked_responses
from core.methods.masking.orders import keep_from_order, masking_order
from core.models.catalogue import find_model
from core.models.clip import ImageTextEncoder
from core.models.weights import resolve
from core.reports import OnProgress, silent
from core.shares import counted
from pages.shared.cache import in_use, loaded_model
from pages.shared.results import shared, with_progress

# A word for each of the bundled photos.
BUNDLED_LABELS = "cat, espresso, motorcycle, astronaut, rocket, photographer, pagoda, flower"
# Sentences whose vectors are kept one by one: what somebody types is asked again with a letter more.
KEPT_SENTENCES = 20_000
# More than this at once belong to a long list of labels, of which only the classes are kept.
MOST_AT_ONCE = 4_000
HIDDEN_SHARE = 0.25
RANDOM_ORDERS = 12


class _Sentences:
    """Unit vectors of sentences by model; the ones used longest ago go first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.vectors: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()

    def missing(self, name: str, texts: Sequence[str]) -> list[str]:
        """Those of `texts` that are not here, each once."""
        with self.lock:
            return [text for text in dict.fromkeys(texts) if (name, text) not in self.vectors]

    def put(self, name: str, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Keep one row of `vectors` for each of `texts`."""
        with self.lock:
            for text, vector in zip(texts, vectors, strict=True):
                self.vectors[name, text] = vector
            while len(self.vectors) > KEPT_SENTENCES:
                self.vectors.popitem(last=False)

    def get(self, name: str, texts: Sequence[str]) -> np.ndarray | None:
        """(texts, dim), or None if another session pushed one out meanwhile."""
        with self.lock:
            if any((name, text) not in self.vectors for text in texts):
                return None
            for text in dict.fromkeys(texts):
                self.vectors.move_to_end((name, text))
            return np.stack([self.vectors[name, text] for text in texts])


@st.cache_resource(show_spinner=False)
def _sentences() -> _Sentences:
    return _Sentences()


def encoder(name: str) -> ImageTextEncoder:
    """The model called `name`, which has to know texts.

    Raises:
        IncompatibleError: it does not.
    """
    model = loaded_model(name)
    model.spec.require("image_text", "This page")
    return cast(ImageTextEncoder, model.module)


def sentence_vectors(name: str, texts: Sequence[str]) -> np.ndarray:
    """(texts, dim) of each sentence."""
    store = _sentences()
    found = store.get(name, texts)
    if found is not None:
        return found
    missing = store.missing(name, texts)
    module = encoder(name)

    def work(on_progress: OnProgress) -> None:
        with in_use(name):
            store.put(name, missing, embed_texts(module, missing, on_progress=on_progress))

    token = hashlib.sha256(repr((name, missing)).encode()).hexdigest()[:16]
    with_progress(f"Reading {counted(len(missing), 'sentence')}", work, token=token)
    found = store.get(name, texts)
    if found is None:  # more sentences than are kept
        raise CoreError(f"{len(texts):,} sentences are too many to keep.", "Use fewer labels or templates.")
    return found


def weights_of(name: str, labels: tuple[str, ...], templates: tuple[str, ...]) -> np.ndarray:
    """(labels, dim) unit vectors of a zero-shot classifier."""
    if len(labels) * len(templates) <= MOST_AT_ONCE:
        vectors = sentence_vectors(name, prompts_for(labels, templates))
        return class_weights(vectors.reshape(len(labels), len(templates), -1))
    return _class_weights(name, labels, templates)


@shared("Reading the labels …")
def _class_weights(
    name: str, labels: tuple[str, ...], templates: tuple[str, ...], *, on_progress: OnProgress = silent
) -> np.ndarray:
    """`weights_of` for more sentences than are kept one by one."""
    module = encoder(name)
    with in_use(name):
        return text_classifier(module, labels, templates, on_progress=on_progress)


@shared("Reading the photo …", most=512)
def image_vector(name: str, digest: str, _image: Image.Image) -> np.ndarray:
    """(dim,) of one photo."""
    module = encoder(name)
    with in_use(name) as model:
        return embed_images(module, to_batch([_image], model.network.preprocessing))[0]


def scores_of(
    name: str, digest: str, image: Image.Image, labels: tuple[str, ...], templates: tuple[str, ...]
) -> ZeroShotScores:
    """One photo against all labels."""
    vector = image_vector(name, digest, image)[None]
    return zero_shot_scores(vector, weights_of(name, labels, templates), labels, Scale.of(encoder(name)))


def scores_by_template(
    name: str, digest: str, image: Image.Image, labels: tuple[str, ...], templates: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Each sentence as a classifier of its own: cosines and probabilities, (templates, labels)."""
    vectors = sentence_vectors(name, prompts_for(labels, templates)).reshape(len(labels), len(templates), -1)
    return template_scores(image_vector(name, digest, image), vectors, Scale.of(encoder(name)))


@shared("Following the score into the photo …", most=128)
def relevance_of(
    name: str, digest: str, text: str, against: tuple[str, ...], _image: Image.Image
) -> ImageTextRelevance:
    """Where the score of one photo and one sentence comes from."""
    module = encoder(name)
    with in_use(name) as model:
        batch = to_batch([_image], model.network.preprocessing)
        return image_text_relevance(module, batch, text, against)


@dataclass(frozen=True, kw_only=True)
class HidingCheck:
    """What hiding patches does to the cosine of a photo and a sentence.

    Attributes:
        whole: of the unchanged photo.
        hidden: without the most relevant patches.
        random: (orders,) without as many at random.
        share: of the patches that were hidden.
    """

    whole: float
    hidden: float
    random: np.ndarray
    share: float

    def sentence(self) -> str:
        """The verdict, computed from the numbers."""
        mean, deviation = float(self.random.mean()), float(self.random.std(ddof=1))
        better = (mean - self.hidden) / max(deviation, 1e-9)
        verdict = (
            "the map found what matters"
            if better > 2
            else "no clear difference: do not trust this map"
            if better > -2
            else "the map is worse than chance here"
        )
        return (
            f"Checked: hiding the {self.share:.0%} of patches that it marks most takes the cosine from "
            f"{self.whole:.3f} to {self.hidden:.3f}; as many at random, to {mean:.3f} ± {deviation:.3f} "
            f"({len(self.random)} draws): {verdict}."
        )


@shared("Hiding patches …", most=128)
def hiding_check(name: str, digest: str, text: str, against: tuple[str, ...], _image: Image.Image) -> HidingCheck:
    """Hide the most relevant patches of a photo, and as many at random."""
    relevance = relevance_of(name, digest, text, against, _image)
    vector = sentence_vectors(name, [text])[0]
    grid = (relevance.patches.shape[0], relevance.patches.shape[1])
    orders = [masking_order("most_attended", grid, scores=relevance.patches)]
    orders += [masking_order("random", grid, seed=seed) for seed in range(RANDOM_ORDERS)]
    keeps = np.stack([np.ones(grid, dtype=bool), *(keep_from_order(order, HIDDEN_SHARE, grid) for order in orders)])
    with in_use(name) as model:
        preprocessing = model.network.preprocessing
        responses = masked_responses(
            model.module,
            to_batch([_image], preprocessing),
            Target(reference=torch.from_numpy(vector)),
            keeps,
            normalisation=preprocessing.normalisation,
        )
    whole, hidden, *random = responses.confidence.tolist()
    return HidingCheck(whole=whole, hidden=hidden, random=np.array(random), share=HIDDEN_SHARE)


def best_template(name: str, digest: str, image: Image.Image, label: str, templates: tuple[str, ...]) -> str:
    """The sentence about `label` that lies nearest to the photo."""
    cosines, _ = scores_by_template(name, digest, image, (label,), templates)
    return fill_template(templates[int(cosines[:, 0].argmax())], label)


@st.cache_data(max_entries=32, show_spinner=False)
def read_model_card(name: str) -> dict[str, Any]:
    """`card.json` of a model of our own; empty for models of others."""
    try:
        card = json.loads((Path(resolve(find_model(name))) / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, CoreError):
        return {}
    return card if isinstance(card, dict) else {}


def labels_seen(name: str) -> dict[str, list[str]]:
    """The labels that a model of our own was trained with, by data set, from its card; empty for models of others."""
    found = read_model_card(name).get("labels_seen", {})
    return found if isinstance(found, dict) else {}


@shared("Looking up the words of its captions …", most=32)
def words_met(name: str) -> frozenset[str]:
    """Every word that the captions of a model of our own may have said, in lower case; empty for models of others.

    Captions name a class by its synonyms and by what it is a kind of, so a model that knows espresso has met "drink".
    """
    seen = {label.casefold() for labels in labels_seen(name).values() for label in labels}
    if not seen:
        return frozenset()
    known = [key for key in (*CIFAR10, *imagenet_wnids()) if class_names(key)[0].casefold() in seen]
    said = (called for wnid in caption_table(known).wnids for called in find_synset(wnid).names) if known else ()
    return frozenset(seen | {called.casefold() for called in said})


def is_cut(name: str, texts: Sequence[str]) -> list[str]:
    """Those of `texts` whose end the model does not read."""
    tokens = encoder(name).tokenise(list(texts))
    return [text for text, truncated in zip(texts, tokens.truncated, strict=True) if truncated]
