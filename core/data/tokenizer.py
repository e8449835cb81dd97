"""A small tokenizer of our own: open_clip's has 49,408 pieces, whose embeddings alone would outweigh a small model.

Byte-level BPE, learned from WordNet's nouns and glosses and from the caption templates; whatever it was not learned
from falls apart into bytes, so that no text in any script becomes an unknown token. `assets/clip_tokenizer/` is what

    python -m core.data.tokenizer /usr/share/wordnet

wrote. A Hugging Face tokenizer: `<start>`, pieces, `<end>`, then `<pad>`; capitals and accents' encodings are evened.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.data.captions import PLAIN_TEMPLATES, TEMPLATES, write_caption
from core.paths import ASSETS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ASSET = ASSETS / "clip_tokenizer"
PIECES = 4096
PAD, START, END = "<pad>", "<start>", "<end>"
PAD_ID, START_ID, END_ID = 0, 1, 2


def train_tokenizer(texts: Iterable[str], pieces: int = PIECES) -> Tokenizer:
    """A tokenizer with at most so many pieces, learned from `texts`; the 256 bytes are always among them."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
    from tokenizers.models import BPE

    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    # A space before the first word, so that it is the same piece there as within a text.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, START_ID), (END, END_ID)]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, context_length: int) -> None:
    """Write `tokenizer` as transformers' `AutoTokenizer` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "pad_token": PAD,
        "bos_token": START,
        "eos_token": END,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load_tokenizer(folder: Path = ASSET) -> Tokenizer:
    """The tokenizer of a folder."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def encode_texts(texts: Sequence[str], length: int) -> np.ndarray:
    """(texts, length) int64 ids under the bundled tokenizer, padded; what is too long loses its end."""
    tokenizer = load_tokenizer()
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token=PAD, length=length)
    return np.asarray([found.ids for found in tokenizer.encode_batch(list(texts))], dtype=np.int64)


def encode_prompts(names: Sequence[str], length: int) -> np.ndarray:
    """Every plain template about every name: (names, templates, length) int64 ids."""
    texts = [write_caption(template, name) for name in names for template in PLAIN_TEMPLATES]
    return encode_texts(texts, length).reshape(len(names), len(PLAIN_TEMPLATES), length)


def _wordnet_texts(source: Path) -> Iterator[str]:
    """Names and glosses of all nouns of WordNet in `source`, and the templates about each first name."""
    place = 0
    for line in (source / "data.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            continue
        fields, _, gloss = line.partition(" | ")
        _, _, _, count, *rest = fields.split()
        names = [name.replace("_", " ") for name in rest[: 2 * int(count, 16) : 2]]
        yield from names
        yield gloss
        yield write_caption(TEMPLATES[place % len(TEMPLATES)], names[0])
        place += 1


if __name__ == "__main__":
    save_tokenizer(train_tokenizer(_wordnet_texts(Path(sys.argv[1]))), ASSET, context_length=32)
    print(f"{load_tokenizer().get_vocab_size()} pieces in {ASSET}")
