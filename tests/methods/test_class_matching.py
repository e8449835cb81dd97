"""A classifier's outputs mean a data set's classes by name or by WordNet; what means none of them is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from core.data.transforms import HALF_NORMALISATION, Preprocessing
from core.data.wordnet import CUE_CONFLICT, imagenet_below
from core.errors import IncompatibleError
from core.methods.accuracy.class_matching import class_scorer, match_classes
from core.models.catalogue import find_model
from core.models.imagenet import imagenet_classes
from core.models.spec import LoadedModel, Network

CLASSES = ("night_sky", "Red thing", "sea")


class Fixed(nn.Module):
    """The same logits for every image."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1)


def model(classes: tuple[str, ...], logits: list[float] | None = None) -> LoadedModel:
    network = SimpleNamespace(
        module=Fixed(logits or [0.0] * len(classes)),
        classes=classes,
        preprocessing=Preprocessing(size=4, normalisation=HALF_NORMALISATION),
    )
    return LoadedModel(spec=find_model("cnn_small"), network=cast(Network, network))


def test_outputs_are_matched_by_name_not_by_place() -> None:
    assert match_classes(model(("red  Thing", "Sea", "night sky")), CLASSES) == ((2,), (0,), (1,))


def test_a_part_of_what_it_knows_is_answered_among_that_part() -> None:
    known = model(("red thing", "sea", "night sky"), [1.0, 0.0, 9.0])
    scores = class_scorer(known, ("sea", "red thing"), (), "{}")(torch.zeros(2, 3, 4, 4))
    assert scores.shape == (2, 2)
    assert scores.argmax(axis=1).tolist() == [1, 1]


def test_classes_that_it_does_not_know_are_refused_by_their_number_and_name() -> None:
    for classes, words in (
        ((*CLASSES, "dog"), r"1 of the 4 .*\(dog\)"),
        (tuple("abcd"), r"4 of the 4 .*\(a, b, c, …\)"),
    ):
        with pytest.raises(IncompatibleError, match=f"knows 3 classes .*{words}"):
            match_classes(model(("red thing", "sea", "night sky")), classes)


def test_imagenet_means_the_sixteen_categories_by_their_kinds() -> None:
    groups = match_classes(model(imagenet_classes()), tuple(CUE_CONFLICT))
    assert groups is not None
    named = dict(zip(CUE_CONFLICT, groups, strict=True))
    # Geirhos et al. 2019 list the same classes for these.
    assert named["airplane"] == (404,)
    assert named["bear"] == (294, 295, 296, 297)
    assert named["bottle"] == (440, 720, 737, 898, 899, 901, 907)
    assert named["truck"] == (555, 569, 656, 675, 717, 734, 864, 867)
    assert len(named["dog"]) == len(imagenet_below("n02084071")) == 118


def test_imagenet_means_ids_and_lacks_a_deer() -> None:
    assert match_classes(model(imagenet_classes()), ("n02123045", "n01443537")) == ((281,), (1,))
    with pytest.raises(IncompatibleError, match=r"1 of the 2 .*\(deer\)"):
        match_classes(model(imagenet_classes()), ("frog", "deer"))


def test_a_category_is_the_mean_of_its_classes_and_neither_their_sum_nor_their_largest() -> None:
    # One elephant of probability p against 118 dogs that have 1.5 p together: sum and mean disagree.
    logits = np.full(1000, -50.0)
    logits[list(imagenet_below(CUE_CONFLICT["dog"]))] = np.log(1.5 / 118)
    logits[385] = 0.0
    scores = class_scorer(model(imagenet_classes(), logits.tolist()), ("dog", "elephant"), (), "{}")(
        torch.zeros(1, 3, 4, 4)
    )
    assert scores[0] == pytest.approx([1.5 / 118 / 2.5, 1 / 2 / 2.5], rel=1e-4)
    # Two clocks of three of .2 each beside one knife of two of .3: largest and mean disagree.
    logits = np.full(1000, -50.0)
    logits[[409, 530, 892, 499]] = np.log([0.2, 0.2, 0.2, 0.3])
    scores = class_scorer(model(imagenet_classes(), logits.tolist()), ("clock", "knife"), (), "{}")(
        torch.zeros(1, 3, 4, 4)
    )
    assert scores.argmax() == 0
