"""In a browser: the pointer over the latent map decodes under itself, a click is decoded exactly, a drawing is seen."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image


def settle(page: Any) -> None:
    page.wait_for_timeout(500)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def pixels(canvas: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)


def open_map(page: Any, address: str) -> Any:
    page.goto(address)
    canvas = page.locator("canvas.top")
    canvas.wait_for()
    settle(page)
    page.get_by_text("Move over the map").wait_for()
    return canvas


def hover(page: Any, canvas: Any, across: float, down: float) -> str:
    """Move the pointer; returns what is said beneath the map."""
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    said = page.get_by_text("between the nearest four of 1681 decodings")
    said.wait_for()
    page.wait_for_timeout(200)
    return str(said.inner_text())


def test_the_pointer_decodes_and_a_click_asks_the_server(start_server: Callable[[], str], page: Any) -> None:
    canvas = open_map(page, f"{start_server()}/latent?vae=vae_2d&latent_set=own:50/0")
    still = pixels(canvas)
    said = hover(page, canvas, 0.3, 0.6)
    first = pixels(canvas)
    assert np.abs(first - still).mean() > 1  # the lens
    other = hover(page, canvas, 0.7, 0.6)
    assert said != other
    # The picture in the lens, above the pointer, is another one.
    side = first.shape[0]
    lens = [
        shown[int(0.37 * side) : int(0.52 * side), int((x - 0.08) * side) : int((x + 0.08) * side)]
        for shown, x in ((first, 0.3), (pixels(canvas), 0.7))
    ]
    assert np.abs(lens[0] - lens[1]).mean() > 5
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"])
    # 0.7 of 41 tiles that are 0.15 apart.
    chosen = re.compile(r"Decoded exactly at z0 = 1\.2\d, z1 = 1\.2\d")
    page.get_by_text(chosen).wait_for()
    page.wait_for_url(re.compile(r"at=1\.2\d"))
    canvas = open_map(page, page.url)
    page.get_by_text(chosen).wait_for()
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_text(re.compile(r"Decoded exactly at z0 = 1\.[23]\d, z1 = 1\.2\d")).wait_for()
    page.wait_for_url(re.compile(r"at=1\.[23]\d"))
    assert page.locator('[data-testid="stException"]').count() == 0


def test_a_drawing_is_reconstructed_and_outlives_another_view(start_server: Callable[[], str], page: Any) -> None:
    page.goto(f"{start_server()}/latent?vae=vae_bernoulli&latent_set=own:50/0&latent_view=Reconstructions")
    canvas = page.get_by_label("Draw a digit")
    canvas.wait_for()
    settle(page)
    page.get_by_text("The canvas is empty").wait_for()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.8 * box["height"], steps=6)
    page.mouse.up()
    page.get_by_text("The canvas is empty").wait_for(state="detached")
    drawn = pixels(canvas)
    assert drawn.max() > 200
    page.get_by_role("radio", name="Samples").click()
    page.get_by_text("Normal prior").first.wait_for()
    page.get_by_role("radio", name="Reconstructions").click()
    canvas = page.get_by_label("Draw a digit")
    canvas.wait_for()
    settle(page)
    assert np.abs(pixels(canvas) - drawn).mean() < 12  # drawn again from what the server kept
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("The canvas is empty").wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0
