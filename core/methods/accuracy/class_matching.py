"""Which of a model's outputs means which class of a data set, and what the model says of images in those terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from torch import Tensor

from core.data.wordnet import CUE_CONFLICT, ancestors, class_synset, imagenet_below, imagenet_wnids
from core.errors import IncompatibleError
from core.methods.accuracy.predictions import predict_logits, softmax
from core.methods.clip.disagreements import imagenet_index
from core.methods.clip.zero_shot import Scale, embed_images, text_classifier, zero_shot_scores
from core.models.clip import ImageTextEncoder
from core.models.spec import LoadedModel

# Of each class the outputs that mean it.
Groups = tuple[tuple[int, ...], ...]
_NAMED = 3


def match_classes(model: LoadedModel, classes: Sequence[str]) -> Groups | None:
    """For each of `classes` the outputs of a classifier that mean it; None for a model of images and texts.

    By name, whatever the order; a classifier of ImageNet's 1000 classes also by WordNet, where a class is an id, one of
    CIFAR-10 or one of the 16 of cue-conflict images: then every kind of it counts.

    Raises:
        IncompatibleError: the model classifies nothing, or lacks one of the classes.
    """
    if not model.spec.lacks("image_text"):
        return None
    model.spec.require("classifier", "Comparing answers")
    known = {_plain(name): index for index, name in enumerate(model.classes)}
    by_name: list[tuple[int, ...]] = [(known[_plain(name)],) if _plain(name) in known else () for name in classes]
    groups = by_name
    if not all(by_name) and _knows_imagenet(model.classes):
        groups = [_by_wordnet(name) for name in classes]
    if all(groups):
        return tuple(groups)
    missing = [name for name, group in zip(classes, groups, strict=True) if not group]
    raise IncompatibleError(
        f"{model.spec.title} cannot be compared here: it knows {len(model.classes):,} classes "
        f"({', '.join(model.classes[:_NAMED])}, …) and lacks {len(missing):,} of the {len(classes):,} of these images "
        f"({', '.join(missing[:_NAMED])}{', …' * (len(missing) > _NAMED)}).",
        "Choose a model of images and texts, a classifier of these classes, or other images.",
    )


def outputs_meaning(classes: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """The outputs of a classifier of `classes` that mean what is called by any of `names`; empty where none does.

    By name first, the whole one or the first of several; then by WordNet: an output that is the thing itself, or a
    kind of it, or else what it is a kind of (a tabby is a cat).

    Args:
        names: of one thing: an ImageNet id, a title, synonyms with commas between them. For none, nothing is meant.
    """
    imagenet = _knows_imagenet(classes)
    wanted = [_plain(part) for name in names for part in (name, *name.split(","))]
    # Of the 1000, two are called crane and two maillot: there ids say what is meant, and words only where one has them.
    if not imagenet:
        for called in (_plain, lambda name: _plain(name.partition(",")[0])):
            known = [called(each) for each in classes]
            for each in wanted:
                if each in known:
                    return tuple(index for index, name in enumerate(known) if name == each)
    wnid = _synset_id(names)
    if not wnid:
        return ()
    synsets = (
        imagenet_wnids()
        if imagenet
        else tuple(found.wnid if (found := class_synset(_plain(each))) else "" for each in classes)
    )
    kinds = tuple(place for place, each in enumerate(synsets) if each and (each == wnid or wnid in ancestors(each)))
    above = ancestors(wnid)
    return kinds or tuple(place for place, each in enumerate(synsets) if each in above)


def _synset_id(names: Sequence[str]) -> str:
    """The id of the synset that is called so; empty where that is unclear."""
    for name in names:
        if synset := class_synset(name) or class_synset(_plain(name)):
            return synset.wnid
    if names and (index := imagenet_index(names[0], names[-1])) is not None:
        return imagenet_wnids()[index]
    return next((CUE_CONFLICT[_plain(name)] for name in names if _plain(name) in CUE_CONFLICT), "")


def class_scorer(
    model: LoadedModel, classes: Sequence[str], labels: Sequence[str], template: str
) -> Callable[[Tensor], np.ndarray]:
    """What tells how likely each class is: normalised images (batch, 3, size, size) → (batch, classes) float64.

    The mean probability of all outputs that mean the class, as Geirhos et al. 2019 take it (not the sum: 118 dogs would
    outvote two elephants); for a model of images and texts the probability among the labels.

    Args:
        labels: one for each class, which a model of images and texts reads in `template`.

    Raises:
        IncompatibleError: see `match_classes`.
    """
    groups = match_classes(model, classes)
    if groups is None:
        module = cast(ImageTextEncoder, model.module)
        weights, scaling = text_classifier(module, labels, (template,)), Scale.of(module)
        return lambda images: zero_shot_scores(embed_images(module, images), weights, labels, scaling).probabilities
    sizes = np.array([len(group) for group in groups])
    members, starts = np.concatenate(groups), np.cumsum([0, *sizes[:-1]])
    return lambda images: (
        np.add.reduceat(softmax(predict_logits(model.module, images))[:, members], starts, axis=1) / sizes
    )


def _by_wordnet(name: str) -> tuple[int, ...]:
    synset = class_synset(name)
    wnid = synset.wnid if synset else CUE_CONFLICT.get(_plain(name), "")
    return imagenet_below(wnid) if wnid else ()


def _knows_imagenet(classes: Sequence[str]) -> bool:
    """Whether these are the 1000 in their order, as whoever wrote the checkpoint calls them."""
    ends = [(0, "tench"), (999, "toilet tissue")]
    return len(classes) == 1000 and all(_plain(classes[index]).startswith(name) for index, name in ends)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
