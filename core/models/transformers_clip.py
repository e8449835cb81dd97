"""CLIP and SigLIP folders of `transformers` behind our contract.

Sources: Radford et al. 2021, arXiv:2103.00020 (CLIP); Zhai et al. 2023, arXiv:2303.15343 (SigLIP).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import IncompatibleError, MissingWeightsError, ShapeError
from core.models.capture import eager_attention
from core.models.clip import PairTrace, TextTokens, normalised
from core.models.image_processor import read_preprocessing
from core.models.model_folder import read_config
from core.models.spec import Network, for_channels
from core.models.tokenizer_check import check_tokenizer
from core.models.trace import Trace
from core.models.transformers_trial import adapt
from core.models.transformers_vision import TransformersViT
from core.models.transformers_vit import load_pretrained
from core.models.untraceable import Untraceable


class TransformersClip(Untraceable):
    """A `transformers` model of images and texts and its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.kind = "sigmoid" if hasattr(model, "logit_bias") else "softmax"
        vision = model.config.vision_config
        self.context_length = _context_length(model, tokenizer)
        self.image_size = int(vision.image_size)
        self.image_channels = int(getattr(vision, "num_channels", 3))
        self.lacks_attention = "its image tower has not one map over all patches in every layer"
        self.masks_padding = self.kind == "softmax" and self._minds_padding()

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
        expected = (self.image_channels, self.image_size, self.image_size)
        if tuple(images.shape[1:]) != expected:
            raise ShapeError(f"This CLIP takes images of shape {expected}, got {tuple(images.shape[1:])}.")
        return self._features(images)

    def _features(self, images: Tensor) -> Tensor:
        """`embed` of images of any size."""
        native = tuple(images.shape[-2:]) == (self.image_size, self.image_size)
        options = {} if native else {"interpolate_pos_encoding": True}
        return self.model.get_image_features(pixel_values=images, **options).pooler_output

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """`texts` → (texts, dim), projected, not of unit length."""
        return self.embed_tokens(self.tokenise(texts).ids)

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """(texts, context_length) as `tokenise` gives them → (texts, dim)."""
        return self._read_texts(ids.to(self.model.device)).pooler_output

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

    def _read_texts(self, ids: Tensor, **options: Any) -> Any:
        """What the text tower makes of `ids`, projected."""
        # CLIP looks to the left alone and ends before the padding, SigLIP was trained to read it; BERT must not see it.
        if self.masks_padding:
            mask = (ids != self.tokenizer.pad_token_id).long()
            longest = int(mask.sum(dim=1).max())
            ids, options = ids[:, :longest], {**options, "attention_mask": mask[:, :longest]}
        return self.model.get_text_features(input_ids=ids, **options)

    @torch.no_grad()
    def _minds_padding(self) -> bool:
        """Whether padding behind a text changes what it means, found by trying."""
        pad = self.tokenizer.pad_token_id
        if pad is None:
            return False
        ids = torch.tensor([self.tokenizer("a")["input_ids"][: self.context_length - 2]])
        longer = torch.cat([ids, torch.full((1, 2), pad)], dim=1)
        short, long = (self.model.get_text_features(input_ids=each).pooler_output for each in (ids, longer))
        return not torch.allclose(short, long, atol=1e-4 * float(short.abs().max()))


class TransformersClipViT(TransformersClip):
    """One whose image tower is a plain vision transformer: its attention can be looked at."""

    def __init__(self, model: Any, tokenizer: Any, tower: TransformersViT) -> None:
        super().__init__(model, tokenizer)
        self.tower = (tower,)  # in a tuple, so that its weights are not listed twice
        self.depth = tower.depth
        self.lacks_attention = ""

    @property
    def has_class_token(self) -> bool:
        """Whether the first token is one that stands for the whole image: SigLIP has none."""
        return self.tower[0].has_class_token

    def last_tokens(self, images: Tensor) -> tuple[Tensor, int]:
        """The tokens (batch, tokens, width) after the last norm, before the projection; how many are no patch."""
        return self.tower[0].last_tokens(images)

    def trace(self, images: Tensor) -> Trace:
        """One pass with explicit attention, keeping the tokens and attention of every layer."""
        trace = self.tower[0].trace(images)
        projection = getattr(self.model, "visual_projection", None)
        return trace if projection is None else replace(trace, embedding=projection(trace.embedding))

    def positions(self) -> tuple[Tensor | None, tuple[int, int], int]:
        """The positional table (tokens, width), its grid, and the tokens before it that have a position."""
        return self.tower[0].positions()


