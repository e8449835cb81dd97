"""A CLIP small enough to train on one CPU core, made of open_clip's own modules and stored as open_clip stores it.

`open_clip.create_model_and_transforms("local-dir:FOLDER")` and `open_clip.get_tokenizer("local-dir:FOLDER")` load it.
Source: Radford et al. 2021, arXiv:2103.00020; Ilharco et al. 2021 (OpenCLIP, the modules).
"""

from __future__ import annotations

import copy
import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.configs import check_options, option
from core.data.transforms import Normalisation
from core.errors import ConfigError
from core.models.attention import trains_on_cpu
from core.models.checkpoint import ModelCard, stored_weights
from core.models.clip import explicit_attention
from core.models.model_folder import OPEN_CLIP_CONFIG
from core.models.vit import ViT

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, kw_only=True)
class SmallCLIPConfig:
    """Two transformers of the same form: pre-norm, learned positions; the text's is causal and read at its end."""

    image_size: int = option(64, "Image size", minimum=8, maximum=512, unit="px")
    patch_size: int = option(8, "Patch size", minimum=2, maximum=64, unit="px")
    width: int = option(192, "Image width", "Of the image tower's tokens.", minimum=16, maximum=2048)
    depth: int = option(6, "Image depth", minimum=1, maximum=48)
    num_heads: int = option(6, "Image heads", minimum=1, maximum=32)
    mlp_ratio: float = option(2.0, "Image MLP ratio", "Hidden width over the width.", minimum=0.25, maximum=8)
    patch_dropout: float = option(
        0.0, "Patch dropout", "Share of patches left out in training (FLIP).", minimum=0, maximum=0.9
    )
    text_width: int = option(128, "Text width", minimum=16, maximum=2048)
    text_depth: int = option(3, "Text depth", minimum=1, maximum=48)
    text_heads: int = option(4, "Text heads", minimum=1, maximum=32)
    context_length: int = option(32, "Text length", "Longest text, in tokens.", minimum=8, maximum=256)
    embed_dim: int = option(128, "Embedding", "Of images and texts in their common space.", minimum=8, maximum=2048)

    def __post_init__(self) -> None:
        check_options(self)
        for name, heads, width in (("width", self.num_heads, self.width),
                                   ("text_width", self.text_heads, self.text_width)):  # fmt: skip
            if width % heads:
                raise ConfigError(f"{name} is {width}, which {heads} heads cannot share evenly.")
        if self.image_size % self.patch_size:
            raise ConfigError(f"Images of {self.image_size} pixels do not divide into patches of {self.patch_size}.")


def open_clip_config(
    config: SmallCLIPConfig, *, pieces: int, end_id: int, pad_id: int, sigmoid: bool
) -> dict[str, Any]:
    """The same as open_clip's `model_cfg`.

    Args:
        pieces: of the tokenizer, all of its ids.
        sigmoid: with a bias, for the sigmoid loss; starts then where Zhai et al. 2023 start.
    """
    starts = {"init_logit_scale": math.log(10), "init_logit_bias": -10.0} if sigmoid else {}
    return {
        "embed_dim": config.embed_dim,
        **starts,
        "vision_cfg": {
            "image_size": config.image_size,
            "patch_size": config.patch_size,
            "width": config.width,
            "layers": config.depth,
            "head_width": config.width // config.num_heads,
            "mlp_ratio": config.mlp_ratio,
            # As in our ViT, from which the image tower may start.
            "no_ln_pre": True,
        },
        "text_cfg": {
            "context_length": config.context_length,
            "vocab_size": pieces,
            "width": config.text_width,
            "heads": config.text_heads,
            "layers": config.text_depth,
            "pool_type": "eos",
            "eos_id": end_id,
            "pad_id": pad_id,
            # open_clip takes the folder's own tokenizer wherever this says anything.
            "hf_tokenizer_name": "tokenizer",
            "tokenizer_kwargs": {"clean": "whitespace"},
        },
    }


