"""Text from outside is taken literally: the escaper against a reader of Markdown, and its callers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from core.paths import CHECKOUT
from pages.shared.foreign import code, literal, plain
from tests.foreign_lint import Lint, lint

HOSTILE = (
    "![x](http://evil.test/p.png)", "[l](http://evil.test)", "<img src=http://evil.test/x>", "$x^2$", "$$x$$",
    ":material/home:", ":bug:", ":red[x]", ":streamlit:", "`x`", "``x``", "~~x~~", "**x**", "_x_", "# x", "- x", "+ x",
    "1. x", "1) x", "> x", "| a | b |\n|---|---|\n| 1 | 2 |", "---", "===", "    x", "```\nx\n```", "&lt;b&gt;", "[^1]",
    "http://evil.test", "https://evil.test", "www.evil.test", "me@evil.test", "a -> b", "-- x", "x >= y", "\\", "a\\",
    "[x]: http://evil.test", "x\n\n# y", "<http://evil.test>", "\u202ex", "\x00", "\ud800", "[ ] x",
)  # fmt: skip
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def read(text: str) -> str:
    """The letters that Markdown leaves of a text; it must be a paragraph of them and nothing else."""
    (opening, inline, closing) = READER.parse(text)
    assert (opening.type, closing.type) == ("paragraph_open", "paragraph_close"), text
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}, text
    return "".join(child.content for child in inline.children or [])


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("around", ["{}", "before {} after", "{}, {}", "{}{}"])
def test_nothing_is_made_of_it_and_every_letter_stays(text: str, around: str) -> None:
    shown = around.replace("{}", plain(text) or "x")
    found = read(shown).replace("\u2060", "")
    assert found.strip() == around.replace("{}", literal(text) or "x").strip()


@given(st.text(min_size=1))
def test_no_text_at_all_becomes_markdown(text: str) -> None:
    assert read(f"x{plain(text)}").replace("\u2060", "") == f"x{literal(text)}".replace("\u2060", "")
    if plain(text):
        assert read(plain(text)).replace("\u2060", "") == literal(text).replace("\u2060", "")


# The patterns of Streamlit 1.67's browser side, which sees what is left without the escapes, and what they would find.
AFTERWARDS = (
    r":material_(\w+):",
    r":[\w+-][\w_+-]*:",
    r"(https?://|www(?=\.))([-.\w]+)",
    r"[-.\w+]+@[-\w]+(\.[-\w]+)+",
    r"(^|\s)(<->|->|<-|--|>=|<=|~=)(\s|$)",
)
LATER = (
    ":material/home:", ":material_home:", ":bug:", ":+1:", ":-1:", ":streamlit:", "http://evil.test", "www.evil.test",
    "WWW.evil.test", "me@evil.test", "x -> y", "x <- y", "x <-> y", "x -- y", "x >= y", "x ~= y",
)  # fmt: skip


@pytest.mark.parametrize("text", LATER)
def test_what_is_replaced_after_reading_is_broken_up(text: str) -> None:
    assert any(re.search(pattern, text.replace(":material/", ":material_"), re.IGNORECASE) for pattern in AFTERWARDS)
    left = read(plain(text).replace(":material/", ":material_"))
    for pattern in AFTERWARDS:
        assert not re.search(pattern, left, re.IGNORECASE), pattern


@pytest.mark.parametrize("text", HOSTILE)
def test_code_is_one_span(text: str) -> None:
    (_, inline, _) = READER.parse(f"see {code(text)} there")
    assert [child.type for child in inline.children or []] == ["text", "code_inline", "text"]


def test_long_text_ends_in_dots() -> None:
    assert literal("x" * 3000, 100) == "x" * 99 + "…"
    assert len(plain("*" * 10_000, 100)) == 2 * 99 + 1


def test_no_foreign_text_reaches_markdown() -> None:
    assert lint(CHECKOUT) == []


FINDS = {
    "a name": "import streamlit as st\ndef show(run):\n    st.markdown(f'**{run.name}**')\n",
    "through a variable": "import streamlit as st\ntext = open('x').read()\nst.caption(text)\n",
    "a column": "def show(left, model):\n    left.caption(model.spec.title)\n",
    "a tooltip": "import streamlit as st\ndef f(x):\n    st.button('Go', help=x.words)\n",
    "through a function": "import streamlit as st\ndef tell(x):\n    st.info(x)\ndef go(run):\n    tell(run.cause)\n",
    "what it says": "import streamlit as st\ndef says(x):\n    return x.title\ndef g(x):\n    st.info(says(x))\n",
    "repr": "import streamlit as st\ndef f(x):\n    st.error(f'{len(x)!r}')\n",
    "no number": "import streamlit as st\ndef f(x):\n    st.error(f'{x.title:>10}')\n",
    "options": "import streamlit as st\ndef f(x):\n    st.pills('Which', x.names)\n",
    "a format": "import streamlit as st\ndef f(x):\n    st.pills('W', [1], format_func=lambda each: x.names[each])\n",
    "grown": "import streamlit as st\ndef f(x):\n    all = ['a']\n    all.append(x.b)\n    st.info(' '.join(all))\n",
}
PASSES = {
    "literal": "st.markdown('**x**')\n",
    "escaped": "def f(x):\n    st.markdown(f'**{plain(x.name)}**')\n",
    "number": "def f(x):\n    st.markdown(f'{x.count:,} of {x.share:.1%}')\n",
    "through a function": "def tell(words):\n    st.info(words)\ndef go(run):\n    tell(plain(run.cause))\n",
    "no Markdown": "def f(x):\n    st.code(x.text)\n    st.selectbox('Which', x.names)\n",
}


@pytest.mark.parametrize("case", FINDS)
def test_the_search_finds(tmp_path: Path, case: str) -> None:
    (tmp_path / "page.py").write_text(FINDS[case], encoding="utf-8")
    assert len(Lint([tmp_path / "page.py"], tmp_path).findings()) == 1


@pytest.mark.parametrize("case", PASSES)
def test_the_search_lets_pass(tmp_path: Path, case: str) -> None:
    (tmp_path / "page.py").write_text("import streamlit as st\n" + PASSES[case], encoding="utf-8")
    assert Lint([tmp_path / "page.py"], tmp_path).findings() == []
