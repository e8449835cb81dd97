r"""Text that this project did not write: the one way in which it reaches a page.

Names of files, classes, runs, data sets and models, addresses, typed labels, answers of other machines: Streamlit takes
nearly every string for Markdown, and Markdown fetches pictures, draws links and sets formulae. `plain` takes it
literally; `tests/test_foreign.py` finds every place that forgets to ask.

Backslashes alone are not enough: icons (`:material/home:`), emoji (`:bug:`), arrows and bare addresses are replaced in
the text that is left *after* Markdown has been read, escapes and all. There an invisible character that joins what it
separates (U+2060) stands between the letters.
"""

from __future__ import annotations

import re
import unicodedata

_JOINER = "\u2060"
# Anywhere in a line; a colon or an ampersand only where a name follows.
_MARKDOWN = re.compile(r"([\\*\[\]_`|~$<]|:(?=\S)|&(?=[#\w]))")
# Only where a line begins.
_BEGINNING = re.compile(r"^([#+\-=>])")
# What would be taken for an icon, an emoji, a web or mail address, or an arrow, once the escapes are gone.
_AFTERWARDS = (
    (re.compile(r":(?=[\w+\-/])"), f":{_JOINER}"),
    (re.compile(r"(?<=www)\.", re.IGNORECASE), f"{_JOINER}."),
    (re.compile(r"@"), f"@{_JOINER}"),
    (re.compile(r"(?<!\S)([<>~-])(?=(->|-|=|>)(\s|$))"), rf"\1{_JOINER}"),
)
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")


def literal(text: object, most: int | None = None) -> str:
    """`text` in one line of at most `most` letters that a browser can show: for what is no Markdown.

    Line breaks and other controls become spaces; what would turn the direction of the text around is left out.
    """
    words = "".join(_shown(letter) for letter in str(text)[: None if most is None else 4 * most + 4])
    line = " ".join(words.split())
    return line if most is None or len(line) <= most else f"{line[: most - 1].rstrip()}…"


def is_shown(text: str) -> bool:
    """Whether every letter of `text` can be shown as it is."""
    return all(_shown(letter) == letter for letter in text)


def plain(text: object, most: int | None = None) -> str:
    """`text` as `literal` gives it, with everything that Markdown would make something of taken literally."""
    line = literal(text, most)
    for pattern, broken in _AFTERWARDS:
        line = pattern.sub(broken, line)
    line = _MARKDOWN.sub(r"\\\1", line)
    return _NUMBERED.sub(r"\1\\\2", _BEGINNING.sub(r"\\\1", line))


def code(text: object, most: int | None = None) -> str:
    """`text` as a span of code, in which nothing is interpreted, whatever backticks it has."""
    line = literal(text, most)
    longest = max(map(len, re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"`{line or ' '}`"


def _shown(letter: str) -> str:
    category = unicodedata.category(letter)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    # Marks of direction would let a name pretend to end elsewhere; joiners of letters and of emoji stay.
    return "" if category == "Cf" and letter not in "\u200c\u200d" else letter
