"""Biases in the browser: sliders move pictures and answers by themselves, and what is kept is under all others."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from core.data.examples import load_example
from core.data.transforms import to_batch
from core.methods.accuracy.predictions import predict_logits, top_predictions
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.photo import photo_square, photo_versions
from core.methods.manipulations.steps import Step
from core.models.weights import load
from tests.e2e.waiting import settle, until


def said(*steps: Step) -> str:
    """What the small CNN answers, as a tile has it."""
    model = load("cnn_small")
    [version] = photo_versions(photo_square(load_example("cat"), 32), [steps], seed=0)
    logits = predict_logits(model.module, to_batch([Image.fromarray(version)], model.network.preprocessing))[0]
    best = top_predictions(logits, model.classes, count=1)[0]
    return f"{best.label} {best.probability:.0%}"


def tile(page: Any, name: str) -> str:
    """The first tile of a card, without its letter and sign."""
    card = page.locator(".card", has=page.locator(f'input[data-row="{name}"]'))
    text = card.locator(".tile").first.inner_text()
    return re.sub(r"\s+", " ", re.sub("^A[\\s=≠]*", "", text)).replace(" %", "%").strip()


def wait_for_tile(page: Any, name: str, words: str) -> None:
    """Wait for the answer of a card: the server draws the page again first, the cards after it."""
    until(page, lambda: tile(page, name) == words, f"{words} on {name}")


@pytest.fixture
def biases(server: str, page: Any) -> Any:
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.add_init_script(
        "const send = WebSocket.prototype.send;"
        "WebSocket.prototype.send = function (...data) { window.sent = (window.sent ?? 0) + 1; send.apply(this, data) }"
    )
    page.goto(f"{server}/biases?models=cnn_small&photo_side=32")
    page.locator(".js-plotly-plot").first.wait_for()
    settle(page)
    return page


def test_a_slider_asks_nobody_until_the_hand_rests_and_a_kept_step_is_under_all_others(biases: Any) -> None:
    page = biases
    until(page, lambda: page.locator("input[data-row]").count() == len(MANIPULATIONS) - 1, "all cards")
    slider = page.locator('input[data-row="noise"]')
    ladder = MANIPULATIONS["noise"].ladder
    until(page, lambda: slider.get_attribute("max") == str(len(ladder) - 1), "all strengths, of which a few come first")
    settle(page)
    slider.focus()
    at_once, told = page.evaluate(
        """(stops) => {
          const find = (root) => {
            for (const each of root.querySelectorAll("*")) {
              if (each.dataset?.row === "noise") return each
              const inside = each.shadowRoot && find(each.shadowRoot)
              if (inside) return inside
            }
          }
          const slider = find(document)
          const before = window.sent
          const words = stops.map((stop) => {
            slider.value = stop
            slider.dispatchEvent(new Event("input"))
            return slider.closest(".card").querySelector("output").textContent
          })
          return [words, window.sent - before]
        }""",
        list(range(len(ladder))),
    )
    assert at_once == [MANIPULATIONS["noise"].words(strength) for strength in ladder]
    assert told == 0
    wait_for_tile(page, "noise", said(Step("noise", ladder[-1])))
    page.wait_for_url(lambda url: "noise:255" in unquote(url) and "manipulation=noise" in url)

    wait_for_tile(page, "scramble", said(Step("scramble", 4)))
    page.locator(".card", has=page.locator('input[data-row="grey"]')).locator("button.keep").click()
    page.wait_for_url(lambda url: "kept=grey:100" in unquote(url))
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.get_by_text("After Greyscale").wait_for()
    wait_for_tile(page, "scramble", said(Step("grey", 100), Step("scramble", 4)))
    page.get_by_role("button", name="Take away Greyscale").click()
    page.wait_for_url(lambda url: "kept" not in url)
    page.get_by_text("After Greyscale").wait_for(state="hidden")
    wait_for_tile(page, "scramble", said(Step("scramble", 4)))
