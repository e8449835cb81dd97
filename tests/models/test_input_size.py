"""Another input size: the same weights, more patches, positions as the authors interpolate them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.examples import load_example
from core.data.transforms import to_batch
from core.errors import ConfigError, IncompatibleError
from core.methods.attention.attention import attention_maps
from core.models.catalogue import MODELS, find_model
from core.models.input_size import interpolate_positions, resized, split_size, with_size
from core.models.positions import Positional
from core.models.vit import ViT, ViTConfig
from core.models.weights import load

KINDS: tuple[Positional, ...] = ("none", "learned_1d", "learned_2d", "sinusoidal")


def dino(sizes: dict[str, int]) -> Any:
    from transformers import ViTConfig, ViTModel

    return ViTModel(ViTConfig(**sizes, intermediate_size=32), add_pooling_layer=False)


def dinov2(sizes: dict[str, int]) -> Any:
    """Interpolates without being told to."""
    from transformers import Dinov2Config, Dinov2Model

    return Dinov2Model(Dinov2Config(**sizes, mlp_ratio=2))


def saved(make: Callable[[dict[str, int]], Any], folder: Path) -> Any:
    """A model of transformers with positions that matter, saved; and the model itself."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    model = make(sizes).eval()
    torch.nn.init.normal_(model.embeddings.position_embeddings)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("make", [dino, dinov2])
def test_a_folder_of_transformers_at_another_size_is_what_transformers_makes_of_it(
    make: Callable[[dict[str, int]], Any], tmp_path: Path
) -> None:
    theirs = saved(make, tmp_path / "vit")
    name = f"folder:{tmp_path / 'vit'}"
    model = load(with_size(name, 56), "cpu")
    assert (model.spec.title, model.network.preprocessing.size) == ("vit at 56 px", 56)
    batch = to_batch([load_example("cat")], model.network.preprocessing)
    assert batch.shape[-2:] == (56, 56)
    with torch.no_grad():
        theirs.set_attn_implementation("eager")
        options = {"interpolate_pos_encoding": True} if make is dino else {}
        expected = theirs(batch, output_attentions=True, **options)
        moved = theirs.embeddings.interpolate_pos_encoding(torch.zeros(1, 50, 16), 56, 56)[0]
    maps = attention_maps(model.module, batch)
    assert maps.grid == (7, 7)
    for ours, layer in zip(maps.weights, expected.attentions, strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), layer[0], atol=1e-5, rtol=1e-4)
    # Ours, for models of this project, is the same interpolation.
    table = theirs.embeddings.position_embeddings[0].detach()
    torch.testing.assert_close(interpolate_positions(table, (4, 4), (7, 7), 1), moved)
    assert load(name, "cpu").network.preprocessing.size == 32


@pytest.mark.parametrize("kind", KINDS)
def test_our_vit_at_another_size_shares_its_weights_and_leaves_the_first_alone(kind: Positional) -> None:
    torch.manual_seed(0)
    vit = ViT(ViTConfig(image_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, positional=kind)).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        before = vit(images)
        larger = vit.at_input_size(24)
        assert larger.trace(torch.randn(1, 3, 24, 24)).grid == (6, 6)
        torch.testing.assert_close(larger(torch.randn(1, 3, 24, 24)).shape, torch.Size([1, 10]))
        torch.testing.assert_close(vit(images), before)
        # At its own size nothing is interpolated away.
        torch.testing.assert_close(vit.at_input_size(16)(images), before, atol=1e-5, rtol=1e-5)
    assert larger.blocks[0] is vit.blocks[0]
    assert larger.config.image_size == 24
    assert vit.config.image_size == 16
    if kind != "none":
        expected = interpolate_positions(vit.position_embedding.table(), (4, 4), (6, 6), 1)  # type: ignore[arg-type]
        torch.testing.assert_close(larger.position_embedding.table(), expected)


def test_timm_resamples_its_own_way() -> None:
    import timm

    from core.models.timm_vit import TimmViT

    torch.manual_seed(0)
    made = timm.create_model("test_vit", img_size=32, num_classes=3).eval()
    ours = TimmViT(made)
    step = ours.input_step
    size = 32 + 2 * step
    larger = ours.at_input_size(size)
    images = torch.randn(1, 3, size, size)
    theirs = timm.create_model("test_vit", img_size=32, num_classes=3).eval()
    theirs.load_state_dict(made.state_dict())
    theirs.set_input_size(img_size=(size, size))
    with torch.no_grad():
        torch.testing.assert_close(larger(images), theirs(images))
        assert larger.trace(images).grid == (size // step, size // step)
        assert ours(torch.randn(1, 3, 32, 32)).shape == (1, 3)  # as it was
    assert larger.model.blocks[0] is made.blocks[0]


def test_the_name_says_the_size_and_the_catalogue_is_as_it_was() -> None:
    assert split_size("vit_p4;size=48") == ("vit_p4", 48)
    assert split_size("folder:/a;size=x") == ("folder:/a;size=x", None)
    assert with_size("vit_p4", None) == "vit_p4"
    spec = find_model("vit_p4;size=48")
    assert (spec.name, spec.title) == ("vit_p4;size=48", f"{MODELS['vit_p4'].title} at 48 px")
    assert find_model("vit_p4") is MODELS["vit_p4"]


def test_sizes_that_cannot_be_are_refused_in_a_sentence() -> None:
    vit, cnn = load("vit_p4", "cpu"), load("cnn_small", "cpu")
    with pytest.raises(ConfigError, match=r"50 pixels do not divide into patches of 4") as error:
        resized(vit.network, 50, "ViT")
    assert "48 or 52 pixels" in error.value.remedy
    with pytest.raises(ConfigError, match="whose attention takes more than 512 MiB"):
        resized(vit.network, 800, "ViT")
    with pytest.raises(IncompatibleError, match="CNN takes 32 pixels alone"):
        resized(cnn.network, 64, "CNN")