class TrainableAttention(nn.MultiheadAttention):
    """PyTorch's attention, by the explicit path where that is the faster one to train."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Any:
        if trains_on_cpu(query):
            return explicit_attention(self, query, options.get("attn_mask"))[0], None
        return super().forward(query, key, value, *rest, **options)


def build_clip(model_config: dict[str, Any], patch_dropout: float = 0.0) -> nn.Module:
    """open_clip's `CLIP`, freshly initialised from torch's global generator.

    `patch_dropout` is for training only and not stored.
    """
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    towers = copy.deepcopy(model_config)
    vision = CLIPVisionCfg(**towers.pop("vision_cfg"), patch_dropout=patch_dropout)
    text = CLIPTextCfg(**towers.pop("text_cfg"))
    model = CLIP(**towers, vision_cfg=vision, text_cfg=text)
    for module in model.modules():
        if type(module) is nn.MultiheadAttention:
            module.__class__ = TrainableAttention  # the same parameters under the same names
    return model


@torch.no_grad()
def start_from_vit(model: Any, vit: ViT) -> None:
    """Give the image tower of `model` what a ViT of ours has learned, perhaps from smaller images.

    A patch of twice the side is read as its halves' means: on an enlarged image the tower computes what `vit` computes
    on the image itself.

    Raises:
        ConfigError: the two have not the same shape.
    """
    visual, config = model.visual, vit.config
    blocks: Any = visual.transformer.resblocks
    sources: Any = vit.blocks
    theirs = (config.embed_dim, config.depth, config.num_heads, *config.grid, config.positional, config.pooling)
    ours = (visual.ln_post.weight.shape[0], len(blocks), blocks[0].attn.num_heads, *visual.grid_size,
            "learned_1d", "class_token")  # fmt: skip
    hidden = (blocks[0].mlp.c_fc.out_features, int(config.embed_dim * config.mlp_ratio))
    factor, rest = divmod(visual.patch_size[0], config.patch_size)
    if theirs != ours or hidden[0] != hidden[1] or rest:
        raise ConfigError(
            f"The ViT is {theirs} with MLPs of {hidden[1]}, the image tower {ours} with MLPs of {hidden[0]}.",
            "Choose the same width, depth, heads, MLP ratio and number of patches, or start from nothing.",
        )
    side = (config.channels, config.patch_size, config.patch_size)
    kernel = vit.patch_embedding.weight.unflatten(1, side)
    visual.conv1.weight.copy_(kernel.repeat_interleave(factor, 2).repeat_interleave(factor, 3) / factor**2)
    visual.class_embedding.copy_(vit.class_token[0, 0])
    visual.positional_embedding.copy_(vit.position_embedding.table())
    visual.positional_embedding[1:] += vit.patch_embedding.bias  # open_clip's convolution has none
    visual.ln_post.load_state_dict(vit.norm.state_dict())
    for block, source in zip(blocks, sources, strict=True):
        block.ln_1.load_state_dict(source.norm1.state_dict())
        block.ln_2.load_state_dict(source.norm2.state_dict())
        block.attn.in_proj_weight.copy_(source.attention.qkv.weight)
        block.attn.in_proj_bias.copy_(source.attention.qkv.bias)
        block.attn.out_proj.load_state_dict(source.attention.projection.state_dict())
        block.mlp.c_fc.load_state_dict(source.mlp.expand.state_dict())
        block.mlp.c_proj.load_state_dict(source.mlp.contract.state_dict())


def save_clip(
    folder: Path,
    model: nn.Module,
    model_config: dict[str, Any],
    *,
    normalisation: Normalisation,
    tokenizer: Path,
    card: ModelCard,
) -> None:
    """Write an open_clip folder: weights in fp16, config, tokenizer files, and `card.json`, last."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.cpu().contiguous() for name, tensor in stored_weights(model).items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    preprocess = {
        "mean": list(normalisation.mean),
        "std": list(normalisation.std),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    config = {"model_cfg": model_config, "preprocess_cfg": preprocess}
    (folder / OPEN_CLIP_CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    for name in TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, folder / name)
    (folder / "card.json").write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")


def round_as_stored(model: nn.Module) -> None:
    """Give `model` the values that `save_clip` keeps of it, so that what is measured is what is shipped."""
    with torch.no_grad():
        model.load_state_dict({name: tensor.float() for name, tensor in stored_weights(model).items()})
