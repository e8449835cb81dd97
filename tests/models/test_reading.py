"""What a head reads is found out: class token, mean, several tokens with their weights, or a mix for each picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from transformers import (
    BeitConfig,
    BeitForImageClassification,
    Data2VecVisionConfig,
    Data2VecVisionForImageClassification,
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersForImageClassification,
    IJepaConfig,
    IJepaForImageClassification,
    IJepaModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    ViTConfig,
    ViTForImageClassification,
)

from core.methods.accuracy.targets import Target
from core.methods.attention.attention import attention_maps, readout_maps
from core.methods.attention.explanations import find_explanation
from core.methods.attention.relevance import gradient_relevance
from core.methods.attention.rollout import attention_rollout, rollout_batch
from core.models.timm_folder import load_timm
from core.models.trace import Mixture, reader_name, readout
from core.models.transformers_clip import TransformersClip
from core.models.transformers_vit import load_transformers
from core.models.weights import load
from tests.clip_toy import save_tiny_transformers_clip

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
LABELS = {"id2label": {0: "cat", 1: "dog", 2: "bird"}, "label2id": {"cat": 0, "dog": 1, "bird": 2}}
WIDE = {"intermediate_size": 64}
TIMM = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
EVEN = 1 / 16  # a 4 × 4 grid
HALF_EACH = "the class token and the {}, half each"

# name: (model, weights of the tokens before the patches, weight of each patch, in words)
TRANSFORMERS: dict[str, tuple[Any, list[float], float, str]] = {
    "vit": (lambda: ViTForImageClassification(ViTConfig(**SHAPE, **WIDE, **LABELS)), [1], 0, "the class token"),
    "deit": (lambda: DeiTForImageClassification(DeiTConfig(**SHAPE, **WIDE, **LABELS)), [1, 0], 0, "the class token"),
    "deit_distilled": (
        lambda: DeiTForImageClassificationWithTeacher(DeiTConfig(**SHAPE, **WIDE, **LABELS)),
        [0.5, 0.5], 0, HALF_EACH.format("distillation token"),
    ),
    "dinov2": (lambda: Dinov2Model(Dinov2Config(**SHAPE)), [1], 0, "the class token"),
    "dinov2_classifier": (
        lambda: Dinov2ForImageClassification(Dinov2Config(**SHAPE, **LABELS)),
        [0.5], EVEN / 2, HALF_EACH.format("mean of all patches"),
    ),
    "registers_classifier": (
        lambda: Dinov2WithRegistersForImageClassification(
            Dinov2WithRegistersConfig(**SHAPE, **LABELS, num_register_tokens=3)
        ),
        [0.5, 0, 0, 0], EVEN / 2, HALF_EACH.format("mean of all patches"),
    ),
    "beit": (
        lambda: BeitForImageClassification(BeitConfig(**SHAPE, **WIDE, **LABELS, use_mean_pooling=True)),
        [0], EVEN, "the mean of all patches",
    ),
    "beit_class_token": (
        lambda: BeitForImageClassification(BeitConfig(**SHAPE, **WIDE, **LABELS, use_mean_pooling=False)),
        [1], 0, "the class token",
    ),
    "data2vec": (
        lambda: Data2VecVisionForImageClassification(Data2VecVisionConfig(**SHAPE, **WIDE, **LABELS)),
        [0], EVEN, "the mean of all patches",
    ),
    "ijepa": (
        lambda: IJepaModel(IJepaConfig(**SHAPE, **WIDE), add_pooling_layer=False), [], EVEN, "the mean of all patches",
    ),
    "ijepa_classifier": (
        lambda: IJepaForImageClassification(IJepaConfig(**SHAPE, **WIDE, **LABELS)),
        [], EVEN, "the mean of all patches",
    ),
}  # fmt: skip
# name: (architecture, arguments, weights before the patches, weight of each patch, in words)
TIMM_MODELS: dict[str, tuple[str, dict[str, Any], list[float], float, str]] = {
    "token": ("vit_tiny_patch16_224", {}, [1], 0, "the class token"),
    "mean": (
        "vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}, [], EVEN, "the mean of all patches",
    ),
    "mean_beside_class_token": (
        "vit_tiny_patch16_224", {"global_pool": "avg"}, [0], EVEN, "the mean of all patches",
    ),
    "mean_of_all": (
        "vit_tiny_patch16_224", {"global_pool": "avg", "pool_include_prefix": True}, [1 / 17], 1 / 17,
        "the mean of all tokens, the class token among them",
    ),
    "registers": ("vit_tiny_patch16_224", {"reg_tokens": 2}, [1, 0, 0], 0, "the class token"),
    "distilled": (
        "deit_tiny_distilled_patch16_224", {}, [0.5, 0.5], 0, HALF_EACH.format("distillation token"),
    ),
}  # fmt: skip
DEPENDS: dict[str, dict[str, Any]] = {
    "map": {"class_token": False, "global_pool": "map"},
    "max": {"global_pool": "max"},
    "avgmax": {"global_pool": "avgmax"},
}


def shaken(model: Any) -> Any:
    """Weights large enough that maps are not uniform and heads are unlike each other."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2, generator=generator)
    return model


