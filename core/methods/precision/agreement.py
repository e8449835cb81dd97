"""Whether two number formats give the same answers: probabilities compared image by image, and why they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import ShapeError
from core.finite import require_finite
from core.methods.accuracy.predictions import class_name
from core.methods.precision.precision import NumberFormat

TOP = 5


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The same images through the same network in two formats; everything from float64 softmaxes of the logits.

    Attributes:
        reference, reduced: (images, classes) probabilities.
        max_difference: (images,) largest |Δp| over the classes.
        kl: (images,) KL(reference ‖ reduced) in nats.
        total_variation: (images,) half the sum of |Δp|.
        same_answer: (images,) bool, whether the likeliest class is the same.
        top_overlap: (images,) share of the `TOP` likeliest classes that both have, order aside.
        margin: (images,) reference logit of the best class minus that of the second best.
        shift: (images,) how much the reduced format changed that difference, negative where it shrank.
        logit_error: (images,) largest |Δ logit|.
        finite: (images,) bool; False where the reduced logits are no numbers, and then nothing agrees.
    """

    reference: np.ndarray
    reduced: np.ndarray
    max_difference: np.ndarray
    kl: np.ndarray
    total_variation: np.ndarray
    same_answer: np.ndarray
    top_overlap: np.ndarray
    margin: np.ndarray
    shift: np.ndarray
    logit_error: np.ndarray
    finite: np.ndarray

    def __len__(self) -> int:
        return len(self.reference)

    @property
    def flips(self) -> np.ndarray:
        """Indices of the images whose answer changed."""
        return np.flatnonzero(~self.same_answer)

    def largest(self, count: int) -> np.ndarray:
        """Indices of the images to look at: changed answers first, then the largest |Δp|."""
        return np.lexsort((-self.max_difference, self.same_answer))[:count]


def agreement(reference: np.ndarray, reduced: np.ndarray) -> Agreement:
    """Compare logits (images, classes) of two formats.

    Raises:
        ShapeError: they are not of the same images and classes, or there are fewer than two classes.
        NotFiniteError: the reference itself holds values that are no numbers; those of the reduced are the finding.
    """
    if reference.shape != reduced.shape or reference.ndim != 2 or reference.shape[1] < 2:
        raise ShapeError(f"Got logits {reference.shape} and {reduced.shape}; expected the same (images, classes).")
    require_finite("The fp32 logits", reference, "Check the model's weights.")
    reference, reduced = reference.astype(np.float64), reduced.astype(np.float64)
    finite = np.isfinite(reduced).all(axis=1)
    usable = np.where(finite[:, None], reduced, 0.0)
    first, second = _log_softmax(reference), _log_softmax(usable)
    p, q = np.exp(first), np.exp(second)
    order = np.argsort(-reference, axis=1, kind="stable")
    other = np.argsort(-usable, axis=1, kind="stable")
    rows = np.arange(len(reference))
    best, runner_up = order[:, 0], order[:, 1]
    margin = reference[rows, best] - reference[rows, runner_up]
    top = min(TOP, reference.shape[1])
    overlap = [len(set(one) & set(two)) / top for one, two in zip(order[:, :top], other[:, :top], strict=True)]
    difference = np.abs(p - q)

    def known(values: np.ndarray) -> np.ndarray:
        return np.where(finite, values, np.nan).astype(np.float32)

    return Agreement(
        reference=p.astype(np.float32),
        reduced=np.where(finite[:, None], q, np.nan).astype(np.float32),
        max_difference=np.where(finite, difference.max(axis=1), 1.0).astype(np.float32),
        kl=known(np.maximum((p * (first - second)).sum(axis=1), 0.0)),
        total_variation=known(difference.sum(axis=1) / 2),
        same_answer=(best == other[:, 0]) & finite,
        top_overlap=np.where(finite, overlap, 0.0).astype(np.float32),
        margin=margin.astype(np.float32),
        shift=known(usable[rows, best] - usable[rows, runner_up] - margin),
        logit_error=known(np.abs(reference - usable).max(axis=1)),
        finite=finite,
    )


@dataclass(frozen=True, kw_only=True)
class ClassChange:
    """One class of one image in both formats.

    Attributes:
        before, after: its probability; `after` is NaN where the reduced format gave no numbers.
        behind: how far its fp32 logit lies behind the best one's; 0 for the best.
        moved: by how much the reduced format changed that distance.
    """

    class_index: int
    before: float
    after: float
    behind: float
    moved: float


def class_changes(result: Agreement, image: int, count: int = 3) -> tuple[ClassChange, ...]:
    """The likeliest classes of an image in fp32, best first: which logits were close, and what rounding did to them."""
    # Probabilities know logits up to a constant, which a distance does not have; one of 0 is as far as can be told.
    tiny = np.finfo(np.float32).tiny
    p, q = (np.log(np.maximum(each[image].astype(np.float64), tiny)) for each in (result.reference, result.reduced))
    order = np.argsort(-result.reference[image], kind="stable")[:count]
    best = order[0]
    return tuple(
        ClassChange(
            class_index=int(each),
            before=float(result.reference[image, each]),
            after=float(result.reduced[image, each]),
            behind=float(p[best] - p[each]),
            moved=float((q[best] - q[each]) - (p[best] - p[each])),
        )
        for each in order
    )


def reason(result: Agreement, image: int, number_format: NumberFormat, classes: Sequence[str] = ()) -> str:
    """Why this image's probabilities differ as much as they do, in words computed from its numbers."""
    if not result.finite[image]:
        return (
            f"{number_format.title} left the range of its numbers: its largest is {number_format.largest:,.0f}, and "
            "something in the network grew beyond. There is no answer."
        )
    p, q = result.reference[image], result.reduced[image]
    order = np.argsort(-p, kind="stable")
    best, second = (class_name(classes, int(index)) for index in order[:2])
    margin, shift = float(result.margin[image]), float(result.shift[image])
    moved = f"{number_format.title} moved that difference by {abs(shift):.2g}"
    apart = f"In fp32 the logits of {best} and {second} are {margin:.2g} apart"
    if not result.same_answer[image]:
        now = class_name(classes, int(np.argmax(q)))
        if int(np.argmax(q)) == int(order[1]):
            return f"{apart}, and {moved}, which is more: the answer turns to {now}. The model had hardly decided."
        return f"{apart}; three classes are so close that rounding decides, and the answer turns to {now}."
    if shift == 0 and result.max_difference[image] == 0:
        return "Not a bit of difference."
    steep = ""
    if 0.2 < float(p[order[0]]) < 0.8:
        steep = f" At {p[order[0]]:.0%} a probability follows its logit most closely, so the change shows."
    times = margin / abs(shift) if shift else np.inf
    if times < 1.5:
        return f"{apart}, and {moved}: nearly enough to turn the answer.{steep}"
    safety = f"{times:,.0f} times too little" if times < 1e4 else "far too little"
    return f"{apart}; {moved}, {safety} to turn the answer.{steep}"


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
