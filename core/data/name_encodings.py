"""File names whose encoding nobody wrote down: of old zip tools, of Windows in other countries.

All names of an archive are in one encoding. Each candidate is judged by what it makes of them: words in one alphabet,
in sensible capitals, of common letters, and no signs among them. The guess is said, and can be set right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from core.errors import ConfigError

# In the order in which a tie is decided.
ENCODINGS = {
    "utf-8": "UTF-8",
    "cp437": "code page 437 (DOS)",
    "cp850": "code page 850 (Western Europe)",
    "cp1252": "code page 1252 (Western Europe)",
    "cp852": "code page 852 (Central Europe)",
    "cp1250": "code page 1250 (Central Europe)",
    "cp866": "code page 866 (Cyrillic)",
    "cp1251": "code page 1251 (Cyrillic)",
    "cp737": "code page 737 (Greek)",
    "cp1253": "code page 1253 (Greek)",
    "cp932": "code page 932 (Japanese)",
    "cp949": "code page 949 (Korean)",
    "cp936": "code page 936 (simplified Chinese)",
    "cp950": "code page 950 (traditional Chinese)",
}
_WORD = re.compile(r"[^\W\d_]+")
_WESTERN = frozenset("áàâäãåæçéèêëíìîïñóòôöõøœúùûüýÿß")
_CENTRAL = frozenset("ąćčďđęěğıľłńňőřśšşťůűźżž")
# The most frequent of Korean: Chinese names that are read as Korean would hardly be made of them.
_SYLLABLES = frozenset(
    "이다는을가의에고하지도기한사리로나자시어해수인아그서일대정부보스전상주장공여원유과제구세우성연조동비경미말선물"
    "생방문소진국모라마안영차개양새강고꽃집책의늑대곰토끼오소나무바다산들길배호랑사람음식밥빵물병컵손발눈코입머리"
)
_COMMON = frozenset("оеаинтсрвлкмдпу" + "αοιετσνηρ")


def decode_names(names: Sequence[bytes], encoding: str = "") -> tuple[list[str], str]:
    """The names as text, and the encoding that was found or given; "utf-8" needs no word about it.

    Raises:
        ConfigError: `encoding` is none that Python knows.
    """
    if encoding:
        try:
            return [name.decode(encoding, errors="replace") for name in names], encoding
        except LookupError as error:
            raise ConfigError(f"{encoding!r} is no encoding.", f"Such as {', '.join(ENCODINGS)}.") from error
    best, found, most = "cp437", [name.decode("cp437") for name in names], 0.0
    for candidate in ENCODINGS:
        try:
            texts = [name.decode(candidate) for name in names]
        except UnicodeDecodeError:
            continue
        if candidate == "utf-8":
            return texts, candidate
        score = sum(_plausible(text, candidate) for text in set(texts))
        if score > most + 1e-9:
            best, found, most = candidate, texts, score
    return found, best


def _plausible(text: str, encoding: str) -> float:
    """How much `text` looks like names that people write, summed over what is not ASCII in it."""
    score = 0.0
    for character in text:
        if character.isascii():
            continue
        if not unicodedata.category(character).startswith(("L", "M")):
            score -= 3
        else:
            score += _weight(character, encoding)
    return score + sum(_word(word) for word in _WORD.findall(text))


def _word(word: str) -> float:
    """What speaks against a word: two alphabets, capitals inside, hardly a plain letter in Latin."""
    foreign = [character for character in word if not character.isascii()]
    if not foreign:
        return 0.0
    scripts = {_script(character) for character in word}
    against = 3.0 * (len(scripts & {"LATIN", "CYRILLIC", "GREEK", "CJK", "HANGUL"}) > 1) * len(foreign)
    against += 2.0 * sum(a.islower() and b.isupper() for a, b in pairwise(word))
    if scripts == {"LATIN"} and len(foreign) > len(word) / 2:
        against += 1.5 * len(foreign)
    return -against


def _weight(character: str, encoding: str) -> float:
    """How common a letter is."""
    script = _script(character)
    if script in ("CYRILLIC", "GREEK"):
        return 1.0 if character.casefold() in _COMMON else 0.5
    if encoding == "cp932":
        if script == "HALFWIDTH":  # which is what single bytes of other encodings look like
            return -1.0
        return 1.0 if script in ("HIRAGANA", "KATAKANA") else _level(character, encoding, 0x88, 0x98)
    if encoding == "cp949":
        return 1.6 if character in _SYLLABLES else 0.5
    if encoding in ("cp936", "cp950"):
        return _level(character, encoding, *((0xB0, 0xD8) if encoding == "cp936" else (0xA4, 0xC7)))
    lower = character.lower()
    return 1.0 if lower in _WESTERN else 0.9 if lower in _CENTRAL else 0.2


def _level(character: str, encoding: str, first: int, end: int) -> float:
    """1 for the frequent characters of a table, which have their first byte in a range of their own."""
    code = character.encode(encoding)
    frequent = first <= code[0] < end and (encoding in ("cp932", "cp950") or code[-1] >= 0xA1)
    return 1.0 if frequent else 0.3


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]
