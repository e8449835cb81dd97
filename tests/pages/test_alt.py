"""Who cannot see a picture is told what it shows: every picture and chart of a page has a text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PAGES = Path(__file__).parents[2] / "pages"
DRAWN = ("image", "plotly_chart")


def without_text(source: str) -> Iterator[int]:
    """Lines of calls that draw and say nothing of it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DRAWN:
            draws = any(keyword.arg in ("width", "key", "caption") for keyword in node.keywords)
            if draws and not any(keyword.arg == "alt" for keyword in node.keywords):
                yield node.lineno


def test_every_picture_and_chart_has_a_text() -> None:
    files = sorted(PAGES.rglob("*.py"))
    silent = [f"{file.relative_to(PAGES)}:{line}" for file in files for line in without_text(file.read_text("utf-8"))]
    assert not silent, "Say in alt what these show."
    assert sum(file.read_text("utf-8").count("alt=") for file in files) > 40


def test_a_silent_picture_is_found() -> None:
    assert list(without_text('st.image(pixels, width="stretch")')) == [1]
    assert list(without_text('st.image(pixels, width="stretch", alt="A cat")')) == []
    assert list(without_text("found.image(index)")) == []
