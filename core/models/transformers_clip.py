"""CLIP and SigLIP folders of `transformers` behind our contract.

Sources: Radford et al. 2021, arXiv:2103.00020 (CLIP); Zhai et al. 2023, arXiv:2303.15343 (SigLIP).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import IncompatibleError, MissingWeightsError, ShapeError
from core.models.capture import eager_attention
from core.models.clip import PairTrace, TextTokens, normalised
from core.models.image_processor import read_preprocessing
from core.models.model_folder import read_config
from core.models.reading import attention_pooling, pooling_weights
from core.models.spec import Network
from core.models.trace import Reading, Trace, check_trace
from core.models.transformers_vit import load_pretrained


class TransformersClip(nn.Module):
    """A `transformers` model of images and texts and its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.kind = "sigmoid" if hasattr(model, "logit_bias") else "softmax"
        vision = model.config.vision_config
        self.context_length = int(model.config.text_config.max_position_embeddings)
        self.image_size = int(vision.image_size)
        self.depth = int(vision.num_hidden_layers)
        side = self.image_size // int(vision.patch_size)
        self.grid = (side, side)
        # SigLIP has no class token and pools with attention of its own.
        self.prefix_tokens = 1 if hasattr(model.vision_model.embeddings, "class_embedding") else 0

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
        if tuple(images.shape[1:]) != (3, self.image_size, self.image_size):
            raise ShapeError(
                f"This CLIP takes images of shape (3, {self.image_size}, {self.image_size}), "
                f"got {tuple(images.shape[1:])}."
            )
        return self.model.get_image_features(pixel_values=images).pooler_output

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """`texts` → (texts, dim), projected, not of unit length."""
        return self.embed_tokens(self.tokenise(texts).ids)

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """(texts, context_length) as `tokenise` gives them → (texts, dim)."""
        # Without a mask: CLIP looks to the left alone and ends before the padding, SigLIP was trained so.
        return self.model.get_text_features(input_ids=ids.to(self.model.device)).pooler_output

    def tokenise(self, texts: Sequence[str]) -> TextTokens:
        """What the model reads of `texts`, padded to full length as SigLIP was trained; what is too long is cut."""
        ids = self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.context_length, return_tensors="pt"
        )["input_ids"]
        lengths = [len(each) for each in self.tokenizer(list(texts))["input_ids"]]
        return TextTokens(
            ids=ids,
            pieces=tuple(
                tuple(self.tokenizer.convert_ids_to_tokens(row[: min(length, ids.shape[1])].tolist()))
                for row, length in zip(ids, lengths, strict=True)
            ),
            truncated=tuple(length > ids.shape[1] for length in lengths),
        )

    def last_tokens(self, images: Tensor) -> tuple[Tensor, int]:
        """The tokens (batch, tokens, width) after the last norm, before the projection; how many are no patch."""
        output = self.model.vision_model(pixel_values=images)
        norm = self.model.vision_model.post_layernorm
        # CLIP's own output norms the class token alone; SigLIP's has passed the norm already.
        tokens = norm(output.last_hidden_state) if self.prefix_tokens else output.last_hidden_state
        return tokens, self.prefix_tokens

    def trace(self, images: Tensor) -> Trace:
        """One pass with explicit attention, keeping the tokens and attention of every layer."""
        with eager_attention(self.model):
            output = self.model.vision_model(pixel_values=images, output_attentions=True, output_hidden_states=True)
        projection = getattr(self.model, "visual_projection", None)
        pooled = output.pooler_output
        trace = Trace(
            attention=tuple(output.attentions or ()),
            tokens=tuple(output.hidden_states[1:]),
            embedding=pooled if projection is None else projection(pooled),
            logits=None,
            grid=self.grid,
            prefix_tokens=self.prefix_tokens,
            pooling=self._reading(output.last_hidden_state),
        )
        return check_trace(trace, self.depth)

    def trace_pair(self, images: Tensor, texts: Sequence[str]) -> PairTrace:
        """`images` (images, 3, height, width) against `texts`, with the attention of both towers in the graph."""
        image = self.trace(images)
        ids = self.tokenise(texts).ids.to(images.device)
        with eager_attention(self.model):
            output = self.model.text_model(input_ids=ids, output_attentions=True)
        pooled = output.pooler_output
        if hasattr(self.model, "text_projection"):
            pooled = self.model.text_projection(pooled)
        scores = self.model.logit_scale.exp() * normalised(image.embedding) @ normalised(pooled).T + self.logit_bias
        return PairTrace(
            scores=scores,
            image_attention=image.attention,
            text_attention=tuple(output.attentions or ()),
            grid=image.grid,
            prefix_tokens=image.prefix_tokens,
            image_pooling=image.pooling,
            text_read=self._read(ids),
        )

    def _reading(self, tokens: Tensor) -> Reading:
        """CLIP's class token, or what SigLIP's attention pooling makes of these `tokens` after the last norm."""
        if self.prefix_tokens:
            return "class_token"
        weights = pooling_weights(getattr(self.model.vision_model, "head", None), tokens)
        return "mean" if weights is None else attention_pooling(weights)

    def positions(self) -> tuple[Tensor | None, tuple[int, int], int]:
        """The positional table (tokens, width), its grid, and the tokens before it that have a position."""
        table = self.model.vision_model.embeddings.position_embedding.weight
        return table.detach(), self.grid, self.prefix_tokens

    def _read(self, ids: Tensor) -> Tensor:
        """(texts,) the position whose token becomes the text's embedding."""
        if self.kind == "sigmoid":
            return torch.full((len(ids),), ids.shape[1] - 1, device=ids.device)
        end = self.model.config.text_config.eos_token_id
        # The same distinction as in transformers: configurations from before 2023 name 2, and mean the largest id.
        return ids.argmax(dim=-1) if end == 2 else (ids == end).int().argmax(dim=-1)


def load_transformers_clip(folder: str | Path) -> Network:
    """A CLIP or SigLIP model from a local `transformers` folder with its tokenizer.

    Raises:
        MissingWeightsError: weights or tokenizer are missing, damaged, or do not fit the configuration.
        IncompatibleError: a model of images and texts of another build.
    """
    from transformers import AutoModel, AutoTokenizer

    folder = Path(folder)
    config = read_config(folder)
    model = load_pretrained(folder, AutoModel)
    if not all(hasattr(model, name) for name in ("text_model", "vision_model", "logit_scale", "get_text_features")):
        raise IncompatibleError(f"{config.get('model_type')} is no model that we can open.", "Choose CLIP or SigLIP.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingWeightsError(f"{folder.name} has no tokenizer that can be read: {first}") from error
    settings = {**config, "image_size": model.config.vision_config.image_size}
    return Network(module=TransformersClip(model.eval(), tokenizer), preprocessing=read_preprocessing(folder, settings))
