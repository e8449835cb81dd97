"""Typing labels in a browser: bars come, glide to their places and go; a click on one explains it; 1,000 pasted."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.clip_toy import save_tiny_clip
from tests.e2e.waiting import settle, until

TYPED = "Labels, with commas between them"


@pytest.fixture
def model(tmp_path: Path) -> str:
    return f"folder:{save_tiny_clip(tmp_path / 'tiny')}"


def bars(page: Any) -> dict[str, float]:
    """Label → where its bar stands, from the top of the page; bars on their way out are not counted."""
    # All at one moment: one that goes between two questions would be waited for.
    found = page.locator(".bars button").evaluate_all(
        "rows => rows.map((row) => [row.querySelector('.name').innerText, row.getBoundingClientRect().top])"
    )
    return dict(found)


def wait_for_bars(page: Any, names: set[str]) -> dict[str, float]:
    """The bars once they are `names` and stand still."""
    seen: list[dict[str, float]] = [{}]

    def still() -> bool:
        page.wait_for_timeout(200)
        seen.append(bars(page))
        return set(seen[-1]) == names and seen[-1] == seen[-2]

    until(page, still, f"bars of {names}")
    return seen[-1]


def test_bars_follow_what_is_typed(server: str, page: Any, model: str) -> None:
    page.goto(f"{server}/clip?model={model}&labels=cat,+ship")
    first = wait_for_bars(page, {"cat", "ship"})
    box = page.get_by_label(TYPED)
    box.click()
    page.keyboard.press("End")
    page.keyboard.type(", horse, deer", delay=15)  # no Enter: it follows the typing
    more = wait_for_bars(page, {"cat", "ship", "horse", "deer"})
    # The two keep their order among themselves, wherever the new ones came in between.
    assert (first["cat"] < first["ship"]) == (more["cat"] < more["ship"])
    spacing = sorted(more.values())
    assert all(later - earlier > 20 for earlier, later in pairwise(spacing))
    # What assistive technology reads is in the order of the ranks, too.
    assert list(more) == sorted(more, key=more.__getitem__)
    last = list(more)[-1]
    page.locator(".bars button").last.click()
    page.locator('.bars button[aria-pressed="true"] .name').get_by_text(last, exact=True).wait_for()
    assert page.locator('.bars button[aria-pressed="true"]').count() == 1
    page.locator("span[title*='strongest word']", has_text=last).wait_for()
    page.wait_for_url(re.compile("labels="))
    page.get_by_role("button", name="Lists").click()
    page.get_by_label("One a line, or with commas").fill("\n".join(f"thing {number}" for number in range(1000)))
    page.get_by_role("button", name="Use this list").click()
    page.get_by_text("The best 12 of 1,000 labels").wait_for()
    settle(page)
    page.reload()
    page.get_by_text("The best 12 of 1,000 labels").wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0
