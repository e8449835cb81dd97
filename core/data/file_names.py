"""Which part of a file's name is its class: `german_shepherd_12.jpg`, `cat.0.jpg`, `0007_dog.png`; not `IMG_0012.jpg`.

Cameras, phones and programs name their files too. A name that is theirs holds no class.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

_WNID = re.compile(r"(n\d{8})(?:[_-](.*))?")
_TOKEN = re.compile(r"[^\s_.,()\[\]\-+#]+")
_HEAD = re.compile(r"\D+")
_NUMBERED = re.compile(r"[\s_.(\[\-+#]*\d+[)\]]?$")
# A day or a year before the number, as in cat_2021-05-01_12.
_DATED = re.compile(r"[\s_.\-]+(?:(?:19|20)\d{6}|(?:19|20)\d\d(?:-\d\d?-\d\d?)?)$")
_LEADING = re.compile(r"\d+[\s_.)\]\-]+")
_HASH = re.compile(r"(?=.*\d)(?=.*[a-f])[0-9a-f]{6,}", re.IGNORECASE)

# What cameras, phones, messengers and programs put in front of their numbers, and words that say nothing.
_NOBODY = frozenset({
    "img", "image", "images", "imgs", "imagen", "bild", "foto", "fotos", "photo", "photos", "pic", "pics", "picture",
    "pictures", "frame", "frames", "scan", "snapshot", "screenshot", "screen", "shot", "capture", "captura",
    "untitled", "unnamed", "unknown", "download", "file", "file_", "copy", "sample", "data", "item", "page", "dsc",
    "dscn", "dscf", "dsci", "_dsc", "pxl", "mvimg", "mvi", "vid", "video", "burst", "pano", "gopr", "gp", "cimg",
    "sam", "hpim", "kic", "imag", "wp", "p", "pict", "sdc", "stc", "rimg", "wa", "whatsapp", "telegram", "signal",
    "received", "fb", "fbimg", "snapchat", "instagram", "viber", "line", "camera", "cam", "cap", "still", "dji",
    "yuneec", "raw", "resized", "cropped", "crop", "edited", "edit", "final", "new", "old", "test", "train", "val",
    "valid", "validation", "training", "testing", "trainval", "sun", "isic", "view", "left", "right", "front", "back",
    "top", "bottom", "side", "jpeg", "jpg", "png", "patch", "tile", "slide",
})  # fmt: skip


def name_classes(stems: Sequence[str], *, whole: bool = False) -> list[str]:
    """The class in each name without its ending; empty where a name tells none.

    That is what stands before the number at the end, or before an earlier number where nearly every name would be a
    class of its own; without numbers the first word, or what follows a number in front. With `whole`, a name without
    numbers may be a class altogether, as for stimuli of which there is one each.
    """
    stems = [unicodedata.normalize("NFC", stem) for stem in stems]
    wnids = [_WNID.fullmatch(stem) for stem in stems]
    if stems and sum(each is not None for each in wnids) > len(stems) / 2:
        return [each[1] if each else "" for each in wnids]
    numbered = _best(stems, (_to_last_number, _to_second_last_number, _to_first_number, _between_numbers))
    worded = _best(stems, (_first_word, _after_number))
    best = worded if _named(worded) > 1.25 * _named(numbered) else numbered
    if whole and not _named(best):
        return [_meaning(stem) if not any(map(str.isdigit, stem)) else "" for stem in stems]
    return best


def _best(stems: Sequence[str], rules: Sequence[Callable[[str], str]]) -> list[str]:
    """The classes by the first rule that reads most names and leaves no more than half of them alone in their class."""
    found = [_without_common_words([rule(stem) for stem in stems]) for rule in rules]
    most = max(map(_named, found))
    readable = [names for names in found if most and _named(names) >= 0.8 * most]
    if not readable:
        return [""] * len(stems)
    for names in readable:
        counts = Counter(name for name in names if name)
        if list(counts.values()).count(1) <= _named(names) / 2:
            return names
    return readable[0]


def _named(names: Sequence[str]) -> int:
    """How many have a class; none where all have the same."""
    return len(names) - names.count("") if len({*names} - {""}) > 1 else 0


def wordnet_titles(stems: Sequence[str]) -> dict[str, str]:
    """Readable names out of `n01440764_tench`."""
    found = (_WNID.fullmatch(stem) for stem in stems)
    return {each[1]: each[2].replace("_", " ") for each in found if each and each[2] and re.search("[A-Za-z]", each[2])}


def _meaning(name: str) -> str:
    """`name`, or nothing where a device or a program gave it."""
    name = name.strip(" _.-+#([")
    words = [_HEAD.match(token) for token in _TOKEN.findall(name.casefold())]
    if not words:
        return ""
    if all(word is None or word[0] in _NOBODY or len(word[0]) < 2 for word in words) and not name.isdigit():
        # A digit in front may be a label, as in 7_00012.png; a single letter may be one, too: A_12.png.
        return name if len(name) == 1 else ""
    first = words[0]
    if first is not None and first[0] in _NOBODY and not any(character.isdigit() for character in name):
        return name  # with another word, which `_without_common_words` leaves over
    return "" if first is not None and first[0] in _NOBODY else name


def _to_last_number(stem: str) -> str:
    head, _, tail = stem.rpartition("_")
    if head and _HASH.fullmatch(tail):
        return _meaning(head)
    short = _DATED.sub("", _NUMBERED.sub("", stem, count=1))
    if short == stem:
        return ""
    return "" if short.isdigit() and len(short) > 4 else _meaning(short)  # not a date, as phones write them


def _to_second_last_number(stem: str) -> str:
    return _to_last_number(_NUMBERED.sub("", stem, count=1))


def _to_first_number(stem: str) -> str:
    found = _HEAD.match(stem)
    return _meaning(found[0]) if found and found[0] != stem else ""


def _between_numbers(stem: str) -> str:
    return _after_number(_NUMBERED.sub("", stem, count=1))


def _first_word(stem: str) -> str:
    head, mark, _ = stem.partition("_")
    return _meaning(head) if mark and not head.isdigit() else ""


def _after_number(stem: str) -> str:
    rest = _LEADING.sub("", stem, count=1)
    return _meaning(rest) if rest != stem and not rest[:1].isdigit() else ""


def _without_common_words(names: list[str]) -> list[str]:
    """Names without the words that all of them begin or end with: `img_cat`, `img_dog` are cat and dog."""
    split = [name.split("_") for name in names if name]
    if len({name for name in names if name}) < 2:
        return names
    front = back = 0
    shortest = min(map(len, split))
    while front < shortest - 1 and split[0][front].casefold() in _NOBODY and len({each[front] for each in split}) == 1:
        front += 1
    while (
        back < shortest - front - 1
        and split[0][-1 - back].casefold() in _NOBODY
        and len({each[-1 - back] for each in split}) == 1
    ):
        back += 1
    cut = ["_".join(name.split("_")[front : len(name.split("_")) - back]) if name else "" for name in names]
    return ["" if all(word.casefold() in _NOBODY for word in name.split("_")) else name for name in cut]
