"""What the Masking page asks a model: each mask of a photo once, whichever curve it belongs to, first things first.

A curve, its opposite, the random orders and the test of the maps share many masks, and so do two visitors with one
photo. All answers about one question are kept together, batch by batch: a rerun in the middle loses none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from core.data.transforms import to_batch
from core.figures.overlay import to_png
from core.methods.accuracy.targets import Target, pick_target
from core.methods.masking.faithfulness import Faithfulness, faithfulness
from core.methods.masking.masking import masked_pixels, masked_responses, masking_curve, random_band
from core.methods.masking.orders import (
    Fill,
    MaskingCurve,
    RandomBand,
    Responses,
    Strategy,
    even_grid,
    keep_from_patches,
    masking_order,
    removal_keeps,
    removal_shares,
    scores_on_grid,
)
from core.methods.masking.passes import Answer, Passes
from core.models.spec import LoadedModel
from core.reports import OnProgress, silent
from pages.shared.cache import described_model, explanation_of, in_use, loaded_model, maps_of
from pages.shared.results import shared

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MaskingQuestion:
    """What the masking page asks: which model, which photo, which class, which filling, how finely."""

    name: str
    digest: str
    class_index: int | None
    fill: Fill
    steps: int

    def prepare(self, model: LoadedModel, image: Image.Image) -> tuple[torch.Tensor, Target]:
        """The photo as the model wants it, and what is to be explained."""
        batch = to_batch([image], model.network.preprocessing)
        classifier = not model.spec.lacks("classifier")
        class_index = self.class_index if classifier else None
        return batch, pick_target(model.module, batch, class_index, classifier=classifier)


@dataclass(frozen=True)
class Asked:
    """A photo as the model wants it, what is measured, and what is known of it already."""

    batch: torch.Tensor
    target: Target
    known: dict[bytes, Answer] = field(default_factory=dict)


@shared("Reading the photo …")
def _asked(question: MaskingQuestion, _image: Image.Image) -> Asked:
    with in_use(question.name) as model:
        return Asked(*question.prepare(model, _image))


def _asking(question: MaskingQuestion, image: Image.Image, *, background: bool = False) -> dict[str, Any]:
    """The arguments with which every computation of `core.methods.masking` puts its masks to the model in turn."""
    asked, model = _asked(question, image), loaded_model(question.name)
    return {
        "module": model.module,
        "image": asked.batch,
        "target": asked.target,
        "fill": question.fill,
        "normalisation": model.network.preprocessing.normalisation,
        "passes": Passes(known=asked.known, turn=partial(in_use, question.name, background=background)),
    }


def mask_grid(name: str, digest: str, image: Image.Image) -> tuple[int, int]:
    """The patches that are hidden: the model's own, or an even grid for a CNN, which has none."""
    model = described_model(name)
    if not model.spec.lacks("attention"):
        return maps_of(name, digest, image).grid
    return even_grid(model.preprocessing.size)


def order_of(question: MaskingQuestion, strategy: Strategy, method: str, seed: int, image: Image.Image) -> np.ndarray:
    """Patch indices in the order in which a strategy removes them; `method` is the explanation that ranks them."""
    grid = mask_grid(question.name, question.digest, image)
    scores = None
    if strategy in ("most_attended", "least_attended"):
        values = explanation_of(question.name, question.digest, method, question.class_index, image)
        scores = scores_on_grid(values, grid)
    return masking_order(strategy, grid, scores=scores, seed=seed)


@shared("Asking the model …", comes_with=True)
def masking_of(
    question: MaskingQuestion,
    strategy: Strategy,
    method: str,
    seed: int,
    _image: Image.Image,
    *,
    _background: bool = False,
    on_progress: OnProgress = silent,
) -> MaskingCurve:
    """The masking curve of one strategy; `method` is the explanation that ranks the patches."""
    return masking_curve(
        **_asking(question, _image, background=_background),
        order=order_of(question, strategy, method, seed, _image),
        grid=mask_grid(question.name, question.digest, _image),
        steps=question.steps,
        on_progress=on_progress,
    )


