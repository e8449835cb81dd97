"""A folder in open_clip's layout (`open_clip_config.json`, weights, perhaps a tokenizer) behind our contract.

Source: Ilharco et al. 2021, OpenCLIP (the library that builds the towers and the tokenizer).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.data.transforms import Framing, Normalisation, Preprocessing
from core.errors import IncompatibleError, MissingWeightsError, ShapeError
from core.models.clip import PairTrace, TextTokens, explicit_attention, normalised
from core.models.model_folder import OPEN_CLIP_CONFIG, read_config, weight_files
from core.models.spec import Network
from core.models.state_dict import fill, read_state_dict
from core.models.tokenizer_check import check_tokenizer
from core.models.trace import Pooling, Trace, check_trace


class OpenClip(nn.Module):
    """open_clip's model and its tokenizer; what both towers have in common with ours."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.kind = "sigmoid" if getattr(model, "logit_bias", None) is not None else "softmax"
        self.context_length = int(model.context_length)

    @property
    def logit_scale(self) -> float:
        return math.exp(float(self.model.logit_scale.detach()))

    @property
    def logit_bias(self) -> float:
        return float(self.model.logit_bias.detach()) if self.kind == "sigmoid" else 0.0

    def forward(self, images: Tensor) -> Tensor:
        """The same as `embed`: without texts there is nothing to classify by."""
        return self.embed(images)

    def embed(self, images: Tensor) -> Tensor:
        """`images`: (batch, 3, height, width), normalised → (batch, dim), projected, not of unit length."""
        expected = (3, *_pair(self.model.visual.image_size))
        if tuple(images.shape[1:]) != expected:
            raise ShapeError(f"This CLIP takes images of shape {expected}, got {tuple(images.shape[1:])}.")
        return self.model.encode_image(images)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """`texts` → (texts, dim), projected, not of unit length."""
        return self.embed_tokens(self.tokenise(texts).ids)

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """(texts, context_length) as `tokenise` gives them → (texts, dim)."""
        return self.model.encode_text(ids.to(self.model.logit_scale.device))

    def tokenise(self, texts: Sequence[str]) -> TextTokens:
        """What the model reads of `texts`; what is too long is cut, and said."""
        ids = self.tokenizer(list(texts))
        inner = getattr(self.tokenizer, "tokenizer", None)
        if inner is None:  # open_clip's own byte-pair tokenizer
            end = self.tokenizer.eot_token_id
            names = [[self.tokenizer.decoder[int(each)] for each in row] for row in ids]
            lengths = [len(self.tokenizer.encode(text)) + 2 for text in texts]
        else:
            end = inner.eos_token_id if inner.eos_token_id is not None else inner.sep_token_id
            names = [inner.convert_ids_to_tokens(row.tolist()) for row in ids]
            lengths = [len(inner(text)["input_ids"]) for text in texts]
        return TextTokens(
            ids=ids,
            pieces=tuple(tuple(row[: _end(each.tolist(), end) + 1]) for row, each in zip(names, ids, strict=True)),
            truncated=tuple(length > ids.shape[1] for length in lengths),
        )


