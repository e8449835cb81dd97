"""Several pictures named by several classifiers, each with its own classes: nothing is imported, copied or kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from core.data.samples import Sample
from core.data.transforms import to_batch
from core.errors import CoreError
from core.methods.accuracy.class_matching import outputs_meaning
from core.methods.accuracy.confusion import Accuracy
from core.methods.accuracy.predictions import Prediction, class_name, predict_logits, softmax
from core.methods.clip.zero_shot import Scale, embed_images, text_classifier, zero_shot_scores
from core.models.clip import ImageTextEncoder
from core.models.spec import LoadedModel
from core.shares import counted, share_with_interval

TOP = 5


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one classifier says of one picture.

    Attributes:
        top: the likeliest classes, best first; empty where the picture cannot be read.
        truth: the outputs that mean the picture's true class; empty where that is unknown, or no class of the model's.
        place: of the likeliest of `truth` among all classes, 1 for the best; 0 where there is none.
        problem: why the picture cannot be read.
    """

    top: tuple[Prediction, ...]
    truth: tuple[int, ...] = ()
    place: int = 0
    problem: str = ""


def classify_samples(
    model: LoadedModel,
    samples: Sequence[Sample],
    *,
    labels: Sequence[str] = (),
    templates: Sequence[str] = ("a photo of a {}.",),
    top: int = TOP,
    batch_size: int = 16,
) -> Iterator[Answer]:
    """One answer a picture, in order; one that cannot be read is an answer with a problem.

    Args:
        labels: what a model of images and texts chooses from; without any, a classifier answers with the classes that
            it was trained on.

    Raises:
        IncompatibleError: the model knows no texts, or without labels has no classification head.
    """
    classes: Sequence[str] = labels
    if labels:
        model.spec.require("image_text", "Naming pictures by labels of your own")
        module = cast(ImageTextEncoder, model.module)
        with model.lock:
            weights, scaling = text_classifier(module, labels, templates), Scale.of(module)
    else:
        model.spec.require("classifier", "Naming pictures by the model's own classes")
        classes = model.classes

    def probabilities(pixels: torch.Tensor) -> np.ndarray:
        if not labels:
            return softmax(predict_logits(model.module, pixels))
        return zero_shot_scores(embed_images(module, pixels), weights, labels, scaling).probabilities

    # Not a generator itself: what a model cannot do is said when it is asked, not at the first answer.
    return _answers(model, samples, classes, probabilities, top, batch_size)


def _answers(
    model: LoadedModel,
    samples: Sequence[Sample],
    classes: Sequence[str],
    probabilities: Callable[[torch.Tensor], np.ndarray],
    top: int,
    batch_size: int,
) -> Iterator[Answer]:
    """probabilities: pixels → (pictures, classes)."""
    meanings: dict[tuple[str, ...], tuple[int, ...]] = {}
    for start in range(0, len(samples), batch_size):
        pictures, problems = [], {}
        for place, sample in enumerate(samples[start : start + batch_size]):
            try:
                pictures.append(sample.open())
            except (CoreError, OSError) as error:
                problems[place] = str(error)
        rows = iter(())
        if pictures:
            with model.lock, torch.inference_mode():
                rows = iter(probabilities(to_batch(pictures, model.network.preprocessing)))
        for place, sample in enumerate(samples[start : start + batch_size]):
            if sample.names not in meanings:
                meanings[sample.names] = outputs_meaning(classes, sample.names)
            truth = meanings[sample.names]
            if place in problems:
                yield Answer(top=(), truth=truth, problem=problems[place])
            else:
                yield answer(next(rows), classes, truth, top)


def answer(shares: np.ndarray, classes: Sequence[str], truth: tuple[int, ...] = (), top: int = TOP) -> Answer:
    """The answer in the (classes,) probabilities of one picture; equal ones keep the order of the classes."""
    order = np.argsort(-shares, kind="stable")
    best = tuple(
        Prediction(label=class_name(classes, int(index)), class_index=int(index), probability=float(shares[index]))
        for index in order[:top]
    )
    place = int(np.isin(order, truth).argmax()) + 1 if truth else 0
    return Answer(top=best, truth=truth, place=place)


def accuracy_in(answers: Sequence[Answer], top: int = 1) -> Accuracy | None:
    """How many have the true class among the best `top`, of those whose true class the model has; None if of none."""
    judged = [each for each in answers if each.place]
    if not judged:
        return None
    return Accuracy(correct=sum(each.place <= top for each in judged), count=len(judged))


def summary(answers: Sequence[Answer], top: int = TOP) -> str:
    """Top-1 and top-5 accuracy in words, and for how many pictures nothing can be said."""
    first, best = accuracy_in(answers), accuracy_in(answers, top)
    if first is None or best is None:
        return "the true class is not known, or none of its classes"
    others = sum(not each.place and not each.problem for each in answers)
    left_out = f"; {counted(others, 'picture')} of no class that is known and its own" if others else ""
    return (
        f"top 1 right for {share_with_interval(first.correct, first.count)}, "
        f"top {top} for {share_with_interval(best.correct, best.count)}{left_out}"
    )
