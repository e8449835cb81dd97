"""Words of the trade, one entry each: under the pointer where a card uses them, and as a list under the cards."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path

import streamlit as st

FILE = Path(__file__).with_suffix(".md")
# Where nothing may be put into the text: formulas, links, code and tags.
_KEPT = re.compile(r"(\$[^$]+\$|\[[^\]]*\]\([^)]*\)|`[^`]*`|<[^>]+>|https?://\S+)")


@st.cache_data(show_spinner=False)
def glossary() -> dict[str, str]:
    """What each term means; a term with several forms is there once for each of them."""
    entries: dict[str, str] = {}
    for line in FILE.read_text(encoding="utf-8").split("\n\n", 2)[2].splitlines():
        forms, _, meaning = line.partition(": ")
        entries |= {form.strip(): meaning for form in forms.split(" | ")}
    return entries


def explained(texts: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Texts in Markdown with the first use of every term marked, for `unsafe_allow_html`; and the terms that they use.

    A term that is a word of another one, such as token in class token, is not found within it.
    """
    entries, found = glossary(), dict[str, str]()
    longest = sorted(entries, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest))})(?![\w-])", re.IGNORECASE)
    names = {name.casefold(): name for name in entries}
    # A meaning is explained once, whichever of its forms comes first.
    told: set[str] = set()

    def mark(match: re.Match[str]) -> str:
        meaning = entries[names[match[0].casefold()]]
        if meaning in told:
            return match[0]
        told.add(meaning)
        found[names[match[0].casefold()]] = meaning
        return f'<abbr title="{html.escape(meaning)}">{match[0]}</abbr>'

    marked = []
    for text in texts:
        parts = _KEPT.split(text)
        # Split by a group: every second part is what has to stay.
        marked.append("".join(part if index % 2 else pattern.sub(mark, part) for index, part in enumerate(parts)))
    return marked, found


def word_list(found: dict[str, str]) -> None:
    """The terms of a page and what they mean, folded away, and all others behind them."""
    with st.expander("Words on this page", icon=":material/menu_book:"):
        st.markdown(_as_list(found))  # ours: the glossary
        rest = {term: meaning for term, meaning in glossary().items() if meaning not in found.values()}
        if st.toggle("All words", key="all_words"):
            st.markdown(_as_list(rest))  # ours: the glossary


def _as_list(entries: dict[str, str]) -> str:
    """Sorted, one line a meaning."""
    forms: dict[str, list[str]] = {}
    for term, meaning in entries.items():
        forms.setdefault(meaning, []).append(term)
    lines = sorted((terms[0], meaning) for meaning, terms in forms.items())
    return "\n".join(f"- **{term}**: {meaning}" for term, meaning in sorted(lines, key=lambda line: line[0].casefold()))