def curve_so_far(
    question: MaskingQuestion, strategy: Strategy, method: str, image: Image.Image, *, first: int
) -> Iterator[tuple[list[int], Responses]]:
    """The same curve as it becomes known: ever more of its steps, `first` and the ends first, then halfway points."""
    if (curve := masking_of.known(question, strategy, method, 0, image)) is not None:
        answers = Responses(
            confidence=curve.confidence, top_class=curve.top_class, top_probability=curve.top_probability
        )
        yield list(range(question.steps + 1)), answers
        return
    grid = mask_grid(question.name, question.digest, image)
    order = order_of(question, strategy, method, 0, image)
    keeps = removal_keeps(order, removal_shares(len(order), question.steps), grid)
    asking, known = _asking(question, image), _asked(question, image).known
    for steps in coarse_first(question.steps, first):
        masked_responses(**asking, keeps=keeps[steps])
        there = [step for step, keep in enumerate(keeps) if keep.tobytes() in known]
        yield there, masked_responses(**asking, keeps=keeps[there])


def coarse_first(steps: int, first: int) -> list[list[int]]:
    """The steps 0 to `steps` of a slider in the order of computing them: `first` with the ends, then halves."""
    rounds = [list(dict.fromkeys([first, 0, steps]))]
    stride = steps
    while stride > 1:
        stride = -(-stride // 2)
        done = {step for each in rounds for step in each}
        rounds.append([step for step in range(0, steps + 1, stride) if step not in done])
    return [each for each in rounds if each]


@shared("Asking the model …", comes_with=True)
def band_of(
    question: MaskingQuestion,
    orders: int,
    _image: Image.Image,
    *,
    _background: bool = False,
    on_progress: OnProgress = silent,
) -> RandomBand:
    """The random baseline of the masking curves."""
    return random_band(
        **_asking(question, _image, background=_background),
        grid=mask_grid(question.name, question.digest, _image),
        steps=question.steps,
        orders=orders,
        on_progress=on_progress,
    )


@shared("Hiding patches …", most=128, comes_with=True)
def masked_photo_of(name: str, digest: str, fill: Fill, removed: tuple[int, ...], _image: Image.Image) -> np.ndarray:
    """What the model is shown when the patches `removed` are gone: the very pixels, (size, size, 3) uint8."""
    preprocessing = described_model(name).preprocessing
    keep = keep_from_patches(removed, mask_grid(name, digest, _image))
    return masked_pixels(to_batch([_image], preprocessing), keep, fill, normalisation=preprocessing.normalisation)


@shared("Hiding patches …")
def ground_of(name: str, digest: str, fill: Fill, _image: Image.Image) -> tuple[bytes, bytes]:
    """The photo as the model sees it and what lies under all of its patches, as PNG files of the model's size."""
    rows, columns = mask_grid(name, digest, _image)
    every = tuple(range(rows * columns))
    whole, filling = (to_png(masked_photo_of(name, digest, fill, gone, _image)) for gone in ((), every))
    return whole, filling


@shared("Asking the model …")
def responses_of(
    question: MaskingQuestion, keeps: np.ndarray, _image: Image.Image, *, on_progress: OnProgress = silent
) -> Responses:
    """What the model says under each of `keeps` (masks, rows, columns)."""
    return masked_responses(**_asking(question, _image), keeps=keeps, on_progress=on_progress)


@shared("Deleting and inserting patches …", comes_with=True)
def faithfulness_of(
    question: MaskingQuestion,
    methods: tuple[str, ...],
    orders: int,
    _image: Image.Image,
    *,
    on_progress: OnProgress = silent,
) -> Faithfulness:
    """Deletion and insertion curves of every explanation, beside random orders."""
    scores = {
        method: explanation_of(question.name, question.digest, method, question.class_index, _image)
        for method in methods
    }
    return faithfulness(
        **_asking(question, _image, background=True),
        scores=scores,
        grid=mask_grid(question.name, question.digest, _image),
        steps=question.steps,
        random_orders=orders,
        on_progress=on_progress,
    )