class OpenClipViT(OpenClip):
    """An open_clip model whose image tower is open_clip's plain vision transformer: its attention can be looked at."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, tokenizer)
        self.visual = model.visual
        self.depth = len(self.visual.transformer.resblocks)
        self.pooling: Pooling = "mean" if self.visual.pool_type == "avg" else "class_token"

    def last_tokens(self, images: Tensor) -> tuple[Tensor, int]:
        """The tokens (batch, tokens, width) after the last norm and before the projection; one precedes the patches."""
        return self.visual.ln_post(self.visual.transformer(self.visual._embeds(images))), 1

    def trace(self, images: Tensor) -> Trace:
        """One pass with explicit attention, keeping the tokens and attention of every layer."""
        tokens, kept, attention = self._run(self.visual.transformer, self.visual._embeds(images))
        trace = Trace(
            attention=tuple(attention),
            tokens=tuple(kept),
            embedding=self._project(tokens),
            logits=None,
            grid=self.visual.grid_size,
            prefix_tokens=1,
            pooling=self.pooling,
        )
        return check_trace(trace, self.depth)

    def positions(self) -> tuple[Tensor | None, tuple[int, int], int]:
        """The positional table (tokens, width), its grid, and the tokens before it that have a position."""
        return self.visual.positional_embedding.detach(), self.visual.grid_size, 1

    def _project(self, tokens: Tensor) -> Tensor:
        pooled, _ = self.visual._pool(tokens)
        return pooled if self.visual.proj is None else pooled @ self.visual.proj

    @staticmethod
    def _run(transformer: Any, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Every residual block with its weights: the output, the tokens after each block, and the attention of each."""
        kept, attention = [], []
        for block in transformer.resblocks:
            attended, weights = explicit_attention(block.attn, block.ln_1(tokens), mask)
            tokens = tokens + block.ls_1(attended)
            tokens = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
            kept.append(tokens)
            attention.append(weights)
        return tokens, kept, attention


class OpenClipPair(OpenClipViT):
    """Both towers are plain transformers, so that a score can be followed back into the picture and the words."""

    def trace_pair(self, images: Tensor, texts: Sequence[str]) -> PairTrace:
        """`images` (images, 3, height, width) against `texts`, with the attention of both towers in the graph."""
        from open_clip.transformer import text_global_pool

        image = self.trace(images)
        # open_clip keeps the parts of its first text tower in the model itself.
        tower = getattr(self.model, "text", self.model)
        ids = self.tokenise(texts).ids.to(images.device)
        if tower is self.model:
            tokens, mask = tower.token_embedding(ids) + tower.positional_embedding, tower.attn_mask
            pooling, end = tower.text_pool_type, tower.text_eos_id
        else:
            tokens, mask = tower._embeds(ids)
            pooling, end = tower.pool_type, tower.eos_id
        tokens, _, attention = self._run(tower.transformer, tokens, mask)
        where = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)[..., None]
        read = text_global_pool(where, ids, pooling, eos_token_id=end)[:, 0]
        embedding = tower.ln_final(tokens)[torch.arange(len(ids)), read]
        projection = tower.text_projection
        if projection is not None:
            embedding = projection(embedding) if isinstance(projection, nn.Linear) else embedding @ projection
        scores = self.model.logit_scale.exp() * normalised(image.embedding) @ normalised(embedding).T + self.logit_bias
        return PairTrace(
            scores=scores,
            image_attention=image.attention,
            text_attention=tuple(attention),
            grid=image.grid,
            prefix_tokens=image.prefix_tokens,
            image_pooling=image.pooling,
            text_read=read,
        )


def load_open_clip(folder: str | Path) -> Network:
    """The model of an open_clip folder; every weight comes from its file, and no code from it is run.

    Raises:
        MissingWeightsError: weights or tokenizer are missing, damaged, or do not fit the configuration.
        IncompatibleError: open_clip cannot build it, or its text tower would have to be fetched from elsewhere.
    """
    folder = Path(folder)
    config = read_config(folder, OPEN_CLIP_CONFIG)
    _check_config(folder, config)
    files = weight_files(folder)
    if not files:
        raise MissingWeightsError(
            f"{folder.name} holds no weights.", f"Expected open_clip_model.safetensors beside {OPEN_CLIP_CONFIG}."
        )
    model, tokenizer = _build(folder)
    inner = getattr(tokenizer, "tokenizer", None)  # open_clip's own has none inside, and is complete
    if inner is not None:
        vocabulary = int(getattr(model, "vocab_size", 0) or len(getattr(model, "text", model).token_embedding.weight))
        check_tokenizer(lambda text: inner(text)["input_ids"], len(inner), vocabulary, folder.name)
    fill(model, read_state_dict(files[0]), folder.name)
    return Network(module=adapt(model.eval(), tokenizer), preprocessing=_preprocessing(model))


