"""Vision models of transformers of every build: classes and embeddings are the library's, attention where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as T

from core.errors import CoreError, IncompatibleError
from core.methods.anatomy.anatomy import anatomy
from core.methods.embeddings.features import feature_poolings, pool_last
from core.methods.embeddings.layer_features import find_readouts
from core.models.transformers_vision import TransformersVision, TransformersViT
from core.models.transformers_vit import load_transformers
from core.models.weights import load

DEEP = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = {**DEEP, "intermediate_size": 64}
VIT = {**WIDE, "image_size": 64, "patch_size": 16}
TEXT = {
    **WIDE,
    "vocab_size": 99,
    "max_position_embeddings": 16,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
STAGES = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
HEADS = {"num_attention_heads": [1, 1, 2, 2]}
THREE = {"num_labels": 3}

Make = Callable[[], Any]
# What has a token for each patch. name: (model, tokens before the patches, whether the first stands for the image).
TRANSFORMERS: dict[str, tuple[Make, int, bool]] = {
    "siglip_tower": (lambda: T.SiglipVisionModel(T.SiglipVisionConfig(**VIT)), 0, False),
    "siglip_classifier": (
        lambda: T.SiglipForImageClassification(T.SiglipConfig(vision_config=VIT, text_config=TEXT, **THREE)), 0, False,
    ),
    "clip_tower": (lambda: T.CLIPVisionModel(T.CLIPVisionConfig(**VIT)), 1, True),
    "clip_projected": (
        lambda: T.CLIPVisionModelWithProjection(T.CLIPVisionConfig(**VIT, projection_dim=24)), 1, True,
    ),
    "clip_classifier": (
        lambda: T.CLIPForImageClassification(T.CLIPConfig(vision_config=VIT, text_config=TEXT, **THREE)), 1, True,
    ),
    "altclip_tower": (lambda: T.AltCLIPVisionModel(T.AltCLIPVisionConfig(**VIT)), 1, True),
    "blip_tower": (lambda: T.BlipVisionModel(T.BlipVisionConfig(**VIT)), 1, True),
    "aimv2_tower": (lambda: T.Aimv2VisionModel(T.Aimv2VisionConfig(**VIT)), 0, False),
    "dinov3": (lambda: T.DINOv3ViTModel(T.DINOv3ViTConfig(**VIT, num_register_tokens=4)), 5, True),
    "ijepa_pooler": (lambda: T.IJepaModel(T.IJepaConfig(**VIT), add_pooling_layer=True), 0, False),
    "beit_mean": (lambda: T.BeitModel(T.BeitConfig(**VIT)), 1, True),
    "beit_class_token": (lambda: T.BeitModel(T.BeitConfig(**VIT, use_mean_pooling=False)), 1, True),
    "beit_relative": (
        lambda: T.BeitForImageClassification(T.BeitConfig(**VIT, **THREE, use_relative_position_bias=True)), 1, True,
    ),
    "data2vec_shared": (
        lambda: T.Data2VecVisionForImageClassification(
            T.Data2VecVisionConfig(**VIT, **THREE, use_shared_relative_position_bias=True)
        ), 1, True,
    ),
    "mae": (lambda: T.ViTMAEModel(T.ViTMAEConfig(**VIT)), 1, True),
    "masked_vit": (lambda: T.ViTForMaskedImageModeling(T.ViTConfig(**VIT, encoder_stride=16)), 1, True),
    "masked_beit": (
        lambda: T.BeitForMaskedImageModeling(T.BeitConfig(**VIT, use_mean_pooling=True, use_mask_token=True)), 1, True,
    ),
    "msn": (lambda: T.ViTMSNForImageClassification(T.ViTMSNConfig(**VIT, **THREE)), 1, True),
}  # fmt: skip
# What has none, or attends within windows and stages: (model, whether it has maps for Grad-CAM).
OTHERS: dict[str, tuple[Make, bool]] = {
    "convnext": (lambda: T.ConvNextForImageClassification(T.ConvNextConfig(**STAGES, **THREE)), True),
    "convnextv2": (lambda: T.ConvNextV2ForImageClassification(T.ConvNextV2Config(**STAGES, **THREE)), True),
    "resnet": (
        lambda: T.ResNetForImageClassification(T.ResNetConfig(**STAGES, **THREE, embedding_size=8, layer_type="basic")),
        True,
    ),
    "regnet": (
        lambda: T.RegNetForImageClassification(T.RegNetConfig(**STAGES, **THREE, embedding_size=8, groups_width=8)),
        True,
    ),
    "poolformer": (lambda: T.PoolFormerForImageClassification(T.PoolFormerConfig(**STAGES, **THREE)), True),
    "mobilenet": (
        lambda: T.MobileNetV2ForImageClassification(T.MobileNetV2Config(depth_multiplier=0.25, image_size=64, **THREE)),
        True,
    ),
    "pvt_v2": (
        lambda: T.PvtV2ForImageClassification(T.PvtV2Config(image_size=64, **STAGES, **HEADS, **THREE)), True,
    ),
    "segformer": (lambda: T.SegformerForImageClassification(T.SegformerConfig(**STAGES, **HEADS, **THREE)), True),
    "mobilevit": (
        lambda: T.MobileViTForImageClassification(
            T.MobileViTConfig(hidden_sizes=[16] * 3, neck_hidden_sizes=[8] * 6 + [32], image_size=64,
                              num_attention_heads=2, **THREE)
        ), True,
    ),
    "pvt": (lambda: T.PvtForImageClassification(T.PvtConfig(image_size=64, **STAGES, **HEADS, **THREE)), False),
    "swin": (
        lambda: T.SwinForImageClassification(
            T.SwinConfig(image_size=64, embed_dim=8, depths=[2, 2], num_heads=[1, 2], window_size=4, **THREE)
        ), False,
    ),
    "swin_of_one_window": (
        lambda: T.SwinForImageClassification(
            T.SwinConfig(image_size=32, embed_dim=8, depths=[2], num_heads=[2], window_size=8, **THREE)
        ), False,
    ),
    "swinv2": (
        lambda: T.Swinv2ForImageClassification(
            T.Swinv2Config(image_size=64, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4, **THREE)
        ), False,
    ),
    "levit": (
        lambda: T.LevitForImageClassification(
            T.LevitConfig(image_size=64, hidden_sizes=[16] * 3, num_attention_heads=[1, 2, 2], depths=[1] * 3,
                          key_dim=[8] * 3, **THREE)
        ), False,
    ),
    "focalnet": (
        lambda: T.FocalNetForImageClassification(
            T.FocalNetConfig(image_size=64, embed_dim=8, depths=[1] * 4, hidden_sizes=[8, 16, 32, 64], **THREE)
        ), False,
    ),
}  # fmt: skip


def shaken(model: Any) -> Any:
    """Weights large enough that no two tokens or pictures are alike."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.normal_(std=0.2, generator=generator)
    return model.eval()


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def own_answer(name: str, model: Any, picture: torch.Tensor) -> torch.Tensor:
    """The embedding as the library itself gives it, written out for each kind."""
    if name in ("siglip_tower", "clip_tower", "altclip_tower", "blip_tower", "aimv2_tower", "dinov3", "beit_mean",
                "beit_class_token"):  # fmt: skip
        return model(pixel_values=picture).pooler_output
    if name == "clip_projected":
        return model(pixel_values=picture).image_embeds
    if name == "ijepa_pooler":
        return model(pixel_values=picture).last_hidden_state.mean(dim=1)
    if name == "mae":
        model.config.mask_ratio = 0.0
        return model(pixel_values=picture, noise=torch.linspace(0, 1, 16).expand(2, -1)).last_hidden_state[:, 0]
    if name == "masked_vit":
        return model.vit(pixel_values=picture).last_hidden_state[:, 0]
    if name == "masked_beit":
        return model.beit(pixel_values=picture).last_hidden_state[:, 1:].mean(dim=1)
    seen: list[torch.Tensor] = []
    handle = model.classifier.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model(pixel_values=picture)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_embedding_is_the_model_s_own_pooling(tmp_path: Path, picture: torch.Tensor, name: str) -> None:
    make, prefix, has_class_token = TRANSFORMERS[name]
    model = shaken(make())
    model.save_pretrained(tmp_path / name)
    network: Any = load_transformers(tmp_path / name).module
    assert isinstance(network, TransformersViT)
    with torch.no_grad():
        expected = own_answer(name, model, picture)
        logits = model(pixel_values=picture).logits if network.classifies else None
    with torch.inference_mode():  # in which pages embed before they trace: BEiT's tables must survive it
        torch.testing.assert_close(network.embed(picture), expected, atol=1e-4, rtol=1e-4)
        if logits is not None:
            torch.testing.assert_close(network(picture), logits)
    trace = network.trace(picture)
    assert trace.prefix_tokens == prefix
    assert [weights.shape for weights in trace.attention] == [(2, 2, prefix + 16, prefix + 16)] * 2
    torch.testing.assert_close(trace.embedding, expected, atol=1e-4, rtol=1e-4)
    # Where nothing stands for the whole image, nobody is offered its token.
    poolings = ("class_token", "mean") if has_class_token else ("mean",)
    assert feature_poolings(network) == poolings
    assert find_readouts(network, 64).poolings == (*poolings, "embedding")
    assert set(pool_last(network, picture, list(poolings))) == set(poolings)
    if not has_class_token:
        with pytest.raises(IncompatibleError, match="no class token"):
            pool_last(network, picture, ["class_token"])


