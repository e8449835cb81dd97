"""In a browser: a lasso fills the gallery, a click shows neighbours, keys do both, and the film plays."""

from __future__ import annotations

from typing import Any

from tests.e2e.waiting import pixels, settle, unlike, until

QUERY = "set=views:8/0&encoder=cnn_small&plane_method=PCA"


def open_plane(page: Any, address: str) -> Any:
    page.goto(address)
    canvas = page.locator("figure canvas").first
    canvas.wait_for()
    settle(page)
    page.get_by_text("its 10 nearest in the original space.").wait_for()
    return canvas


def lasso(page: Any, canvas: Any) -> None:
    """Around everything."""
    box = canvas.bounding_box()
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 3, box["y"] + 3)
    page.mouse.down()
    for right, down in ((1, 0), (1, 1), (0, 1), (0, 0)):
        page.mouse.move(box["x"] + 3 + right * (box["width"] - 6), box["y"] + 3 + down * (box["height"] - 6), steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")


def test_lasso_click_and_keys(server: str, page: Any) -> None:
    canvas = open_plane(page, f"{server}/embeddings?{QUERY}")
    lasso(page, canvas)
    page.get_by_text("64 of 64 selected.").wait_for()
    page.get_by_text("64 selected, the first 60 of them").wait_for()
    page.get_by_alt_text("64 selected pictures").wait_for()
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("64 pictures. Point at one").wait_for()
    before = pixels(canvas)
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_text("lines lead to its 10 nearest in the original space.").wait_for()
    page.get_by_text("and its nearest in the original space").wait_for()
    until(page, lambda: unlike(pixels(canvas), before) > 0.5, "lines to the nearest")
    page.keyboard.press(" ")
    page.get_by_text("1 selected", exact=True).wait_for()
    page.get_by_title("Select all: Cat").click()
    page.get_by_text("8 of 64 selected.").wait_for()
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("64 pictures. Point at one").wait_for()
    bare = pixels(canvas)
    # The outline is drawn at once, has a legend of its own, and is in the address.
    page.get_by_role("combobox", name="Outline").select_option("Label")
    page.get_by_role("group", name="Outlines").get_by_text("Cat 8").wait_for()
    page.wait_for_url("**plane_outline=Label**")
    # Not by colour alone: dots of an outline have a shape, which the legend shows.
    shapes = page.get_by_role("group", name="Outlines").locator("i[class]")
    found = shapes.evaluate_all("all => all.map((each) => each.className)")
    assert found[:5] == ["disc", "square", "diamond", "triangle", "disc"]
    until(page, lambda: unlike(pixels(canvas), bare) > 0.5, "outlines")
    assert page.locator('[data-testid="stException"]').count() == 0


def test_zoom_shows_other_pictures_and_the_film_moves_them(server: str, page: Any) -> None:
    canvas = open_plane(page, f"{server}/embeddings?{QUERY}&planes=Layer+by+layer")
    whole = pixels(canvas)
    tools = page.get_by_role("toolbar", name="Plane")  # charts have zoom buttons too
    tools.get_by_role("button", name="Zoom in").click()
    until(page, lambda: unlike(pixels(canvas), whole) > 1, "the plane from nearer")
    tools.get_by_role("button", name="Whole plane").click()
    until(page, lambda: unlike(pixels(canvas), whole) < 0.5, "the whole plane again")
    slider = page.get_by_role("slider", name="Depth of the layer")
    slider.focus()
    page.keyboard.press("Home")
    page.locator("output", has_text="pixels").wait_for()
    until(page, lambda: unlike(pixels(canvas), whole) > 1, "the first plane of the film")
    page.get_by_role("button", name="Play").click()
    page.locator("output", has_text="early").wait_for()
    page.get_by_role("button", name="Pause").click()
    assert page.locator('[data-testid="stException"]').count() == 0