def adapt(model: Any, tokenizer: Any) -> OpenClip:
    """The adapter that offers what the towers of an open_clip model allow."""
    from open_clip.transformer import VisionTransformer

    visual = model.visual
    if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None or not _is_plain(visual.transformer):
        return OpenClip(model, tokenizer)
    tower = getattr(model, "text", model)
    plain_text = hasattr(tower, "ln_final") and getattr(tower, "cls_emb", None) is None and _is_plain(tower.transformer)
    return (OpenClipPair if plain_text else OpenClipViT)(model, tokenizer)


def _is_plain(transformer: Any) -> bool:
    """Whether the blocks are the ones that `explicit_attention` can repeat."""
    from open_clip.transformer import ResidualAttentionBlock

    blocks = getattr(transformer, "resblocks", ())
    return bool(len(blocks)) and all(
        type(block) is ResidualAttentionBlock and block.attn.in_proj_weight is not None for block in blocks
    )


def _check_config(folder: Path, config: dict[str, Any]) -> None:
    """Refuse what would fetch from elsewhere or run code that came with the folder."""
    model = config.get("model_cfg")
    if not isinstance(model, dict) or not isinstance(model.get("text_cfg"), dict):
        raise MissingWeightsError(f"{OPEN_CLIP_CONFIG} of {folder.name} describes no model.", "Expected `model_cfg`.")
    text, vision = model["text_cfg"], model.get("vision_cfg") or {}
    if text.get("hf_model_name"):
        raise IncompatibleError(
            f"The text tower of {folder.name} is {text['hf_model_name']} of the Hub, which is not in the folder.",
            "Choose a model with a text tower of its own.",
        )
    if "trust_remote_code" in (text.get("tokenizer_kwargs") or {}):
        raise IncompatibleError(f"The tokenizer of {folder.name} wants to run code.", "Choose another model.")
    name = vision.get("timm_model_name")
    if name:
        import timm

        # Only a bare name: timm also takes addresses and paths here.
        if not timm.is_model(str(name)):
            raise IncompatibleError(f"timm has no image tower named {name!r}.", f"Check {OPEN_CLIP_CONFIG}.")


def _build(folder: Path) -> tuple[Any, Any]:
    """The module with weights drawn at random, and its tokenizer."""
    import open_clip

    name = f"local-dir:{folder}"
    # It warns that the model is random, which it is until its file is read, a line after this.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        model = open_clip.create_model(name, load_weights=False, pretrained_text=False, pretrained_image=False)
        tokenizer = open_clip.get_tokenizer(name)
    except (OSError, TypeError, ValueError, KeyError, AssertionError, RuntimeError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise IncompatibleError(f"open_clip cannot open {folder.name}: {first}") from error
    finally:
        logging.disable(before)
    return model, tokenizer


def _preprocessing(model: Any) -> Preprocessing:
    """open_clip's transform for evaluation (`open_clip.image_transform`)."""
    from open_clip import get_model_preprocess_cfg

    settings = get_model_preprocess_cfg(model)
    height, width = _pair(settings["size"])
    if height != width:
        raise IncompatibleError(f"The model wants images of {width}×{height} pixels.", "Only squares are supported.")
    framings: dict[str, Framing] = {"squash": "squash", "longest": "pad"}
    return Preprocessing(
        size=height,
        normalisation=Normalisation(mean=tuple(settings["mean"]), std=tuple(settings["std"])),
        resample="bilinear" if settings.get("interpolation") == "bilinear" else "bicubic",
        framing=framings.get(settings.get("resize_mode"), "crop"),
        ground=(int(settings.get("fill_color") or 0),) * 3,
    )


def _pair(size: Any) -> tuple[int, int]:
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return int(height), int(width)


def _end(ids: list[int], end: int | None) -> int:
    """The place of the first end mark, or the last place if there is none."""
    return ids.index(end) if end in ids else len(ids) - 1
