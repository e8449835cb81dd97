"""In a browser: the pointer over the latent map decodes under itself, a click is decoded exactly, a drawing is seen."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tests.e2e.waiting import pixels, settle, unlike, until


def open_map(page: Any, address: str) -> Any:
    page.goto(address)
    canvas = page.locator("canvas.top")
    canvas.wait_for()
    settle(page)
    page.get_by_text("Move over the map").wait_for()
    return canvas


def hover(page: Any, canvas: Any, across: float, down: float) -> None:
    """Move the pointer over the map, and wait until the place beneath it is decoded."""
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    # 41 tiles that are 0.15 apart, and the first of them is at -3.
    place = [0.15 * (41 * share - 0.5) - 3 for share in (across, 1 - down)]
    tenths = [re.escape(f"{value:.2f}"[:-1]) for value in place]
    page.get_by_text(
        re.compile(rf"z0 = {tenths[0]}\d, z1 = {tenths[1]}\d: between the nearest four of 1681 decodings")
    ).wait_for()


def test_the_pointer_decodes_and_a_click_asks_the_server(server: str, page: Any) -> None:
    canvas = open_map(page, f"{server}/latent?vae=vae_2d&latent_set=own:50/0")
    still = pixels(canvas)
    hover(page, canvas, 0.3, 0.6)
    until(page, lambda: unlike(pixels(canvas), still) > 1, "the lens")
    first = pixels(canvas)
    hover(page, canvas, 0.7, 0.6)
    until(page, lambda: unlike(pixels(canvas), first) > 1, "the lens elsewhere")
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


def test_a_drawing_is_reconstructed_and_outlives_another_view(server: str, page: Any) -> None:
    page.goto(f"{server}/latent?vae=vae_bernoulli&latent_set=own:50/0&latent_view=Reconstructions")
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
    until(page, lambda: pixels(canvas).max() > 200, "a stroke")
    drawn = pixels(canvas)
    page.get_by_role("radio", name="Samples").click()
    page.get_by_text("Normal prior").first.wait_for()
    page.get_by_role("radio", name="Reconstructions").click()
    canvas = page.get_by_label("Draw a digit")
    canvas.wait_for()
    settle(page)
    until(page, lambda: unlike(pixels(canvas), drawn) < 12, "drawn again from what the server kept")
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("The canvas is empty").wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0
