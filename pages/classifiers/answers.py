"""What several classifiers say of several photos, each asked once, and what the photos are where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from core.data.catalogue import read_dataset, sample_images
from core.data.examples import EXAMPLES
from core.data.framing import split_view
from core.data.pictures import SAMPLES
from core.data.prompts import dataset_labels, parse_labels
from core.errors import ConfigError
from core.figures.classify import AnswerRow
from core.methods.accuracy.class_matching import outputs_meaning
from core.methods.accuracy.classify import TOP, Answer, accuracy_in, answer
from core.methods.accuracy.predictions import softmax
from core.reports import OnProgress, silent
from core.shares import FEW, difference_words, share
from pages.shared.cache import loaded_model, logits_of
from pages.shared.pictures import Picture
from pages.shared.results import shared
from pages.shared.zero_shot import scores_of

TEMPLATES = ("a photo of a {}.",)
# Of each classifier and photo of one's own, the classes that models of images and texts are offered.
GUESSES = 3
SIDE = 160


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Several photos by several classifiers.

    Attributes:
        labels: what the models of images and texts chose among; empty where there is none of them.
        names: of each photo's true class; see `core.data.samples.Sample`.
        answers: by model, one a photo.
    """

    pictures: tuple[Picture, ...]
    labels: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    answers: dict[str, tuple[Answer, ...]]


def compare(models: Sequence[str], pictures: Sequence[Picture], typed: str) -> Compared:
    """Ask each of `models` about each of `pictures`.

    Args:
        typed: labels for models of images and texts; where there are none, the classes that fit the photos.

    Raises:
        ConfigError: there is no photo.
    """
    if not pictures:
        raise ConfigError("No photo is chosen.", "Choose one or more.")
    names = tuple(map(true_names, pictures))
    readers = [name for name in models if reads_labels(name)]
    others = tuple(name for name in models if name not in readers)
    labels = (parse_labels(typed).names if typed.strip() else fitting_labels(others, pictures)) if readers else ()
    digests = tuple(picture.digest for picture in pictures)
    shares = {name: shares_of(name, digests, labels if name in readers else (), pictures) for name in models}
    answers = {}
    for name in models:
        classes = labels if name in readers else loaded_model(name).classes
        answers[name] = tuple(
            answer(row, classes, outputs_meaning(classes, called))
            for row, called in zip(shares[name], names, strict=True)
        )
    return Compared(pictures=tuple(pictures), labels=labels, names=names, answers=answers)


def reads_labels(name: str) -> bool:
    """Whether a model chooses among labels that it is given."""
    return not loaded_model(name).spec.lacks("image_text")


@shared(lambda name, *_: f"{loaded_model(name).spec.title} looks …", most=256)
def shares_of(
    name: str,
    digests: tuple[str, ...],
    labels: tuple[str, ...],
    _pictures: Sequence[Picture],
    *,
    on_progress: OnProgress = silent,
) -> np.ndarray:
    """(photos, classes) probabilities."""
    rows = []
    for place, picture in enumerate(_pictures):
        on_progress(place / len(_pictures), f"{loaded_model(name).spec.title}: photo {place + 1} of {len(_pictures)}")
        if labels:
            rows.append(scores_of(name, picture.digest, picture.image, labels, TEMPLATES).probabilities[0])
        else:
            rows.append(softmax(logits_of(name, picture.digest, picture.image)))
    return np.stack(rows)


def true_names(picture: Picture) -> tuple[str, ...]:
    """What the true class is called: known of bundled photos and of those of data sets, not of one's own."""
    kind, _, rest = split_view(picture.key)[0].partition(":")
    if kind == "example":
        word = EXAMPLES[rest].word
        return (word,) if word else ()
    if kind == "data":
        data, split, seed, place = rest.split("/")
        card, label = read_dataset(data), _labels_drawn(data, split, int(seed))[int(place)]
        return (str(card["classes"][label]), str((card.get("class_titles") or card["classes"])[label]))
    return ()


