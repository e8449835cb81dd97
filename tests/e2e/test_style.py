"""A style transfer in a browser: pictures at once, a result that grows, stopped and gone on with."""

from __future__ import annotations

import re
from typing import Any


def test_a_transfer_grows_is_stopped_and_gone_on_with(server: str, page: Any) -> None:
    page.goto(f"{server}/style?features=cnn_small&side=64&steps=2000")
    result = page.get_by_text(re.compile(r"After [\d,]+ steps"))
    result.wait_for()
    first = result.inner_text()
    # Content, style and the result, side by side.
    images = page.locator('[data-testid="stImage"] img, [data-testid="stImageContainer"] img')
    images.nth(2).wait_for()
    page.wait_for_function(
        "text => ![...document.querySelectorAll('*')].some(each => each.textContent === text)", arg=first
    )  # it grew
    stop = page.locator(".st-key-stop_transfer").get_by_role("button", name="Stop")
    stop.click()
    stopped = page.get_by_text(re.compile(r"Stopped after [\d,]+ of 2,000 steps"))
    stopped.wait_for()
    steps = int(re.findall(r"[\d,]+", stopped.inner_text())[0].replace(",", ""))
    assert 0 < steps < 2000
    page.get_by_role("button", name="Go on").click()
    stop.wait_for()
    stop.click()
    stopped.wait_for()
    assert int(re.findall(r"[\d,]+", stopped.inner_text())[0].replace(",", "")) >= steps
    assert page.get_by_test_id("stException").count() == 0
