import dataclasses

import pytest
import torch
import transformers
from torch import Tensor, nn

from core.errors import ConfigError, ShapeError
from core.models.differential import DifferentialViT
from core.models.trace import Traceable
from core.models.vit import ViT, ViTConfig

SMALL = ViTConfig(image_size=16, patch_size=4, embed_dim=32, depth=2, num_heads=2, classes=5)
FAMILIES = {"vit": ViT, "differential_vit": DifferentialViT}
POSITIONS = ("none", "learned_1d", "learned_2d", "sinusoidal")


def _build(family: str = "vit", seed: int = 0, **changes: object) -> ViT:
    torch.manual_seed(seed)
    return FAMILIES[family](dataclasses.replace(SMALL, **changes)).eval()


def _images(count: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def _shuffle_patches(images: Tensor, order: Tensor) -> Tensor:
    patches = nn.functional.unfold(images, 4, stride=4)[:, :, order]
    return nn.functional.fold(patches, 16, 4, stride=4)


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.mark.parametrize("positional", POSITIONS)
@pytest.mark.parametrize("pooling", ["class_token", "mean"])
def test_every_variant_gives_finite_logits_and_the_same_when_traced(family, positional, pooling):
    model, images = _build(family, positional=positional, pooling=pooling), _images()
    with torch.no_grad():
        logits, trace = model(images), model.trace(images)
        assert logits.shape == (2, 5)
        assert torch.isfinite(logits).all()
        assert torch.allclose(trace.logits, logits, atol=1e-5)
        assert torch.allclose(trace.embedding, model.embed(images), atol=1e-5)
        assert torch.equal(model.head(trace.embedding), trace.logits)


def test_a_trace_holds_every_layer(family):
    model = _build(family)
    assert isinstance(model, Traceable)
    trace = model.trace(_images())
    assert [weights.shape for weights in trace.attention] == [(2, 2, 17, 17)] * 2
    assert [tokens.shape for tokens in trace.tokens] == [(2, 17, 32)] * 2
    assert (trace.grid, trace.prefix_tokens, trace.signed) == ((4, 4), 1, family == "differential_vit")
    for layer, weights in enumerate(trace.attention):
        lambda_ = model.blocks[layer].attention.lambda_() if trace.signed else torch.tensor(0.0)
        assert torch.allclose(weights.sum(-1), (1 - lambda_).expand(2, 2, 17), atol=1e-5)


def test_pooling_reads_the_class_token_or_the_mean_patch(family):
    for pooling in ("class_token", "mean"):
        model = _build(family, pooling=pooling)
        with torch.no_grad():
            trace = model.trace(_images())
            tokens = model.norm(trace.tokens[-1])
        expected = tokens[:, 0] if pooling == "class_token" else tokens[:, 1:].mean(dim=1)
        assert torch.allclose(trace.embedding, expected, atol=1e-6)


def test_a_batch_is_its_items(family):
    model, images = _build(family), _images(3)
    with torch.no_grad():
        together = model(images)
        for i in range(3):
            assert torch.allclose(together[i : i + 1], model(images[i : i + 1]), atol=1e-5)


@pytest.mark.parametrize("positional", POSITIONS)
def test_only_positions_make_the_order_of_patches_matter(family, positional):
    model = _build(family, positional=positional)
    images, order = _images(), torch.randperm(16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # Learned tables start at 0.02, too small for a float32 test of "differs".
        for parameter in model.position_embedding.parameters():
            parameter.mul_(50)
        logits, shuffled = model(images), model(_shuffle_patches(images, order))
    assert torch.allclose(logits, shuffled, atol=1e-5) == (positional == "none")


def test_without_positions_the_maps_are_relabelled(family):
    model = _build(family, positional="none")
    images, order = _images(), torch.randperm(16, generator=torch.Generator().manual_seed(0))
    moved = torch.cat([torch.zeros(1, dtype=torch.long), 1 + order])
    with torch.no_grad():
        original, shuffled = model.trace(images), model.trace(_shuffle_patches(images, order))
    for before, after in zip(original.attention, shuffled.attention, strict=True):
        assert torch.allclose(after, before[:, :, moved][..., moved], atol=1e-5)


def test_linear_patches_equal_a_strided_convolution():
    model, images = _build(positional="none").double(), _images().double()
    weight = model.patch_embedding.weight.reshape(32, 3, 4, 4)
    expected = nn.functional.conv2d(images, weight, model.patch_embedding.bias, stride=4).flatten(2).transpose(1, 2)
    tokens = model._tokenise(images)[:, 1:]
    assert torch.allclose(tokens, expected, atol=1e-13)


@pytest.mark.parametrize(("patch", "tokens", "patch_dim"), [(2, 257, 12), (4, 65, 48), (8, 17, 192)])
def test_tokens_of_cifar_images(patch, tokens, patch_dim):
    model = ViT(ViTConfig(patch_size=patch, embed_dim=16, depth=1, num_heads=2))
    assert model.patch_embedding.in_features == patch_dim
    assert model._tokenise(torch.zeros(1, 3, 32, 32)).shape == (1, tokens, 16)


def test_every_parameter_gets_a_gradient(family):
    for pooling in ("class_token", "mean"):
        model = _build(family, pooling=pooling).train()
        nn.functional.cross_entropy(model(_images(4)), torch.tensor([0, 1, 2, 3])).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_one_batch_can_be_learned_by_heart(family):
    model = _build(family, image_size=8).train()
    images, labels = _images(10)[:, :, :8, :8], torch.arange(10) % 5
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0)
    for _ in range(100):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


def test_training_and_looking_give_the_same_network(family):
    """On a CPU, training takes the explicit path and inference the fused one."""
    model, images = _build(family).train(), _images()
    trained = model(images)
    with torch.inference_mode():
        assert torch.allclose(model(images), trained, atol=1e-5)


def test_drop_path_skips_whole_samples_and_only_in_training():
    model, images = _build(drop_path=0.9, depth=3), _images()
    with torch.no_grad():
        assert torch.equal(model(images), model(images))
        assert model.blocks[0].drop_path == 0
        block = model.blocks[-1].train()
        tokens = torch.randn(400, 17, 32)
        torch.manual_seed(0)
        dropped = block._drop(tokens)
    kept = dropped.abs().sum(dim=(1, 2)) > 0
    assert torch.allclose(dropped[kept], tokens[kept] / 0.1, rtol=1e-4)
    assert abs(kept.float().mean().item() - 0.1) < 0.06


def test_wrong_images_and_impossible_shapes_are_refused():
    with pytest.raises(ShapeError, match="\\(3, 16, 16\\)"):
        _build()(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ConfigError, match="do not tile"):
        ViTConfig(image_size=32, patch_size=5)
    with pytest.raises(ConfigError, match="positional"):
        ViTConfig(positional="rotary")
    with pytest.raises(ConfigError, match="depth is 0"):
        ViTConfig(depth=0)


def test_positions_are_offered_to_the_similarity_view():
    table, grid, prefix = _build().positions()
    assert table.shape == (prefix + grid[0] * grid[1], 32)
    assert _build(positional="none").positions()[0] is None


def _reference(model: ViT) -> nn.Module:
    """transformers' ViT under our weights."""
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=16, patch_size=4,
        num_labels=5, layer_norm_eps=model.config.norm_eps, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )  # fmt: skip
    reference = transformers.ViTForImageClassification(config).eval()
    ours = model.state_dict()
    weights = {
        "vit.embeddings.cls_token": ours["class_token"],
        "vit.embeddings.position_embeddings": ours["position_embedding.positions"][None],
        "vit.embeddings.patch_embeddings.projection.weight": ours["patch_embedding.weight"].reshape(32, 3, 4, 4),
        "vit.embeddings.patch_embeddings.projection.bias": ours["patch_embedding.bias"],
    }
    layers = {"norm1": "layernorm_before", "norm2": "layernorm_after", "mlp.expand": "mlp.fc1"}
    layers |= {"mlp.contract": "mlp.fc2", "attention.projection": "attention.o_proj"}
    for kind in ("weight", "bias"):
        weights[f"vit.layernorm.{kind}"] = ours[f"norm.{kind}"]
        weights[f"classifier.{kind}"] = ours[f"head.{kind}"]
        for layer in range(2):
            for name, theirs in layers.items():
                weights[f"vit.layers.{layer}.{theirs}.{kind}"] = ours[f"blocks.{layer}.{name}.{kind}"]
            fused = ours[f"blocks.{layer}.attention.qkv.{kind}"].chunk(3)
            for letter, part in zip("qkv", fused, strict=True):
                weights[f"vit.layers.{layer}.attention.{letter}_proj.{kind}"] = part
    reference.load_state_dict(weights)
    return reference


def test_parity_with_transformers():
    model = _build()
    # Initial values are zero, one or small: random ones, different for every parameter, leave nothing to hide behind.
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    reference, images = _reference(model), _images(3)
    with torch.no_grad():
        trace = model.trace(images)
        theirs = reference(images, output_attentions=True, output_hidden_states=True)
    assert torch.allclose(trace.logits, theirs.logits, atol=1e-5, rtol=1e-5)
    assert torch.allclose(model(images), theirs.logits, atol=1e-5, rtol=1e-5)
    assert len(theirs.attentions) == 2
    for ours, expected in zip(trace.attention, theirs.attentions, strict=True):
        assert torch.allclose(ours, expected, atol=1e-5)
    assert torch.allclose(trace.tokens[0], theirs.hidden_states[1], atol=1e-5, rtol=1e-5)