@pytest.mark.parametrize("name", ["mae", "siglip_tower", "dinov3", "beit_relative"])
def test_a_patch_moves_its_own_token_most(tmp_path: Path, picture: torch.Tensor, name: str) -> None:
    """Masked autoencoders shuffle their patches, and their maps were laid over the image in that order."""
    make, prefix, _ = TRANSFORMERS[name]
    shaken(make()).save_pretrained(tmp_path / name)
    network: Any = load_transformers(tmp_path / name).module
    other = picture.clone()
    other[..., 16:32, 48:64] += 1.0
    with torch.no_grad():
        moved = (network.first_tokens(other) - network.first_tokens(picture)).norm(dim=-1)
    assert moved.argmax(dim=1).tolist() == [prefix + 1 * 4 + 3] * 2


def test_tokens_that_are_last_are_not_taken_for_first(tmp_path: Path) -> None:
    """YOLOS appends its detection tokens: a map cut as if they came first would lie askew."""
    model = shaken(T.YolosModel(T.YolosConfig(**{**VIT, "image_size": [64, 64]}, num_detection_tokens=5)))
    model.save_pretrained(tmp_path)
    network = load_transformers(tmp_path).module
    assert isinstance(network, TransformersVision)
    with pytest.raises(IncompatibleError, match="not one map over all patches"):
        network.trace(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize("name", OTHERS)
def test_networks_without_patches_classify_and_are_not_offered_for_attention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    make, has_maps = OTHERS[name]
    model = shaken(make())
    model.save_pretrained(tmp_path / name)
    loaded = load(f"folder:{tmp_path / name}")
    assert loaded.spec.capabilities == ({"classifier", "convolution"} if has_maps else {"classifier"})
    network: Any = loaded.module
    side = 32 if name == "swin_of_one_window" else 64
    picture = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(network(picture), model(pixel_values=picture).logits, atol=1e-4, rtol=1e-4)
        assert network.embed(picture).ndim == 2
    assert not hasattr(network, "trace")
    with pytest.raises(CoreError, match="attention"):
        network.trace(picture)
    if has_maps:
        maps, logits = network.trace_maps(picture)
        assert maps.ndim == 4
        (gradient,) = torch.autograd.grad(logits[:, 0].sum(), maps)
        assert gradient.abs().max() > 0
    else:
        with pytest.raises(IncompatibleError, match="maps"):
            network.trace_maps(picture)


@pytest.mark.parametrize(
    ("name", "reads"), [("beit_mean", "mean"), ("clip_classifier", "mean"), ("msn", "class token")]
)
def test_anatomy_names_what_is_read_not_what_is_there(tmp_path: Path, name: str, reads: str) -> None:
    shaken(TRANSFORMERS[name][0]()).save_pretrained(tmp_path)
    assert anatomy(load_transformers(tmp_path).module).facts["pooling"] == reads


def test_what_a_window_is_does_not_change_by_the_trial(tmp_path: Path) -> None:
    """Swin cuts its windows for good to the first small picture that it is given."""
    model = shaken(OTHERS["swin"][0]())
    model.save_pretrained(tmp_path)
    network: Any = load_transformers(tmp_path).module
    windows = [part.window_size for part in network.model.modules() if hasattr(part, "window_size")]
    assert windows == [part.window_size for part in model.modules() if hasattr(part, "window_size")]


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("text", lambda: T.BertModel(T.BertConfig(**TEXT)), "takes no images alone"),
        (
            "detector",
            lambda: T.YolosForObjectDetection(T.YolosConfig(**{**VIT, "image_size": [64, 64]}, **THREE)),
            "made for another task",
        ),
        (
            "varying",
            lambda: T.Siglip2VisionModel(T.Siglip2VisionConfig(**WIDE, patch_size=16, num_patches=16)),
            "trial picture",
        ),
    ],
)
def test_what_takes_no_pictures_or_does_something_else_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, make: Make, message: str
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    make().save_pretrained(tmp_path / name)
    with pytest.raises(IncompatibleError, match=message) as caught:
        load(f"folder:{tmp_path / name}")
    assert caught.value.remedy


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet"])
@pytest.mark.parametrize("head", [True, False])
def test_transformers_wrapper_of_timm_is_unwrapped(tmp_path: Path, architecture: str, head: bool) -> None:
    config = T.TimmWrapperConfig(architecture=architecture, num_labels=3 if head else 2)
    config.id2label = {0: "cat", 1: "dog", 2: "bird"} if head else config.id2label
    model = (T.TimmWrapperForImageClassification if head else T.TimmWrapperModel)(config).eval()
    model.save_pretrained(tmp_path)
    network = load(f"folder:{tmp_path}")
    size = network.network.preprocessing.size
    picture = torch.randn(1, 3, size, size)
    with torch.no_grad():
        output = model(pixel_values=picture)
        if head:
            assert network.classes == ("cat", "dog", "bird")
            torch.testing.assert_close(network.module(picture), output.logits)
        else:
            assert network.classes == ()
            torch.testing.assert_close(network.module.embed(picture), output.pooler_output)  # type: ignore[operator]


def test_weights_in_half_precision_alone_are_opened(tmp_path: Path, picture: torch.Tensor) -> None:
    model = shaken(T.ViTForImageClassification(T.ViTConfig(**VIT, **THREE)))
    model.save_pretrained(tmp_path, variant="fp16")
    assert not (tmp_path / "model.safetensors").exists()
    torch.testing.assert_close(load_transformers(tmp_path).module(picture), model(pixel_values=picture).logits)


def test_a_classifier_whose_configuration_names_no_class_keeps_its_head(tmp_path: Path) -> None:
    shaken(T.ViTForImageClassification(T.ViTConfig(**VIT, **THREE))).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("architectures")
    path.write_text(json.dumps(config), encoding="utf-8")
    assert len(load_transformers(tmp_path).classes) == 3
