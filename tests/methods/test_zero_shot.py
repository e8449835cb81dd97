"""Our zero-shot classifier is open_clip's, whatever the batch size, the order of labels and what is in a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.data.prompts import EIGHTY_TEMPLATES, SEVEN_TEMPLATES, prompts_for
from core.errors import ConfigError
from core.methods.clip.zero_shot import (
    Scale,
    class_weights,
    embed_images,
    embed_texts,
    probabilities,
    similarity_matrix,
    template_scores,
    text_classifier,
    unit,
    zero_shot_scores,
)
from core.models.weights import load
from tests.clip_toy import save_tiny_clip
from tests.examples import examples

LABELS = ["cat", "dog", "red car", "truck", "blue ship", "frog", "horse", "deer", "plane", "bird", "drawing", "it"]
SIGMOID = ("softmax", "sigmoid")


@pytest.fixture(scope="module", params=SIGMOID)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip") / request.param, sigmoid=request.param == "sigmoid")


@pytest.fixture(scope="module")
def module(folder: Path) -> Any:
    return load(f"folder:{folder}").module


@pytest.fixture(scope="module")
def images(module: Any) -> np.ndarray:
    pixels = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return embed_images(module, pixels)


@pytest.mark.parametrize("templates", [("{}",), SEVEN_TEMPLATES, EIGHTY_TEMPLATES], ids=["plain", "seven", "eighty"])
def test_weights_and_logits_are_those_of_open_clip(folder: Path, module: Any, templates: tuple[str, ...]) -> None:
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    theirs = open_clip.build_zero_shot_classifier(model, tokenizer, LABELS, templates)
    ours = text_classifier(module, LABELS, templates)
    np.testing.assert_allclose(ours, theirs.T.numpy(), atol=1e-5)
    pixels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        features = model.encode_image(pixels, normalize=True)
        logits = model.logit_scale.exp() * features @ theirs
        if model.logit_bias is not None:
            logits = logits + model.logit_bias
    found = zero_shot_scores(embed_images(module, pixels), ours, LABELS, Scale.of(module))
    np.testing.assert_allclose(found.logits, logits.numpy(), atol=1e-5 * float(model.logit_scale.detach().exp()))
    shares = logits.softmax(dim=1) if model.logit_bias is None else logits.sigmoid()
    np.testing.assert_allclose(found.probabilities, shares.numpy(), atol=1e-4)


def test_sentences_are_brought_to_one_length_before_their_mean() -> None:
    """The oracle: (3, 0) and (0, 1) lie at right angles, so their class lies between them."""
    weights = class_weights(np.array([[[3.0, 0.0], [0.0, 1.0]]]))
    np.testing.assert_allclose(weights, [[0.70710678, 0.70710678]])
    skipped = unit(np.array([[3.0, 0.0], [0.0, 1.0]]).mean(axis=0))
    np.testing.assert_allclose(skipped, [0.9487, 0.3162], atol=1e-4)


def test_the_scale_changes_probabilities_and_never_the_order() -> None:
    image, weights = np.array([[1.0, 0.0]]), np.array([[c, np.sqrt(1 - c * c)] for c in (0.30, 0.28, 0.25)])
    for scale, expected in ((1, (0.341, 0.334, 0.324)), (100, (0.876, 0.119, 0.006))):
        found = zero_shot_scores(image, weights, "abc", Scale(scale=scale, bias=0, kind="softmax"))
        np.testing.assert_allclose(found.probabilities[0], expected, atol=1e-3)
        assert found.order().tolist() == [0, 1, 2]


def test_a_sigmoid_model_may_accept_every_label_or_none() -> None:
    logits = np.array([[3.0, 4.0, 5.0], [-800.0, 800.0, 0.0]])
    found = probabilities(logits, "sigmoid")
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-np.clip(logits, -80, 80))), atol=1e-6)
    assert found[0].sum() > 2.5
    np.testing.assert_allclose(probabilities(logits, "softmax").sum(axis=1), 1, rtol=1e-6)


@examples(15)
@given(
    order=st.permutations(range(len(LABELS))),
    count=st.integers(1, len(LABELS)),
    batch=st.integers(1, 40),
    templates=st.lists(st.sampled_from(SEVEN_TEMPLATES), min_size=1, max_size=4, unique=True),
)
def test_order_company_and_batch_size_change_nothing(
    module: Any, images: np.ndarray, order: list[int], count: int, batch: int, templates: list[str]
) -> None:
    chosen = [LABELS[index] for index in order[:count]]
    everything = text_classifier(module, LABELS, templates)
    some = text_classifier(module, chosen, templates, batch_size=batch)
    np.testing.assert_allclose(some, everything[order[:count]], atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(some, axis=1), 1, rtol=1e-6)
    scaling = Scale.of(module)
    whole = zero_shot_scores(images, everything, LABELS, scaling)
    part = zero_shot_scores(images, some, chosen, scaling)
    np.testing.assert_allclose(part.logits, whole.logits[:, order[:count]], atol=1e-4)
    shuffled = zero_shot_scores(images, everything[order], [LABELS[index] for index in order], scaling)
    np.testing.assert_allclose(shuffled.probabilities, whole.probabilities[:, order], atol=1e-6)


@examples(10)
@given(st.lists(st.sampled_from(LABELS), min_size=1, max_size=20), st.integers(1, 7))
def test_a_sentence_that_occurs_again_is_the_same_and_computed_once(module: Any, texts: list[str], batch: int) -> None:
    calls: list[int] = []
    embed = module.embed_tokens
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "embed_tokens", lambda ids: calls.append(len(ids)) or embed(ids))
        found = embed_texts(module, texts, batch_size=batch)
    assert sum(calls) == len(set(texts))
    assert max(calls) <= batch
    np.testing.assert_allclose(found, embed_texts(module, texts), atol=1e-5)


def test_threads_change_nothing(module: Any) -> None:
    texts = prompts_for(LABELS, SEVEN_TEMPLATES)
    alone = embed_texts(module, texts, batch_size=5)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        np.testing.assert_allclose(embed_texts(module, texts, batch_size=5), alone, atol=1e-5)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(alone, module.embed_texts(texts).detach().numpy(), atol=1e-5)


def test_images_in_batches_are_images_alone(module: Any) -> None:
    pixels = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    alone = np.concatenate([embed_images(module, pixels[index : index + 1]) for index in range(6)])
    np.testing.assert_allclose(embed_images(module, pixels), alone, atol=1e-4)


def test_every_template_alone_is_a_classifier_of_one_template(module: Any, images: np.ndarray) -> None:
    scaling = Scale.of(module)
    embedded = embed_texts(module, prompts_for(LABELS, SEVEN_TEMPLATES)).reshape(len(LABELS), len(SEVEN_TEMPLATES), -1)
    cosines, shares = template_scores(images[2], embedded, scaling)
    assert cosines.shape == (7, len(LABELS))
    for row, template in enumerate(SEVEN_TEMPLATES):
        alone = zero_shot_scores(images[2:3], text_classifier(module, LABELS, [template]), LABELS, scaling)
        np.testing.assert_allclose(cosines[row], alone.cosines[0], atol=1e-5)
        np.testing.assert_allclose(shares[row], alone.probabilities[0], atol=1e-4)


def test_similarities_are_cosines(images: np.ndarray) -> None:
    found = similarity_matrix(images, 3 * images)
    np.testing.assert_allclose(np.diag(found), 1, rtol=1e-5)
    np.testing.assert_allclose(found, found.T, atol=1e-6)


def test_nothing_to_compare_is_a_sentence_and_progress_reaches_the_end(module: Any) -> None:
    with pytest.raises(ConfigError, match="0 labels"):
        text_classifier(module, [], ["{}"])
    with pytest.raises(ConfigError, match="0 templates"):
        text_classifier(module, ["cat"], [])
    seen: list[float] = []
    text_classifier(module, LABELS, EIGHTY_TEMPLATES, on_progress=lambda share, text: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == 1
