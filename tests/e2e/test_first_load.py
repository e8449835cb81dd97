"""The first request to a fresh server may be any page's address, and nothing is asked of the outside world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

PAGES = {
    "/": "See inside vision models",
    "/attention": "What does each part of the picture look at?",
    "/masking": "What does the model need to see?",
    "/anatomy": "What is the model made of",
    "/clip": "Which of these words fits the picture?",
    "/diffusion": "Under which prompt is the noise in the picture predicted best?",
    "/train": "What will it see, and how long will it take?",
    "/runs": "Is it learning, and when is it done?",
}


@pytest.mark.parametrize(("path", "text"), PAGES.items(), ids=list(PAGES))
def test_first_request_is_a_deep_link(start_server: Callable[[], str], page: Any, path: str, text: str) -> None:
    base = start_server()
    outside: list[str] = []
    page.on(
        "request",
        lambda request: (
            outside.append(request.url) if not request.url.startswith((base, "ws:", "data:", "blob:")) else None
        ),
    )
    page.goto(base + path)
    page.get_by_text(text).first.wait_for()
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    # The navigation is there, so the page did not run without it, and no "Page not found" lies over it.
    assert page.get_by_text("Look inside").count() >= 1
    assert page.get_by_role("dialog").count() == 0
    assert page.locator('[data-testid="stException"]').count() == 0
    page.locator("canvas, img, .js-plotly-plot").nth(1).wait_for()  # more than the logo: filled on arrival
    assert outside == []
