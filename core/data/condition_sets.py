"""Pictures by condition and category: stored so, or made of ordinary pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.data.conditions import CONDITIONS, ConditionName, change
from core.data.labelled_pictures import LabelledPictures, choose_pictures
from core.data.prompts import dataset_labels
from core.data.transforms import HALF_NORMALISATION, Preprocessing, crop_to_square
from core.errors import CoreError

# Pictures are changed at this side, or at half of it where they are small.
SIDE, SMALL_SIDE = 224, 112


class NotDrawableError(CoreError):
    """A condition that one picture does not allow; it stays in the others."""


@dataclass(frozen=True, kw_only=True)
class ConditionPicture:
    """One picture in one condition.

    Attributes:
        condition, category: indices.
        thing: the same number where the same thing is shown in several conditions.
        open: the picture; raises `NotDrawableError` where the condition cannot be drawn.
    """

    condition: int
    category: int
    thing: int
    title: str
    open: Callable[[], Image.Image]


@dataclass(frozen=True, kw_only=True)
class ConditionSet:
    """Things in conditions.

    Attributes:
        conditions: titles.
        categories: what the model chooses among.
        pictures: condition by condition.
    """

    title: str
    conditions: tuple[str, ...]
    categories: tuple[str, ...]
    pictures: tuple[ConditionPicture, ...]


def stored_conditions(found: LabelledPictures, per_group: int = 0, seed: int = 0) -> ConditionSet:
    """Each group is a condition that shows things of its own, at most `per_group` of each category; 0 is all."""
    pictures: list[ConditionPicture] = []
    for condition, group in enumerate(found.groups.values()):
        for each in choose_pictures(group, per_group, seed) if per_group else group:
            pictures.append(
                ConditionPicture(
                    condition=condition, category=each.label, thing=len(pictures), title=each.title, open=each.open
                )
            )
    return ConditionSet(
        title=found.title,
        conditions=tuple(name.replace("_", " ").capitalize() for name in found.groups),
        categories=dataset_labels(found.classes, found.titles),
        pictures=tuple(pictures),
    )


def most_of_each(found: LabelledPictures, most: int) -> int:
    """The largest number of each category with which all conditions together have at most `most` pictures; 0: all fit.

    Raises:
        CoreError: one of each is too many already.
    """
    counts = np.concatenate(
        [np.bincount([each.label for each in group], minlength=1) for group in found.groups.values()]
    )
    if counts.sum() <= most:
        return 0
    sizes = np.arange(1, counts.max() + 1)
    fitting = sizes[[np.minimum(counts, size).sum() <= most for size in sizes]]
    if not len(fitting):
        raise CoreError(
            f"One picture of each category in each condition is more than {most:,}.", "Choose a part of the data set."
        )
    return int(fitting[-1])


def made_conditions(
    found: LabelledPictures, per_category: int, strengths: Mapping[ConditionName, float], seed: int = 0
) -> ConditionSet:
    """Pictures of the first group under each condition of `strengths`: the same things in all of them."""
    group = next(iter(found.groups.values()))
    chosen = choose_pictures(group, per_category, seed)
    # Classes of which there is no picture are no choice either.
    labels = sorted({each.label for each in chosen})
    titles = dataset_labels(found.classes, found.titles)
    pictures = tuple(
        ConditionPicture(
            condition=condition,
            category=labels.index(each.label),
            thing=thing,
            title=each.title,
            open=changed_picture(each.open, kind, strength, thing),
        )
        for condition, (kind, strength) in enumerate(strengths.items())
        for thing, each in enumerate(chosen)
    )
    return ConditionSet(
        title=found.title,
        conditions=tuple(CONDITIONS[kind].title for kind in strengths),
        categories=tuple(titles[label] for label in labels),
        pictures=pictures,
    )


def changed_picture(
    open_picture: Callable[[], Image.Image], kind: ConditionName, strength: float, seed: int
) -> Callable[[], Image.Image]:
    """What opens a picture under a condition; it raises `NotDrawableError` where that cannot be drawn."""

    def opened() -> Image.Image:
        picture = open_picture()
        side = SIDE if min(picture.size) >= SMALL_SIDE else SMALL_SIDE
        square = np.asarray(crop_to_square(picture, Preprocessing(size=side, normalisation=HALF_NORMALISATION)))
        changed = change(square, kind, strength, seed)
        if changed is None:
            raise NotDrawableError(f"{CONDITIONS[kind].title}: thing and background cannot be told apart.")
        return Image.fromarray(changed)

    return opened
