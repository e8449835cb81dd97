"""One entry a term, found in cards where it may be, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages.shared.glossary import FILE, explained, glossary
from pages.shared.layout import SECTIONS, _parse
from tests.pages.harness import open_page

CARDS = sorted((Path(__file__).parents[2] / "pages").glob("*/card*.md"))


def test_every_term_has_one_entry_of_one_sentence() -> None:
    lines = [
        line for line in FILE.read_text(encoding="utf-8").splitlines() if ": " in line and not line.startswith("One")
    ]
    terms = [term.strip().casefold() for line in lines for term in line.partition(": ")[0].split(" | ")]
    assert len(terms) == len(set(terms)) == len(glossary()) > 50
    assert all(meaning.endswith(".") and len(meaning) < 160 for meaning in glossary().values())


def test_the_first_use_is_marked_and_longer_terms_win() -> None:
    (first, second), found = explained(["The class token and a token.", "Tokens and the class token again."])
    assert first.count("<abbr") == 2
    assert ">class token</abbr>" in first
    assert ">token</abbr>" in first
    assert second == "Tokens and the class token again."
    assert list(found) == ["class token", "token"]


@pytest.mark.parametrize(
    "text",
    [
        "$softmax(Q K)$",
        "[attention](https://arxiv.org/attention)",
        "`seed`",
        "https://x.org/token/seed",
        "subtoken, re-token",
    ],
)
def test_formulas_links_code_and_parts_of_words_stay_as_they_are(text: str) -> None:
    assert explained([text]) == ([text], {})


@pytest.mark.parametrize("path", CARDS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_card_without_its_marks_is_the_card(path: Path) -> None:
    texts = [_parse(path)[name] for name in SECTIONS]
    marked, _ = explained(texts)
    assert [re.sub(r'<abbr title="[^"]*">([^<]*)</abbr>', r"\1", each) for each in marked] == texts


def test_the_words_of_a_page_are_listed_and_all_others_on_request() -> None:
    app = open_page("attention")
    listed = [each.value for each in app.markdown if each.value.startswith("- **")]
    assert len(listed) == 1
    assert "- **class token**:" in listed[0]
    assert "- **ELBO**" not in listed[0]
    app.toggle(key="all_words").set_value(True).run()
    assert any("- **ELBO**:" in each.value for each in app.markdown)
