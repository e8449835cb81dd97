"""Every kind of transformers ViT keeps the contract, at depth 2 and width 32."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from core.errors import IncompatibleError, MissingWeightsError, OfflineError, ShapeError
from core.models.spec import Network
from core.models.transformers_vit import load_transformers, read_preprocessing

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
LABELS = {"id2label": {0: "cat", 1: "dog", 2: "bird"}, "label2id": {"cat": 0, "dog": 1, "bird": 2}}
WIDE = {"intermediate_size": 64}

# name: (model, tokens before the patches, number of classes)
MODELS = {
    "vit": (lambda: ViTForImageClassification(ViTConfig(**SHAPE, **WIDE, **LABELS)), 1, 3),
    "dino": (lambda: ViTModel(ViTConfig(**SHAPE, **WIDE), add_pooling_layer=False), 1, 0),
    "deit": (lambda: DeiTForImageClassification(DeiTConfig(**SHAPE, **WIDE, **LABELS)), 2, 3),
    "deit_distilled": (lambda: DeiTForImageClassificationWithTeacher(DeiTConfig(**SHAPE, **WIDE, **LABELS)), 2, 3),
    "dinov2": (lambda: Dinov2Model(Dinov2Config(**SHAPE)), 1, 0),
    "dinov2_classifier": (lambda: Dinov2ForImageClassification(Dinov2Config(**SHAPE, **LABELS)), 1, 3),
    "registers": (
        lambda: Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SHAPE, num_register_tokens=4)),
        5,
        0,
    ),
}


def saved(name: str, folder: Path) -> Path:
    torch.manual_seed(0)
    model = MODELS[name][0]()
    for parameter in model.parameters():  # library defaults are so small that every map would be uniform
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Network]:
    return {name: load_transformers(saved(name, tmp_path_factory.mktemp(name))) for name in MODELS}


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", MODELS)
def test_trace_is_complete_and_equals_the_ordinary_pass(networks, images, name):
    network, (_, prefix, classes) = networks[name].module, MODELS[name]
    trace = network.trace(images)
    assert len(trace.attention) == len(trace.tokens) == network.depth == 2
    assert trace.grid == (4, 4)
    assert trace.prefix_tokens == prefix
    assert trace.attention[0].shape == (2, 2, prefix + 16, prefix + 16)
    assert all(torch.allclose(rows.sum(-1), torch.ones(()), atol=1e-5) for rows in trace.attention)
    torch.testing.assert_close(trace.embedding, network.embed(images), atol=1e-4, rtol=1e-4)
    if classes:
        assert trace.logits.shape == (2, classes)
        torch.testing.assert_close(trace.logits, network(images), atol=1e-4, rtol=1e-4)
        assert networks[name].classes == ("cat", "dog", "bird")
    else:
        assert trace.logits is None
        assert networks[name].classes == ()


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_the_attention_of_every_layer(networks, images, name):
    trace = networks[name].module.trace(images)
    score = trace.logits[:, 1] if trace.logits is not None else trace.embedding.norm(dim=1)
    gradients = torch.autograd.grad(score.sum(), trace.attention)
    assert all(gradient.shape == weights.shape for gradient, weights in zip(gradients, trace.attention, strict=True))
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_attention_is_what_mixed_the_values(networks, images):
    """A map that is merely plausible would pass the row sums; changing the values must act through exactly this map."""
    model = networks["vit"].module.model
    layer = model.vit.layers[-1] if hasattr(model.vit, "layers") else model.vit.encoder.layer[-1]
    seen = {}
    handle = layer.attention.o_proj.register_forward_pre_hook(lambda _, inputs: seen.update(mixed=inputs[0]))
    values = layer.attention.v_proj.register_forward_hook(lambda _, __, output: seen.update(values=output))
    try:
        weights = networks["vit"].module.trace(images).attention[-1]
    finally:
        handle.remove()
        values.remove()
    heads = seen["values"].view(2, 17, 2, 16).transpose(1, 2)
    torch.testing.assert_close((weights @ heads).transpose(1, 2).reshape(2, 17, 32), seen["mixed"])


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "flex_attention"])
@pytest.mark.parametrize("name", ["vit", "dinov2"])
def test_maps_do_not_depend_on_how_the_model_was_loaded(networks, images, tmp_path, name, implementation):
    network = load_transformers(saved(name, tmp_path), attn_implementation=implementation).module
    torch.testing.assert_close(
        network.trace(images).attention[1], networks[name].module.trace(images).attention[1], atol=1e-5, rtol=1e-4
    )
    assert network.model.config._attn_implementation == implementation


def test_the_implementation_is_restored_after_a_failed_trace(networks):
    network = networks["vit"].module
    with pytest.raises(ShapeError):
        network.trace(torch.zeros(1, 1, 32, 32))
    assert network.model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["vit", "deit", "dinov2", "registers"])
def test_larger_images_give_a_larger_grid(networks, name):
    trace = networks[name].module.trace(torch.randn(1, 3, 48, 40))
    assert trace.grid == (6, 5)
    assert trace.prefix_tokens == MODELS[name][1]


@pytest.mark.parametrize(("name", "prefix"), [("vit", 1), ("deit_distilled", 2), ("dinov2", 1), ("registers", 1)])
def test_positions(networks, name, prefix):
    table, grid, before = networks[name].module.positions()
    assert table.shape == (prefix + 16, 32)
    assert (grid, before) == ((4, 4), prefix)


def test_batch_equals_single_images(networks, images):
    network = networks["vit"].module
    together = network.trace(images).attention[1]
    torch.testing.assert_close(together[1:], network.trace(images[1:]).attention[1])


def test_a_backbone_refuses_to_classify(networks, images):
    with pytest.raises(IncompatibleError, match="no classification head"):
        networks["dinov2"].module(images)


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def test_a_missing_head_is_not_invented(tmp_path):
    edit_config(saved("dino", tmp_path), architectures=["ViTForImageClassification"])
    with pytest.raises(MissingWeightsError, match="lacks: classifier"):
        load_transformers(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 3}, "lacks"),
        ({"num_hidden_layers": 1}, "beyond its configuration"),
        ({"patch_size": 16}, "another shape"),
    ],
)
def test_weights_of_another_shape_are_refused(tmp_path, changes, message):
    edit_config(saved("vit", tmp_path), **changes)
    with pytest.raises(MissingWeightsError, match=message):
        load_transformers(tmp_path)


def test_folders_that_are_no_model(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"config\.json"):
        load_transformers(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "no_such_thing"}', encoding="utf-8")
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(MissingWeightsError, match="no_such_thing"):
        load_transformers(tmp_path)


class Exploit:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


def test_a_pickle_is_never_run(tmp_path):
    (saved("vit", tmp_path) / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Exploit(tmp_path / "ran")}))
    with pytest.raises(MissingWeightsError):
        load_transformers(tmp_path)
    torch.save({"weight": Exploit(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(MissingWeightsError):
        load_transformers(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_local_bin_of_tensors_is_fine(tmp_path, images):
    network = load_transformers(saved("vit", tmp_path)).module
    torch.save(network.model.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    torch.testing.assert_close(load_transformers(tmp_path).module(images), network(images))


def test_damaged_weights(tmp_path):
    path = saved("vit", tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MissingWeightsError):
        load_transformers(tmp_path)


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"size": 224, "resample": 2}, (224, 1.0, "bilinear")),
        ({"size": {"height": 224, "width": 224}, "resample": 3}, (224, 1.0, "bicubic")),
        (
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True},
            (224, 0.875, "bicubic"),
        ),
        ({"size": 256, "crop_size": 224, "do_center_crop": True}, (224, 0.875, "bicubic")),
        ({"size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": False}, (256, 1.0, "bicubic")),
        ({}, (48, 1.0, "bicubic")),
    ],
)
def test_preprocessing_of_processor_files(tmp_path, processor, expected):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    found = read_preprocessing(tmp_path, {"image_size": 48, "model_type": "dinov2"})
    assert (found.size, found.crop_share, found.resample) == expected


def test_normalisation_of_processor_files(tmp_path):
    assert read_preprocessing(tmp_path, {"model_type": "vit"}).normalisation.mean == (0.5, 0.5, 0.5)
    assert read_preprocessing(tmp_path, {"model_type": "dinov2"}).normalisation.mean[0] == 0.485
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}), encoding="utf-8")
    assert read_preprocessing(tmp_path, {}).normalisation.std == (0.4, 0.5, 0.6)
    path.write_text(json.dumps({"do_normalize": False}), encoding="utf-8")
    assert read_preprocessing(tmp_path, {}).normalisation.std == (1.0, 1.0, 1.0)
    path.write_text(json.dumps({"do_normalize": False, "do_rescale": False}), encoding="utf-8")
    assert read_preprocessing(tmp_path, {}).normalisation.std == (1 / 255, 1 / 255, 1 / 255)
    path.write_text(json.dumps({"size": {"height": 224, "width": 160}}), encoding="utf-8")
    with pytest.raises(IncompatibleError, match="squares"):
        read_preprocessing(tmp_path, {})


def test_offline_is_said_at_once(monkeypatch, tmp_path):
    # A closed port stands in for a missing network, so that this also holds on a machine that has one.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(OfflineError, match="does not answer") as caught:
        load_transformers("facebook/no-such-model-here")
    assert time.monotonic() - started < 30
    assert caught.value.__suppress_context__
