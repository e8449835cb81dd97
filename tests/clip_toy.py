"""Tiny models of images and texts, saved as folders: open_clip's layout and transformers', softmax and sigmoid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
_WORDS = [
    "a", "an", "the", "this", "that", "of", "is", "it", ".", ",", "photo", "picture", "image", "drawing", "sketch",
    "blurry", "red", "blue", "cat", "dog", "bird", "car", "truck", "ship", "horse", "frog", "deer", "plane",
]  # fmt: skip


def save_tiny_tokenizer(folder: Path, **special: str) -> Any:
    """A tokenizer of forty words and all letters, in Hugging Face's format: start, words, end, padding."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(33, 127)]
    pieces = ["<pad>", "<start>", "<end>", "<unk>", *dict.fromkeys([*_WORDS, *letters, *("##" + c for c in letters)])]
    inner = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        unk_token="<unk>",
        **special,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_tiny_clip(
    folder: Path,
    *,
    seed: int = 0,
    sigmoid: bool = False,
    custom_text: bool = True,
    vision: dict[str, Any] | None = None,
) -> Path:
    """An open_clip folder with random weights: 32-pixel images in patches of 8, 16 tokens of text, 24 dimensions."""
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = len(save_tiny_tokenizer(folder))
    config = {
        "embed_dim": 24,
        "custom_text": custom_text,
        "vision_cfg": {
            "image_size": 32,
            **(vision or {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}),
        },
        "text_cfg": {
            "context_length": 16, "vocab_size": vocabulary, "hf_tokenizer_name": "tokenizer", "width": 32, "heads": 2,
            "layers": 2, "pool_type": "eos", "eos_id": 2, "pad_id": 0,
        },
        **({"init_logit_bias": -10.0} if sigmoid else {}),
    }  # fmt: skip
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}), encoding="utf-8"
    )
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:  # library defaults are so small that every map would be uniform
                parameter.normal_(std=0.2)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    return folder


def save_tiny_transformers_clip(folder: Path, *, sigmoid: bool = False) -> Path:
    """A `transformers` CLIP or SigLIP folder with random weights, 32-pixel images in patches of 8."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, SiglipConfig, SiglipModel

    vocabulary = len(save_tiny_tokenizer(folder))
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **shape, "vocab_size": vocabulary, "max_position_embeddings": 16,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    vision = {**shape, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    model: Any
    if sigmoid:
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    else:
        # With 2 transformers would look for the largest id; this is what configurations since 2023 say.
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32, image_mean=MEAN, image_std=STD).save_pretrained(folder)
    return folder
