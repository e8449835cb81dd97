"""The first request to a fresh server may be any page's address; nothing is asked of the outside world, and nobody is
kept out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from pages.navigation import ENTRIES, HOME

PAGES = sorted(path.parent.name for path in (Path(__file__).parents[2] / "pages").glob("*/page.py"))


@pytest.mark.parametrize("stem", PAGES)
def test_first_request_is_a_deep_link(start_server: Callable[[], str], page: Any, stem: str) -> None:
    path, text = (f"/{stem}", ENTRIES[stem].title) if stem != HOME else ("/", "See inside vision models")
    base = start_server()
    outside: list[str] = []
    page.on(
        "request",
        lambda request: (
            outside.append(request.url) if not request.url.startswith((base, "ws:", "data:", "blob:")) else None
        ),
    )
    page.goto(base + path)
    page.get_by_role("heading").filter(has_text=text).first.wait_for()
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    # The navigation is there, so the page did not run without it, and no "Page not found" lies over it.
    page.get_by_text("Look inside").first.wait_for(state="attached")
    assert page.get_by_role("dialog").count() == 0
    assert page.locator('[data-testid="stException"]').count() == 0
    page.locator("canvas, img, .js-plotly-plot").nth(1).wait_for()  # more than the logo: filled on arrival
    assert outside == []
    page.set_viewport_size({"width": 1280, "height": 900})
    assert uneven(page) == []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)
        assert serious(page) == [], scheme


# Names of controls in one row that do not stand on one line, and by how many pixels.
UNEVEN = """() => {
  const names = [...document.querySelectorAll("[data-testid=stWidgetLabel]")].filter((each) =>
    each.getClientRects().length && each.getBoundingClientRect().width > 2 && !each.closest("[data-testid=stCheckbox]"))
  const placed = names.map((each) => {
    const box = each.getBoundingClientRect()
    const row = each.closest("[data-testid=stHorizontalBlock]")
    return { text: each.innerText.trim(), left: box.left, line: box.top + box.height / 2, row }
  })
  const beside = (one, two) => one.row && one.row === two.row && one.left < two.left
  // Further apart than a label is high, they are not of one line of a row that wraps.
  const uneven = (one, two) => Math.abs(Math.abs(one.line - two.line) - 12.3) < 11.7
  return placed.flatMap((one) => placed.filter((two) => beside(one, two) && uneven(one, two))
    .map((two) => `${one.text} | ${two.text}: ${(one.line - two.line).toFixed(1)}`))
}"""


def uneven(page: Any) -> list[str]:
    """Which labels of a row stand higher than others; once the page has its last shape."""
    for _ in range(5):
        if not (found := page.evaluate(UNEVEN)):
            break
        page.wait_for_timeout(500)
    return found


def serious(page: Any) -> list[str]:
    """What axe-core finds on a page that keeps people from using it."""
    # Controls that cannot be used yet are faint on purpose, as WCAG allows; axe knows it of native ones alone.
    for _ in range(5):  # colours may be on their way to those of another scheme
        found = Axe().run(page, context={"exclude": [[".stElementContainer:has(:disabled)"]]}).response["violations"]
        if not (grave := [each for each in found if each["impact"] in ("serious", "critical")]):
            return []
        page.wait_for_timeout(1000)
    return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}" for each in grave]