def transformers_module(name: str, folder: Path) -> Any:
    shaken(TRANSFORMERS[name][0]()).save_pretrained(folder)
    return load_transformers(folder).module


def timm_module(architecture: str, arguments: dict[str, Any], folder: Path) -> Any:
    arguments = {**TIMM, **arguments}
    model = shaken(timm.create_model(architecture, pretrained=False, num_classes=3, **arguments))
    save_file(model.state_dict(), folder / "model.safetensors")
    settings = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9}
    content = {"architecture": architecture, "num_classes": 3, "model_args": arguments, "pretrained_cfg": settings}
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return load_timm(folder).module


def build(name: str, folder: Path) -> tuple[Any, np.ndarray, str]:
    kind, _, name = name.partition("/")
    if kind == "transformers":
        _, before, each, words = TRANSFORMERS[name]
        return transformers_module(name, folder), np.array(before + [each] * 16), words
    architecture, arguments, before, each, words = TIMM_MODELS[name]
    return timm_module(architecture, arguments, folder), np.array(before + [each] * 16), words


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def rows_of(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.einsum("n,...nm->...m", weights, matrix)


# What attention it takes is chosen when it is built, and here it is the eager one.
EAGER = ("data2vec",)
NAMES = [*(f"transformers/{name}" for name in TRANSFORMERS), *(f"timm/{name}" for name in TIMM_MODELS)]


@pytest.mark.parametrize("name", NAMES)
def test_every_map_follows_what_the_head_reads(name: str, tmp_path: Path, image: torch.Tensor) -> None:
    module, weights, words = build(name, tmp_path)
    maps = attention_maps(module, image)
    prefix = maps.prefix_tokens
    assert reader_name(maps.pooling) == words
    assert prefix == len(weights) - 16
    np.testing.assert_allclose(readout(np.eye(len(weights)), maps.pooling, prefix), weights, atol=1e-5)
    expected = rows_of(maps.weights, weights)[..., prefix:].reshape(2, 2, 4, 4)
    np.testing.assert_allclose(readout_maps(maps), expected, atol=1e-5)
    rolled = rows_of(attention_rollout(maps.weights, prefix_tokens=prefix)[-1], weights)[prefix:].reshape(4, 4)
    np.testing.assert_allclose(find_explanation("rollout").explain(module, image, Target(0)), rolled, atol=1e-5)
    np.testing.assert_allclose(rollout_batch(module, image.repeat(3, 1, 1, 1))[1], rolled, atol=1e-5)
    if name.rpartition("/")[2] not in EAGER:  # the values went through the fused kernel, in one pass
        trace, module.trace = module.trace, None
        assert all(each.shape[1] == 1 for each in module.trace_mean(image).attention)
        module.trace = trace
    target = Target(0) if maps.logits is not None else Target(reference=module.embed(image)[0])
    assert gradient_relevance(module, image, target).shape == (2, 4, 4)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("transformers/dinov2", "transformers/ijepa")])
def test_the_logits_depend_on_just_the_tokens_that_are_named(name: str, tmp_path: Path, image: torch.Tensor) -> None:
    """Without any gradient: a token that is changed after the last block changes the logits if it is read."""
    module, weights, _ = build(name, tmp_path)
    network = module.model
    last = next(
        block
        for path, block in network.named_modules()
        if path.rsplit(".", 1)[-1] == "1" and path.count(".") <= 3 and len(list(block.children())) > 3
    )
    changed = -1

    def change(_module: Any, _inputs: Any, output: Any) -> Any:
        tokens = (output[0] if isinstance(output, tuple) else output).clone()
        if changed >= 0:
            tokens[:, changed] = torch.linspace(-1, 1, tokens.shape[-1]) ** 3 * 7
        return (tokens, *output[1:]) if isinstance(output, tuple) else tokens

    last.register_forward_hook(change)
    with torch.no_grad():
        before = module(image)
        for changed in range(len(weights)):
            moved = float((module(image) - before).abs().max()) > 1e-6
            assert moved == (weights[changed] > 0), changed


