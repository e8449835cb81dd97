"""Where an image-text score comes from: relevance of every patch and of every word, out of one backward pass.

Source: Chefer et al. 2021, "Generic Attention-model Explainability", arXiv:2103.15679, equations 5 and 6, in each
tower by itself, since CLIP's towers do not attend to each other; reference code
hila-chefer/Transformer-MM-Explainability (CLIP_explainability.ipynb).
Differs from that notebook: all layers take part, as the paper says; the notebook begins at the last one.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.device import as_input_of
from core.errors import IncompatibleError
from core.finite import require_finite
from core.models.trace import reading_of, readout
from core.notebook import Drawn

_SPECIAL = re.compile(r"<[^<>\s]+>|\[[A-Z]+\]|</s>")
_END_OF_WORD = "</w>"
_STARTS = ("▁", "Ġ")


@dataclass(frozen=True, kw_only=True)
class ImageTextRelevance(Drawn):
    """One score and its parts; relevance is not negative and not normalised.

    Attributes:
        score: the logit that is explained; a difference of logits where there was something to compare with.
        patches: (rows, columns) float32.
        words: of the text, as the tokenizer splits it, put together from its pieces.
        word_relevance: (words,) float32.
    """

    score: float
    patches: np.ndarray
    words: tuple[str, ...]
    word_relevance: np.ndarray


def image_text_relevance(module: Any, image: Tensor, text: str, against: Sequence[str] = ()) -> ImageTextRelevance:
    """What in `image` (1, 3, height, width) and in `text` raises their score.

    Args:
        module: offers `trace_pair` and `tokenise`.
        against: texts whose mean score is subtracted first: what speaks for `text` rather than for these.

    Raises:
        IncompatibleError: the model's towers are no transformers whose attention can be read.
    """
    if not hasattr(module, "trace_pair"):
        raise IncompatibleError(
            "Where a score comes from is read from the attention of both towers, which this model does not offer.",
            "Choose a CLIP whose image tower is a vision transformer.",
        )
    # An own copy, so that a photo made in inference mode can take part in a backward pass.
    with torch.inference_mode(False), torch.enable_grad():
        pair = module.trace_pair(as_input_of(module, image).detach().clone(), [text, *against])
        score = pair.scores[0, 0]
        if against:
            score = score - pair.scores[0, 1:].mean()
        gradients = torch.autograd.grad(score, [*pair.image_attention, *pair.text_attention])
    for layer in (pair.scores, *pair.image_attention, *pair.text_attention, *gradients):
        require_finite("Scores, attention and its gradient", layer)
    layers = len(pair.image_attention)
    image_relevance = _accumulate(pair.image_attention, gradients[:layers])
    text_relevance = _accumulate(pair.text_attention, gradients[layers:])
    row = readout(image_relevance, reading_of(pair.image_pooling, 0), pair.prefix_tokens)[pair.prefix_tokens :]
    words, groups = join_pieces(module.tokenise([text]).pieces[0])
    tokens = text_relevance[int(pair.text_read[0])].cpu().numpy()
    return ImageTextRelevance(
        score=float(score.detach()),
        patches=row.reshape(pair.grid).cpu().numpy(),
        words=words,
        word_relevance=np.array([tokens[list(group)].sum() for group in groups], dtype=np.float32),
    )


def _accumulate(attention: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Equations 5 and 6 for the first of the batch: (tokens, tokens)."""
    tokens = attention[0].shape[-1]
    relevance = torch.eye(tokens, device=attention[0].device)
    for weights, gradient in zip(attention, gradients, strict=True):
        helpful = (gradient * weights.detach())[0].clamp(min=0).mean(dim=0).float()
        relevance = relevance + helpful @ relevance
    return relevance


def join_pieces(pieces: Sequence[str]) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Words as people read them, and the positions of the pieces of each; start, end and padding marks are left out.

    Understands the marks of CLIP's byte pairs (`cat</w>`), of GPT-2's (`Ġcat`), of SentencePiece (`▁cat`) and of
    WordPiece (`##s`); without any of them each piece is a word.
    """
    inner = [(index, piece) for index, piece in enumerate(pieces) if not _SPECIAL.fullmatch(piece)]
    groups: list[list[tuple[int, str]]] = []
    marked_ends = any(piece.endswith(_END_OF_WORD) for _, piece in inner)
    marked_starts = any(piece.startswith(_STARTS) for _, piece in inner)
    for index, piece in inner:
        if marked_ends:
            joined = bool(groups) and not groups[-1][-1][1].endswith(_END_OF_WORD)
        elif marked_starts:  # which a full stop does not have
            joined = not piece.startswith(_STARTS) and piece[0] not in string.punctuation
        else:
            joined = piece.startswith("##")
        if joined and groups:
            groups[-1].append((index, piece))
        else:
            groups.append([(index, piece)])
    words = tuple(_readable("".join(_bare(piece) for _, piece in group)) for group in groups)
    kept = [(word, tuple(index for index, _ in group)) for word, group in zip(words, groups, strict=True) if word]
    return tuple(word for word, _ in kept), tuple(group for _, group in kept)


def _bare(piece: str) -> str:
    """A piece without the marks of its tokenizer."""
    return piece.removesuffix(_END_OF_WORD).removeprefix("##").lstrip("".join(_STARTS))


def _readable(word: str) -> str:
    """Byte-level tokenizers write bytes as letters; other scripts have to be read back."""
    table = _bytes()
    if word.isascii() or not all(letter in table for letter in word):
        return word
    try:
        return bytes(table[letter] for letter in word).decode()
    except UnicodeDecodeError:
        return word


@cache
def _bytes() -> dict[str, int]:
    """The letter that GPT-2's and CLIP's tokenizers write for each byte, turned round."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(rest)}
