"""A classification in a browser: stopped in the middle, gone on with, and watched by a second visitor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.diffusion_toy import save_tiny_pipeline
from tests.e2e.waiting import PATIENCE_S


def test_a_classification_is_stopped_and_gone_on_with_while_somebody_else_looks_on(
    server: str, page: Any, browser: Any, tmp_path: Path
) -> None:
    folder = save_tiny_pipeline(tmp_path / "tiny")
    address = (
        f"{server}/diffusion?model=folder:{folder}&diffusion_labels=ship,horse,deer,frog"
        "&pruning=None&samples=10000&look_every=5"
    )
    page.goto(address)
    page.get_by_text(re.compile(r"[\d,]+ of 10,000 samples")).wait_for()
    page.locator(".js-plotly-plot").first.wait_for()
    # Pictures of a step may have a bar of their own beside it.
    stop = page.locator(".st-key-stop_classification").get_by_role("button", name="Stop")
    stop.click()
    stopped = page.get_by_text(re.compile(r"Stopped after [\d,]+ of 10,000 samples"))
    stopped.wait_for()
    samples = int(re.findall(r"[\d,]+", stopped.inner_text())[0].replace(",", ""))
    assert samples < 10_000
    # A second visitor starts from there and is not stopped by the first.
    context = browser.new_context()
    other = context.new_page()
    other.goto(address)
    running = other.get_by_text(re.compile(r"[\d,]+ of 10,000 samples")).first
    running.wait_for(timeout=1000 * PATIENCE_S)
    assert int(re.findall(r"[\d,]+", running.inner_text())[0].replace(",", "")) >= samples
    page.get_by_role("button", name="Go on").click()
    stop.wait_for()
    context.close()
    stop.click()
    stopped.wait_for()
    assert page.get_by_test_id("stException").count() == 0
