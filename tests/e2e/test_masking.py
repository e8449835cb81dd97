"""In a browser: a slider takes patches away without the server, and a painted mask is undone, sent and restored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

QUERY = "/masking?model=cnn_small&image=example:cat"
# Every pixel of the picture that is drawn.
PIXELS = "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].join()"
# Move the slider in one go, as a hand does, and tell what the page shows in the frame after the next.
MOVE = """async (slider, value) => {
  const root = slider.getRootNode()
  const before = root.querySelector("output").textContent
  slider.value = value
  slider.dispatchEvent(new Event("input", { bubbles: true }))
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
  return { before, now: root.querySelector("output").textContent, headline: root.querySelector("h4").textContent }
}"""


def whole(page: Any) -> None:
    page.wait_for_selector(".st-key-page_keys", state="attached")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def test_the_slider_needs_no_server_and_the_address_follows(start_server: Callable[[], str], page: Any) -> None:
    server = start_server()
    page.goto(server + QUERY)
    slider = page.get_by_role("slider", name="Patches removed")
    slider.wait_for()
    whole(page)
    page.get_by_text("Area under the curve").first.wait_for()
    canvas = page.locator("canvas[role=img]").first
    few = canvas.evaluate(PIXELS)
    told = slider.evaluate(MOVE, "9")
    assert told["before"].startswith("25% removed")
    assert told["now"].startswith("75% removed: 48 of 64")
    assert "→" in told["headline"]
    assert canvas.evaluate(PIXELS) != few
    page.wait_for_url("**share=75**")
    whole(page)
    assert slider.evaluate("(slider) => slider.value") == "9"
    page.reload()
    slider.wait_for()
    whole(page)
    assert slider.evaluate("(slider) => slider.value") == "9"

    page.goto(server + QUERY + "&strategy=By+hand&mask=8x8.gA")
    top = page.locator("canvas.top")
    top.wait_for()
    whole(page)
    said = page.locator(".tools output")
    assert said.inner_text().startswith("1 of 64")
    box = top.bounding_box()
    places = [(box["x"] + share * box["width"], box["y"] + 0.55 * box["height"]) for share in (0.3, 0.55)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    page.mouse.up()
    assert said.inner_text().startswith("4 of 64")
    page.wait_for_url("**mask=8x8.gAAAADg*")
    page.keyboard.press("Control+z")
    assert said.inner_text().startswith("1 of 64")
    page.get_by_role("button", name="Clear").click()
    assert said.inner_text().startswith("0 of 64")
    page.get_by_role("button", name="Undo").click()
    assert said.inner_text().startswith("1 of 64")
    page.wait_for_url("**mask=8x8.gA")