@pytest.mark.parametrize("pool", DEPENDS)
def test_heads_that_read_every_picture_differently_say_so(pool: str, tmp_path: Path) -> None:
    module = timm_module("vit_tiny_patch16_224", DEPENDS[pool], tmp_path)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    trace = module.trace(images)
    reading, prefix = trace.pooling, trace.prefix_tokens
    assert isinstance(reading, Mixture)
    assert not reading.fixed
    by = "attention pooling makes" if pool == "map" else "the head makes of this picture"
    assert reader_name(reading) == f"the mix of tokens that {by}"
    assert reading.weights.shape == (2, prefix + 16)
    torch.testing.assert_close(reading.weights.sum(1), torch.ones(2))
    assert not torch.allclose(reading.weights[0], reading.weights[1], atol=1e-3)
    if pool == "max":
        winners = trace.tokens[-1][:, prefix:].argmax(dim=1)  # (2, dim): each dimension is read from one patch
        for row, found in zip(winners, reading.weights, strict=True):
            assert torch.equal(found[prefix:] > 0, torch.bincount(row, minlength=16) > 0)
            assert (found[:prefix] == 0).all()
    together = rollout_batch(module, images)
    for index in range(2):
        alone = find_explanation("rollout").explain(module, images[index : index + 1], Target(0))
        np.testing.assert_allclose(together[index], alone, atol=1e-5)


def test_the_weights_of_timms_attention_pooling_are_those_it_pools_with(tmp_path: Path, image: torch.Tensor) -> None:
    module = timm_module("vit_tiny_patch16_224", DEPENDS["map"], tmp_path)
    trace, pool = module.trace(image), module.model.attn_pool
    with torch.no_grad():
        features = module.model.forward_features(image)
        query = pool.q(pool.latent).reshape(pool.num_heads, pool.head_dim)
        keys = pool.kv(features)[0, :, : pool.num_heads * pool.head_dim].reshape(16, pool.num_heads, pool.head_dim)
        logits = torch.einsum("hd,nhd->hn", query, keys) / pool.head_dim**0.5
    torch.testing.assert_close(trace.pooling.weights[0], logits.softmax(-1).mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("library", ["vision", "pair"])
def test_siglip_reads_what_its_pooling_attends_to(library: str, tmp_path: Path, image: torch.Tensor) -> None:
    if library == "vision":
        shaken(SiglipVisionModel(SiglipVisionConfig(**SHAPE, **WIDE))).save_pretrained(tmp_path)
        module: Any = load_transformers(tmp_path).module
        vision = module.model
    else:
        (tmp_path / "clip").mkdir()
        module = load(f"folder:{save_tiny_transformers_clip(tmp_path / 'clip', sigmoid=True)}").module
        assert isinstance(module, TransformersClip)
        vision = module.model.vision_model
    trace = module.trace(image)
    with torch.no_grad():
        output = vision(pixel_values=image)
        weights = vision.head.attention(vision.head.probe, output.last_hidden_state, output.last_hidden_state)[1]
    torch.testing.assert_close(trace.pooling.weights, weights[:, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(trace.embedding, output.pooler_output, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(module.embed(image), output.pooler_output, atol=1e-4, rtol=1e-4)
    assert not trace.pooling.fixed
    maps = attention_maps(module, image)
    expected = rows_of(maps.weights, weights[0, 0].numpy()).reshape(2, 2, 4, 4)
    np.testing.assert_allclose(readout_maps(maps), expected, atol=1e-5)


def test_another_image_size_is_asked_again(tmp_path: Path) -> None:
    module = transformers_module("dinov2_classifier", tmp_path)
    with torch.inference_mode():
        small = module.trace(torch.randn(1, 3, 32, 32)).pooling
        large = module.trace(torch.randn(1, 3, 48, 40)).pooling
    assert small.weights.shape == (1, 17)
    assert large.weights.shape == (1, 31)
    torch.testing.assert_close(large.weights[0, 1:], torch.full((30,), 0.5 / 30))
    assert all(parameter.grad is None for parameter in module.parameters())
