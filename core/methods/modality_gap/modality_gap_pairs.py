"""Labelled images with captions by template, embedded and divided into pairs to fit on and pairs to measure on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from core.data.catalogue import installed_datasets, read_dataset
from core.data.examples import EXAMPLES, load_example
from core.data.image_sets import ImageSet, dataset_sample, view_set
from core.data.prompts import dataset_labels, prompts_for
from core.errors import ConfigError, CoreError
from core.methods.clip.zero_shot import embed_texts
from core.methods.embeddings.features import extract_features
from core.methods.modality_gap.modality_gap import Pairs, split_pairs
from core.models.clip import ImageTextEncoder
from core.models.spec import LoadedModel
from core.reports import Progress
from core.seeding import stream

By = Literal["images", "classes"]
EXAMPLE_SOURCE = "examples"
# Each example photo is cut and recoloured so often.
VIEWS = 12
# Captions between two reports.
_TOGETHER = 32


@dataclass(frozen=True, kw_only=True)
class Halves:
    """Pairs to fit on and pairs to measure on.

    Attributes:
        names: of the held-out pairs' classes.
        said: where both come from, in words.
        seen_classes: both are of the same classes.
    """

    fitted: Pairs
    held_out: Pairs
    names: tuple[str, ...]
    said: str
    seen_classes: bool


def pair_sources() -> dict[str, str]:
    """Labelled images on this machine, with titles; last the example photos, which are a stand-in."""
    found = {}
    for name, card in installed_datasets().items():
        if len(card["classes"]) < 2:
            continue
        if roles := _roles(card["splits"]):
            found[name] = f"{card['title']}: fitted on {roles[0]}, measured on {roles[1]}"
        else:
            found |= {f"{name}/{split}": f"{card['title']}, {split}: halves" for split in card["splits"]}
    return found | {EXAMPLE_SOURCE: f"The {len(EXAMPLES)} example photos, {VIEWS} cut-outs each"}


def embed_halves(
    model: LoadedModel, source: str, templates: Sequence[str], *, pairs: int = 500, by: By = "images", seed: int = 0
) -> Generator[Progress, None, Halves]:
    """Embed images and captions of a source and divide them; features come from the cache where they are known.

    Args:
        source: a key of `pair_sources`: a data set with training and test split, one split of another ("pacs/photo"),
            or "examples".
        templates: sentences with `{}` for the class; each image gets one of them at random.
        pairs: images on each side, as far as there are so many.
        by: what keeps the sides apart; cut-outs of the example photos are always divided by photo.

    Raises:
        IncompatibleError: the model knows no texts.
        CoreError: the data set is not here; too few classes.
    """
    model.spec.require("image_text", "The modality gap")
    if source == EXAMPLE_SOURCE:
        by = "classes"  # cut-outs of one photo on both sides would have been seen
    sets, labels, said = yield from _image_sets(source, pairs, seed)
    vectors = []
    for each in sets:
        vectors.append((yield from _embed(model, each)))
    captions = (yield from _captions(model, prompts_for(labels, templates))).reshape(len(labels), len(templates), -1)
    random = stream("captions of pairs", seed)
    parts = [
        Pairs(
            images=each, labels=chosen.labels, captions=captions, chosen=random.integers(len(templates), size=len(each))
        )
        for each, chosen in zip(vectors, sets, strict=True)
    ]
    return _divide(parts, labels, said, by, seed)


def _roles(splits: dict[str, int]) -> tuple[str, str] | None:
    """The splits to fit and to measure on, where a data set says so."""
    held_out = next((split for split in ("test", "val") if split in splits), None)
    return ("train", held_out) if "train" in splits and held_out else None


def _image_sets(
    source: str, pairs: int, seed: int
) -> Generator[Progress, None, tuple[list[ImageSet], tuple[str, ...], str]]:
    """One set to be divided, or two that are apart already; the labels of their classes; where they come from."""
    if source == EXAMPLE_SOURCE:
        photos = [(example.title, load_example(name)) for name, example in EXAMPLES.items()]
        labels = tuple(example.word or example.title for example in EXAMPLES.values())
        views = yield from view_set(photos, VIEWS, seed=seed, name=EXAMPLE_SOURCE, title="Example photos")
        return [views], labels, f"{len(photos)} photos in {VIEWS} cut-outs each"
    name, _, split = source.partition("/")
    card = read_dataset(name)
    labels = dataset_labels(card["classes"], card.get("class_titles"))
    if split:
        whole = yield from dataset_sample(name, split, 2 * pairs, seed)
        return [whole], labels, f"{card['title']}, {split}"
    roles = _roles(card["splits"])
    if roles is None:
        raise CoreError(f"{card['title']} has no training and test split.", "Choose one of its splits.")
    first = yield from dataset_sample(name, roles[0], pairs, seed)
    second = yield from dataset_sample(name, roles[1], pairs, seed)
    return [first, second], labels, f"{card['title']}, {roles[0]} and {roles[1]}"


def _embed(model: LoadedModel, images: ImageSet) -> Generator[Progress, None, np.ndarray]:
    """(images, dim), projected, not of unit length."""
    preprocessing = model.network.preprocessing
    found: Any = yield from extract_features(
        model.module,
        images.source(preprocessing.size),
        model=model.spec.name,
        size=preprocessing.size,
        normalisation=preprocessing.normalisation,
        poolings=("embedding",),
        lock=model.lock,
    )
    vectors: np.ndarray = found["embedding"].vectors
    return vectors


def _captions(model: LoadedModel, sentences: list[str]) -> Generator[Progress, None, np.ndarray]:
    """(sentences, dim), projected, not of unit length."""
    found = []
    for start in range(0, len(sentences), _TOGETHER):
        yield Progress(step=start, steps=len(sentences), text=f"Reading {len(sentences):,} captions")
        with model.lock:
            found.append(embed_texts(cast(ImageTextEncoder, model.module), sentences[start : start + _TOGETHER]))
    return np.concatenate(found)


def _divide(parts: list[Pairs], labels: tuple[str, ...], said: str, by: By, seed: int) -> Halves:
    """Keep what is fitted and what is measured apart."""
    present = [np.unique(part.labels) for part in parts]
    both = np.intersect1d(present[0], present[-1])
    if len(both) < 2:
        raise ConfigError("These images are of one class.", "Choose others: there must be something to tell apart.")
    kept = np.arange(len(labels))
    if by == "classes":
        order = stream("classes to fit on", seed).permutation(both)
        first, kept = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
        if len(kept) < 2:
            raise ConfigError(
                f"{len(both)} classes are too few to fit on some and measure on others.", "Measure on other images."
            )
        fitted, held_out = parts[0].of_classes(first), parts[-1].of_classes(kept)
    elif len(parts) == 2:
        fitted, held_out = parts
    else:
        rows = split_pairs(parts[0].labels, seed=seed)
        fitted, held_out = (parts[0].take(each) for each in rows)
    apart = "images of other classes" if by == "classes" else "other images of the same classes"
    return Halves(
        fitted=fitted,
        held_out=held_out,
        names=tuple(labels[index] for index in kept),
        said=f"{said}: fitted on {len(fitted):,} pairs, measured on {len(held_out):,} {apart}",
        seen_classes=by == "images",
    )
