"""Drop, paste, reload, back, two tabs, two browsers, delete, and the frame: one's own photo in a real browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.e2e.waiting import PATIENCE_S, settle

PAGE = "/attention?model=vit_p4"
LINK = '<a href="{}">look</a>'
HAND_OVER = """async ([content, name, way]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))
  const data = new DataTransfer()
  data.items.add(new File([bytes], name, { type: "image/jpeg" }))
  if (way === "paste")
    return document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }))
  const canvas = document.querySelector('[data-testid="stMain"]')
  for (const kind of ["dragover", "drop"])
    canvas.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, composed: true, cancelable: true }))
}"""


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A browser with its cookies."""
    found = browser.new_context(viewport={"width": 1280, "height": 900})
    found.set_default_timeout(1000 * PATIENCE_S)
    yield found
    found.close()


def photo(colour: str, size: tuple[int, int] = (1200, 400)) -> bytes:
    image = Image.new("RGB", size, colour)
    ImageDraw.Draw(image).ellipse((20, 20, 200, 200), fill="white")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def hand_over(page: Any, data: bytes, name: str, way: str) -> None:
    page.evaluate(HAND_OVER, [base64.b64encode(data).decode(), name, way])
    page.get_by_role("button", name=f"Image: {name}").wait_for()
    settle(page)


def open_page(context: Any, address: str) -> Any:
    page = context.new_page()
    page.goto(address)
    page.locator("canvas").first.wait_for()
    settle(page)
    return page


def alerts(page: Any) -> str:
    return " ".join(page.locator('[data-testid="stAlert"]').all_inner_texts())


def test_a_photo_survives_and_stays_private(server: str, context: Any, browser: Any) -> None:
    page = open_page(context, server + PAGE)
    hand_over(page, photo("darkred"), "red.jpg", "drop")
    page.reload()
    page.get_by_role("button", name="Image: red.jpg").wait_for()
    settle(page)
    hand_over(page, photo("darkgreen"), "green.jpg", "paste")
    address = page.url
    page.goto(server + "/masking?model=vit_p4&image=example:cat")
    page.get_by_role("button", name="Image: Cat").wait_for()
    page.go_back()
    page.get_by_role("button", name="Image: green.jpg").wait_for()

    second = open_page(context, address)  # another tab
    second.get_by_role("button", name="Image: green.jpg").wait_for()
    assert "only the browser" not in alerts(second)
    # Nor does a link on another site, as in a mail, make a stranger of the browser.
    second.route(
        "http://elsewhere.test/", lambda route: route.fulfill(body=LINK.format(address), content_type="text/html")
    )
    second.goto("http://elsewhere.test/")
    second.get_by_text("look").click()
    second.get_by_role("button", name="Image: green.jpg").wait_for()
    stranger = browser.new_context()
    stranger.set_default_timeout(1000 * PATIENCE_S)
    theirs = open_page(stranger, address)
    theirs.get_by_text("only the browser that uploaded it can see").first.wait_for()
    theirs.get_by_role("button", name="Image: Cup of coffee").wait_for()
    # A cookie that the stranger makes up opens nothing either.
    stranger.add_cookies([{"name": "vitrine_browser", "value": "0" * 32, "url": server}])
    theirs.reload()
    theirs.get_by_text("only the browser that uploaded it can see").first.wait_for()
    stranger.close()

    settle(page)
    page.get_by_role("button", name="Image:").first.click()
    page.get_by_text("Upload", exact=True).first.click()
    page.get_by_role("button", name="Delete all 2").click()
    page.get_by_role("button", name="Image: Cup of coffee").wait_for()
    second.reload()
    second.get_by_text("only the browser that uploaded it can see").first.wait_for()


def test_the_popover_closes_after_an_upload_and_the_frame_moves(server: str, context: Any) -> None:
    page = open_page(context, server + PAGE)
    page.get_by_role("button", name="Image:").first.click()
    page.get_by_text("Upload", exact=True).first.click()
    page.locator('input[type="file"]').first.set_input_files(
        {"name": "wide.jpg", "mimeType": "image/jpeg", "buffer": photo("navy")}
    )
    page.get_by_role("button", name="Image: wide.jpg").wait_for()
    page.get_by_test_id("stPopoverBody").wait_for(state="detached")
    page.get_by_role("button", name="Seen at 32 px").click()
    page.get_by_text("The model sees 33% of this photo, from its middle").wait_for()
    frame = page.get_by_role("slider", name="The part of the photo that the model sees")
    box = frame.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 500, box["y"], steps=4)
    page.mouse.up()
    page.get_by_text("The model sees 33% of this photo, in 32").wait_for()
    page.wait_for_url(lambda url: url.split("image=")[1].split("&")[0].endswith("%3Bcrop%3D0"))
    frame.focus()
    page.keyboard.press("End")
    page.wait_for_url(lambda url: "%3Bcrop%3D1" in url)
    page.reload()  # the address restores it
    page.get_by_role("button", name="Seen at 32 px").click()
    page.get_by_text("The model sees 33% of this photo, in 32").wait_for()
    page.get_by_text("Squash", exact=True).click()
    page.get_by_text("squashed to 32 × 32 pixels").wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0


def test_a_telephone_shows_the_frame_and_nothing_overflows(server: str, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(1000 * PATIENCE_S)
    page = open_page(context, server + PAGE + "&image=example:cat")
    # All of the photo on the first screen, and the choices above it in a row each.
    box = page.locator("canvas").first.bounding_box()
    assert box["width"] > 340
    assert box["y"] + box["height"] <= 844
    page.get_by_role("button", name="Seen at 32 px").click()
    page.get_by_role("slider", name="The part of the photo that the model sees").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(server + "/train")  # where a form stands beside the picture on a wide screen
    picture = page.locator('.st-key-staged_train [data-testid="stImage"] img').first
    picture.wait_for()
    page.get_by_text("Patch size (px)").wait_for()
    assert picture.bounding_box()["y"] < page.get_by_text("Patch size (px)").bounding_box()["y"]
    assert picture.bounding_box()["y"] < 844
    context.close()
