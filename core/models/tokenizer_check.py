"""Whether a tokenizer belongs to the model beside it: libraries build an empty one where its files are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.errors import MissingWeightsError

# Words of one length, so that a tokenizer that knows none of them gives all the same ids; a tokenizer may know one
# script and not another.
_WORDS = (("cat", "dog", "sun", "map", "red", "two"), ("猫", "犬", "山", "海"), ("кот", "дом", "лес", "сад"))
_REMEDY = (
    "Copy the tokenizer's files (tokenizer.json, or vocab.json and merges.txt) of the model that this one was made "
    "from into the folder, for example with processor.save_pretrained(FOLDER)."
)


def check_tokenizer(encode: Callable[[str], Sequence[int]], size: int, vocabulary: int, origin: str) -> None:
    """Refuse a tokenizer that is not the model's.

    Args:
        encode: the ids of a text.
        size: how many tokens the tokenizer knows.
        vocabulary: how many the model has embeddings for; some round it up.
        origin: named in the message.

    Raises:
        MissingWeightsError: the sizes differ, ids lie beyond the model's embeddings, or different words are one to it.
    """
    if not 0.9 * vocabulary <= size <= 1.1 * vocabulary:
        raise MissingWeightsError(
            f"{origin} has no tokenizer of its own: the one there knows {size:,} tokens, the model {vocabulary:,}.",
            _REMEDY,
        )
    ids = [[tuple(encode(word)) for word in words] for words in _WORDS]
    if any(number >= vocabulary for group in ids for each in group for number in each):
        raise MissingWeightsError(
            f"The tokenizer of {origin} gives tokens that the model has no embedding for.", _REMEDY
        )
    if all(2 * len(set(group)) <= len(group) for group in ids):
        raise MissingWeightsError(
            f'The tokenizer of {origin} reads different words as the same, as "cat" and "dog".', _REMEDY
        )
