"""The sentences of the view of one photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.photo import PhotoAnswers, photo_square
from pages.biases.photo_view import CARDS, PhotoView, Variant
from pages.shared.cache import loaded_model
from pages.shared.pickers import Picture

NAMED = 3


def headline(view: PhotoView, variants: Sequence[Variant], answers: Mapping[str, PhotoAnswers]) -> str:
    """Which manipulations change answers at the strengths that the sliders have, counted."""
    places = {variant: place for place, variant in enumerate(variants)}
    changed = {
        name: sum(not found.same[places[view.variant(name, view.strengths[name])]] for found in answers.values())
        for name in CARDS
    }
    most, models = max(changed.values()), len(answers)
    before = f"After {' and '.join(step.words for step in view.kept)}: " if view.kept else ""
    if not most:
        return f"{before}{'no' if before else 'No'} answer changes at these strengths."
    worst = [MANIPULATIONS[name].title for name in CARDS if changed[name] == most]
    what = f"{most} of {models} answers"
    if most == models:
        what = "the answer" if models == 1 else "both answers" if models == 2 else f"all {models} answers"
    untouched = sum(not count for count in changed.values())
    rest = f"; under {untouched} of {len(CARDS)} nothing changes" if untouched else ""
    return f"{before}{_list(worst)} {'changes' if len(worst) == 1 else 'change'} {what}{rest}."


def about_size(view: PhotoView, picture: Picture) -> list[str]:
    """What the size of the picture means for the strengths."""
    found = []
    short = min(picture.image.size)
    if short < view.side:
        found.append(
            f"This photo is {picture.image.width} × {picture.image.height} px; it is enlarged to "
            f"{view.side} × {view.side} px, which adds no detail."
        )
    sizes = sorted({loaded_model(name).network.preprocessing.size for name in view.models})
    smaller = [size for size in sizes if size < view.side]
    if smaller:
        found.append(
            f"Pictures are manipulated at {view.side} × {view.side} px. Models that see {_list(map(str, smaller))} px "
            "average over neighbouring pixels first, which takes off some of the noise."
        )
    square = photo_square(picture.image, view.side)
    if int((square.max(axis=(0, 1)).astype(int) - square.min(axis=(0, 1))).max()) <= 2:
        found.append("This photo is of one colour: there is nothing to scramble, to blur or to draw edges of.")
    return found


def about_models(view: PhotoView) -> list[str]:
    """What cannot be compared between the models."""
    vocabularies = {
        tuple(name.casefold() for name in (loaded_model(each).classes or view.labels)) for each in view.models
    }
    if len(vocabularies) < 2:
        return []
    return [
        "These models choose from different classes: compare each with its own answer on the unchanged photo, not with "
        "the others."
    ]


def _list(words: object) -> str:
    """`A, B and C`; of many the first ones and how many more."""
    named = [str(word) for word in words]  # type: ignore[attr-defined]
    if len(named) > NAMED + 1:
        return f"{', '.join(named[:NAMED])} and {len(named) - NAMED} more"
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
