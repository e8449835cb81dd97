"""Models are shared by all sessions: nothing that a page computes runs one without holding its lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Thread
from time import sleep

import numpy as np
import pytest
from PIL import Image

from core.data.condition_sets import made_conditions
from core.data.labelled_pictures import example_pictures
from core.methods.attention.explanations import EXPLANATIONS
from pages.clip import conditions_answers, disagreements_comparison
from pages.embeddings import spaces
from pages.masking import asking
from pages.masking.asking import MaskingQuestion
from pages.precision import precision
from pages.shared import cache, zero_shot
from pages.shared.cache import loaded_model
from pages.shared.pickers import Picture

VIT, CNN, CLIP = "vit_p4", "cnn_small", "clip_small"
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8))
QUESTION = MaskingQuestion(VIT, "noise", 3, "blur", 2)
LABELS = ("cat", "rocket")


def first_look() -> object:
    question = precision.PrecisionRequest(CNN, "noise", 1, ("bf16",), "cpu", ())
    return precision.first_look(question, PHOTO)


def answers_about_pictures() -> object:
    pictures = example_pictures()
    return disagreements_comparison._said(CNN, ("examples",), [each.open for each in pictures.groups["examples"][:2]])


COMPUTATIONS: dict[str, Callable[[], object]] = {
    "maps": lambda: cache.maps_of(VIT, "noise", PHOTO),
    "logits": lambda: cache.logits_of(VIT, "noise", PHOTO),
    "masking": lambda: asking.masking_of(QUESTION, "random", "", 0, PHOTO),
    "masking by attention": lambda: asking.masking_of(QUESTION, "most_attended", "rollout", 0, PHOTO),
    "band": lambda: asking.band_of(QUESTION, 2, PHOTO),
    "responses": lambda: asking.responses_of(QUESTION, np.zeros((1, 8, 8), bool), PHOTO),
    "faithfulness": lambda: asking.faithfulness_of(QUESTION, ("rollout",), 2, PHOTO),
    "image vector": lambda: zero_shot.image_vector(CLIP, "noise", PHOTO),
    "sentences": lambda: zero_shot.sentence_vectors(CLIP, ["a cat", "a rocket"]),
    "class weights": lambda: zero_shot._class_weights(CLIP, LABELS, ("a {}", "the {}")),
    "relevance": lambda: zero_shot.relevance_of(CLIP, "noise", "a cat", (), PHOTO),
    "hiding": lambda: zero_shot.hiding_check(CLIP, "noise", "a cat", (), PHOTO),
    "cuts": lambda: spaces.cuts_of(CNN),
    "first look": first_look,
    "conditions": lambda: conditions_answers._answers(
        CLIP, ("made",), made_conditions(example_pictures(), 1, {"blur": 1.0})
    ),
    "answers about pictures": answers_about_pictures,
    "logits of a set": lambda: precision.logits_of_set(
        CNN, (), "cpu", "fp32", ("noise",), [Picture(key="noise", title="Noise", image=PHOTO, digest="noise")]
    ),
    **{
        f"explanation by {method.name}": lambda method=method, name=CNN if method.needs == "convolution" else VIT: (
            cache.explanation_of(name, "noise", method.name, 3, PHOTO)
        )
        for method in EXPLANATIONS.values()
        if method.needs in ("attention", "convolution", None)
    },
}


@contextmanager
def watched(name: str) -> Iterator[list[bool]]:
    """Whether the lock was held, at every pass through any part of the model."""
    model, held = loaded_model(name), []

    def note(*_: object) -> None:
        held.append(model.lock._is_owned())  # type: ignore[attr-defined]

    hooks = [part.register_forward_pre_hook(note) for part in model.module.modules()]
    try:
        yield held
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_the_lock_is_held_while_a_model_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stores: dict[str, object] = {}
    monkeypatch.setattr("pages.shared.results._stores", lambda: stores)
    zero_shot._sentences.clear()
    with ExitStack() as stack:
        held = [stack.enter_context(watched(each)) for each in (VIT, CNN, CLIP)]
        COMPUTATIONS[name]()
    passes = [owned for each in held for owned in each]
    assert passes, "no model was asked: this test sees nothing"
    assert all(passes)


def test_a_pass_without_the_lock_would_be_seen() -> None:
    with watched(CNN) as held:
        model = loaded_model(CNN)
        model.module(cache.to_batch([PHOTO], model.network.preprocessing))
        with cache.in_use(CNN):
            model.module(cache.to_batch([PHOTO], model.network.preprocessing))
    assert held == [False] * (len(held) // 2) + [True] * (len(held) // 2)


def test_whoever_waits_for_a_first_picture_goes_before_work_in_the_background() -> None:
    entered: list[str] = []

    def use(who: str, background: bool) -> None:
        with cache.in_use(CNN, background=background):
            entered.append(who)

    with cache.in_use(CNN):
        threads = [Thread(target=use, args=each) for each in (("curve", False), ("random orders", True))]
        threads[0].start()
        while not cache._waiting[CNN]:
            sleep(0.001)
        threads[1].start()
        sleep(0.05)  # it would be waiting for the lock by now, were it not for the other
        assert cache._waiting[CNN] == 1
    for thread in threads:
        thread.join(60)
    assert entered == ["curve", "random orders"]
    assert cache._waiting[CNN] == 0
