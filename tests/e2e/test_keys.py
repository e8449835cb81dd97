"""In a browser: `?` lists the keys, `P` presents, and neither takes a letter from somebody who writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.e2e.test_first_load import serious
from tests.e2e.waiting import settle, until

# Null before Streamlit's frontend has started: its scripts come after the first picture, and may come after `load`.
SKELETON = """() => {
  const main = document.querySelector('[data-testid=stMainBlockContainer]')
  return main && getComputedStyle(main, '::after').content
}"""


def test_grey_bars_are_there_before_the_page_and_gone_with_its_last_element(
    start_server: Callable[[], str], page: Any
) -> None:
    page.goto(f"{start_server()}/masking")
    page.wait_for_function(f"({SKELETON})() === '\"\"'", polling=20)
    page.get_by_text("What you see").wait_for()
    page.wait_for_function(f"({SKELETON})() === 'none'")
    settle(page)
    page.get_by_text("Lowest ranked").first.click()  # what is there stays while it is computed anew
    assert page.evaluate(SKELETON) == "none"


def test_chosen_options_can_be_read_in_the_dark(server: str, page: Any) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{server}/latent?latent_view=Rate+and+distortion")
    page.locator('[data-testid="stMultiSelect"] [data-tag]').first.wait_for()
    settle(page)
    assert serious(page) == []


def test_keys_are_listed_and_a_page_is_presented(server: str, page: Any) -> None:
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.goto(f"{server}/clip")
    page.get_by_text("What you see").wait_for()
    page.wait_for_function(f"({SKELETON})() === 'none'")
    settle(page)
    page.locator("#vitrine-presenting").wait_for(state="attached")  # from here on it listens
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("present: large type").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")

    size = "() => parseFloat(getComputedStyle(document.querySelector('[data-testid=stMain]')).fontSize)"
    before, header = page.evaluate(size), page.locator('[data-testid="stHeader"]')
    picture = page.locator("canvas, .js-plotly-plot, img").nth(1)
    narrow = picture.bounding_box()["width"]
    page.keyboard.press("p")
    header.wait_for(state="hidden")
    page.get_by_text("What you see").wait_for(state="hidden")
    page.wait_for_function("parseFloat(getComputedStyle(document.documentElement).fontSize) === 22")
    until(page, lambda: picture.bounding_box()["width"] >= narrow, "a picture as wide as before, at least")
    page.keyboard.press("p")
    header.wait_for()
    page.get_by_text("What you see").wait_for()
    page.wait_for_function(f"({size})() === {before}")

    words = page.get_by_role("textbox").first
    words.focus()
    page.keyboard.type("pp?")
    assert "pp?" in words.input_value()
    assert header.is_visible()
    assert not page.get_by_role("dialog").is_visible()


MOVING = "window.moving = setInterval(() => document.dispatchEvent(new PointerEvent('pointermove')), 50)"
FETCHED = """(kind) => performance.getEntriesByType('resource')
  .some((each) => each.initiatorType === 'script' && each.name.includes(`/static/js/${kind}.`))"""


def test_what_other_pages_are_drawn_with_is_made_ready_once_nobody_moves(server: str, page: Any) -> None:
    page.add_init_script(MOVING)
    page.goto(server)
    page.locator(".st-key-page_keys").wait_for(state="attached")
    settle(page)
    page.wait_for_timeout(1500)
    assert not page.evaluate(FETCHED, "DataFrame")
    page.evaluate("clearInterval(window.moving)")
    page.wait_for_function(FETCHED, arg="DataFrame")
    assert page.evaluate(FETCHED, "rehype-katex")
    page.get_by_role("link", name="Anatomy").first.click()
    page.get_by_role("heading", name="Anatomy").first.wait_for()
    settle(page)
    assert page.locator("[data-testid=stException]").count() == 0