def fitting_labels(classifiers: Sequence[str], pictures: Sequence[Picture]) -> tuple[str, ...]:
    """All classes of the data sets, words for the bundled photos; of one's own, what the classifiers hold likely."""
    found: list[str] = []
    for picture in pictures:
        kind, _, rest = split_view(picture.key)[0].partition(":")
        if kind == "data":
            card = read_dataset(rest.partition("/")[0])
            found += dataset_labels(card["classes"], card.get("class_titles"))
        elif kind == "upload" and classifiers:
            for name in classifiers:
                shares = softmax(logits_of(name, picture.digest, picture.image))
                top = answer(shares, loaded_model(name).classes, top=GUESSES).top
                found += [each.label.partition(",")[0] for each in top]
        else:
            found += [each.word or each.title.lower() for each in EXAMPLES.values()]
    return parse_labels("\n".join(f'"{each}"' for each in dict.fromkeys(found))).names


def rows_of(found: Compared) -> list[AnswerRow]:
    """The rows of the table."""
    return [
        AnswerRow(
            pixels=_square(picture.image),
            title=picture.title,
            true_label=label_of(found.names[place]),
            answers=[row[place] for row in found.answers.values()],
        )
        for place, picture in enumerate(found.pictures)
    ]


def label_of(names: tuple[str, ...]) -> str:
    """A true class as people read it; empty where nobody knows."""
    return dataset_labels(names[:1], names[-1:])[0] if names else ""


def line_of(name: str, found: Compared) -> str:
    """How often a model is right, and among how many classes it chose."""
    row = found.answers[name]
    classes = len(found.labels) if reads_labels(name) else len(loaded_model(name).classes)
    among = f"among {classes:,} {'labels' if reads_labels(name) else 'classes'}"
    first, best = accuracy_in(row), accuracy_in(row, TOP)
    if first is None or best is None:
        return among
    return f"{among}; top 1 {first.correct} of {first.count}, top {TOP} {best.correct} of {best.count}"


def headline(found: Compared) -> str:
    """Who is right how often, of the photos whose true class it has."""
    parts = []
    for name, row in found.answers.items():
        if right := accuracy_in(row):
            said = share(right.correct, right.count)
            of = "" if " of " in said else f" of {right.count}"
            parts.append(f"{loaded_model(name).spec.title} {said}{of}")
    if parts:
        return f"Right at first: {', '.join(parts)}"
    photos = len(found.pictures)
    return f"{photos} photo{'s' * (photos > 1)}, {len(found.answers)} classifier{'s' * (len(found.answers) > 1)}"


def differences(found: Compared) -> list[str]:
    """The first model against each other one, on the photos whose true class both have; none of a few."""
    first, *others = found.answers
    said = []
    for name in others:
        pairs = [
            (one.place == 1, two.place == 1)
            for one, two in zip(found.answers[first], found.answers[name], strict=True)
            if one.place and two.place
        ]
        if len(pairs) >= FEW:
            only = sum(one and not two for one, two in pairs), sum(two and not one for one, two in pairs)
            titles = (loaded_model(each).spec.title for each in (first, name))
            said.append(
                f"{' minus '.join(titles)}, photo by photo on the {len(pairs)} that both can know: "
                f"{difference_words(*only, len(pairs))}"
            )
    return said


def table_of(found: Compared) -> pd.DataFrame:
    """A row for each photo, model and place."""
    return pd.DataFrame(
        [
            {
                "picture": picture.title,
                "true class": label_of(found.names[place]),
                "model": name,
                "place": rank,
                "class": each.label,
                "probability": each.probability,
                "right": each.class_index in row[place].truth if row[place].truth else None,
            }
            for place, picture in enumerate(found.pictures)
            for name, row in found.answers.items()
            for rank, each in enumerate(row[place].top, 1)
        ]
    )


@shared("Reading images …")
def _labels_drawn(data: str, split: str, seed: int) -> list[int]:
    return [label for _, label in sample_images(data, split, SAMPLES, seed)]


def _square(image: Image.Image) -> np.ndarray:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    cut = image.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.LANCZOS if side > SIDE else Image.Resampling.NEAREST))