class TransformersClipPair(TransformersClipViT):
    """One whose text tower hands over its attention too, so that a score can be followed back into both."""

    def trace_pair(self, images: Tensor, texts: Sequence[str]) -> PairTrace:
        """`images` (images, 3, height, width) against `texts`, with the attention of both towers in the graph."""
        image = self.trace(images)
        ids = self.tokenise(texts).ids.to(images.device)
        with eager_attention(self.model):
            output = self._read_texts(ids, output_attentions=True)
        pooled = output.pooler_output
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

    def _read(self, ids: Tensor) -> Tensor:
        """(texts,) the position whose token becomes the text's embedding."""
        if self.kind == "sigmoid":
            return torch.full((len(ids),), ids.shape[1] - 1, device=ids.device)
        if self.masks_padding:  # BERT's first token
            return torch.zeros(len(ids), dtype=torch.long, device=ids.device)
        end = self.model.config.text_config.eos_token_id
        # The same distinction as in transformers: configurations from before 2023 name 2, and mean the largest id.
        return ids.argmax(dim=-1) if end == 2 else (ids == end).int().argmax(dim=-1)


def load_transformers_clip(folder: str | Path) -> Network:
    """A model of images and texts from a local `transformers` folder with its tokenizer: CLIP, SigLIP and their kin.

    Raises:
        MissingWeightsError: weights or tokenizer are missing, damaged, or do not fit the configuration or each other.
        IncompatibleError: a model of images and texts of another build.
    """
    from transformers import AutoModel, AutoTokenizer

    folder = Path(folder)
    config = read_config(folder)
    model = load_pretrained(folder, AutoModel)
    kind = config.get("model_type")
    if not all(hasattr(model, name) for name in ("text_model", "vision_model", "logit_scale", "get_text_features")):
        raise IncompatibleError(f"{kind} is no model that we can open.", "Choose CLIP or SigLIP.")
    if not isinstance(getattr(model.config.vision_config, "image_size", None), int):
        raise IncompatibleError(
            f"{kind} takes pictures of no fixed size (NaFlex).",
            "Choose a model of a fixed size, for example google/siglip2-base-patch16-224.",
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingWeightsError(
            f"{folder.name} has no tokenizer that can be read: {first}",
            "Copy the tokenizer's files of the model that this one was made from into the folder.",
        ) from error
    vocabulary = int(model.config.text_config.vocab_size)
    check_tokenizer(lambda text: tokenizer(text)["input_ids"], len(tokenizer), vocabulary, folder.name)
    settings = {**config, "image_size": model.config.vision_config.image_size}
    module = _adapt(model.eval(), tokenizer)
    preprocessing = for_channels(read_preprocessing(folder, settings), module.image_channels, folder.name)
    return Network(module=module, preprocessing=preprocessing)


@torch.no_grad()
def _adapt(model: Any, tokenizer: Any) -> TransformersClip:
    """The adapter that offers what the towers allow, found by tracing a small picture and a text."""
    tower = adapt(model.vision_model)
    if not isinstance(tower, TransformersViT):
        return TransformersClip(model, tokenizer)
    found = TransformersClipPair(model, tokenizer, tower)
    assert tower.trial_size is not None
    picture = torch.zeros(1, found.image_channels, *tower.trial_size)
    texts = ["a photo of a cat"]
    try:
        embedding = found._features(picture)
        if not torch.allclose(found.trace(picture).embedding, embedding, rtol=1e-3, atol=1e-4):
            return TransformersClip(model, tokenizer)
    except Exception:  # whatever a library's module of another build does
        return TransformersClip(model, tokenizer)
    expected = found.logit_scale * normalised(embedding) @ normalised(found.embed_texts(texts)).T + found.logit_bias
    try:
        pair = found.trace_pair(picture, texts)
    except Exception:  # the same
        return TransformersClipViT(model, tokenizer, tower)
    if pair.text_attention and torch.allclose(pair.scores, expected, rtol=1e-3, atol=1e-3):
        return found
    return TransformersClipViT(model, tokenizer, tower)


def _context_length(model: Any, tokenizer: Any) -> int:
    """Tokens that fit into the text tower and are wanted by the tokenizer."""
    length = int(model.config.text_config.max_position_embeddings)
    # RoBERTa counts positions from behind the id of its padding.
    starts = [
        part.padding_idx + 1
        for part in model.text_model.modules()
        if hasattr(part, "position_embeddings") and isinstance(getattr(part, "padding_idx", None), int)
    ]
    return min(length - max(starts, default=0), int(min(tokenizer.model_max_length, length)))
