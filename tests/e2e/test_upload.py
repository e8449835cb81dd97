"""Upload a phone photo and see its maps, upright; click a patch; send a bad file and go on."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.examples import load_example
from core.data.transforms import to_batch
from core.methods.attention.attention import attention_maps, attention_mass, shown_map
from core.methods.attention.rollout import rollout_to
from core.models.weights import load
from tests.e2e.waiting import pixels, settle, unlike, until


def phone_photo() -> bytes:
    """Twelve megapixels, stored on its side with the EXIF tag that says so."""
    upright = load_example("cat").resize((3024, 4032))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    buffer = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=80, exif=exif)
    return buffer.getvalue()


def open_uploader(page: Any) -> None:
    page.get_by_role("button", name="Image:").first.click()
    page.get_by_text("Upload", exact=True).first.click()


def test_phone_photo_to_maps(server: str, page: Any) -> None:
    page.goto(server + "/attention?model=vit_p4")
    page.locator("canvas").first.wait_for()
    open_uploader(page)
    page.locator('input[type="file"]').first.set_input_files(
        {"name": "IMG_0001.JPG", "mimeType": "image/jpeg", "buffer": phone_photo()}
    )
    page.get_by_role("button", name="Image: IMG_0001.JPG").wait_for()
    page.keyboard.press("Escape")
    settle(page)
    assert page.locator('[data-testid="stException"]').count() == 0
    # Upright: the brightness of what is shown follows the upright photo, not the stored one.
    square = load_example("cat").resize((3024, 4032)).crop((0, 504, 3024, 3528)).convert("L")
    upright = np.asarray(square.resize((24, 24)), dtype=float)

    def is_upright() -> bool:
        shown = pixels(page.locator("canvas").first).mean(axis=2)
        seen = np.asarray(Image.fromarray(shown.astype(np.uint8)).resize((24, 24)), dtype=float)
        agreement = [np.corrcoef(np.rot90(upright, turns).ravel(), seen.ravel())[0, 1] for turns in range(4)]
        return int(np.argmax(agreement)) == 0

    until(page, is_upright, "the photo, upright")


def test_a_patch_can_be_chosen_by_mouse_and_keyboard(server: str, page: Any) -> None:
    page.goto(server + "/attention?model=vit_p4&image=example:cat")
    canvas = page.locator("canvas").first
    canvas.wait_for()
    settle(page)
    caption = page.get_by_text("The class token attends most")
    caption.wait_for()
    box = canvas.bounding_box()
    before = pixels(canvas)
    canvas.hover(position={"x": box["width"] * 0.95, "y": box["height"] * 0.05})
    page.get_by_text("The patch at row 1, column 8 attends most").wait_for()
    until(page, lambda: unlike(pixels(canvas), before) > 1, "another map")
    canvas.click(position={"x": box["width"] * 0.05, "y": box["height"] * 0.95})
    settle(page)
    canvas.focus()
    page.mouse.move(5, 5)
    page.get_by_text("The patch at row 8, column 1 attends most").wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_text("The patch at row 8, column 2 attends most").wait_for()


def place_and_share(values: np.ndarray) -> tuple[int, int, float]:
    """Row and column of the largest value, from 1, and that value."""
    row, column = np.unravel_index(np.argmax(values), values.shape)
    return int(row) + 1, int(column) + 1, float(values.max())


# Keys one after another within one task: whatever is drawn between them, nobody is asked.
KEYS = """([selector, keys]) => {
  const find = (root) => {
    for (const each of root.querySelectorAll("*")) {
      const inside = each.matches(selector) ? each : each.shadowRoot && find(each.shadowRoot)
      if (inside) return inside
    }
  }
  const element = find(document)
  element.focus()
  for (const key of keys) element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }))
}"""


def test_maps_are_chosen_without_asking_the_server_and_are_what_core_computes(server: str, page: Any) -> None:
    page.add_init_script(
        "const send = WebSocket.prototype.send;"
        "WebSocket.prototype.send = function (...data) { window.sent = (window.sent ?? 0) + 1; send.apply(this, data) }"
    )
    model = load("differential_vit_p4", "cpu")
    maps = attention_maps(model.module, to_batch([load_example("cat")], model.network.preprocessing))
    # A patch whose strongest partners are no close call, which a byte a weight could not decide.
    page.goto(server + "/attention?model=differential_vit_p4&image=example:cat&patch=52")
    page.locator(".st-key-page_keys").wait_for(state="attached")
    row, column, share = place_and_share(shown_map(maps, 5, "mean", 52))
    page.get_by_text(
        f"The patch at row 7, column 5 attends most, {100 * share:.1f} % at row {row}, column {column}."
    ).wait_for()
    settle(page)
    before = page.evaluate("window.sent")
    page.get_by_role("application", name="6 layers (columns), 3 heads (rows)").wait_for()
    page.evaluate(KEYS, [".mosaic", ["ArrowDown"] * 3 + ["ArrowLeft"] * 4])
    row, column, share = place_and_share(shown_map(maps, 1, "3", 52))
    page.get_by_text(f"{100 * share:.1f} % at row {row}, column {column}.").wait_for()
    page.locator('select[name="direction"]').select_option("from")
    row, column, _ = place_and_share(shown_map(maps, 1, "3", 52, "from"))
    page.get_by_text(f"is attended to most by row {row}, column {column}, which gives it").wait_for()
    page.locator('select[name="kind"]').select_option("rollout")
    row, column, _ = place_and_share(rollout_to(maps, 1, "3", 52))
    page.get_by_text(f"the patch at row 7, column 5 holds most of row {row}, column {column}").wait_for()
    mask = attention_mass(rollout_to(maps, 1, "3", 52), 0.6)
    page.locator('input[name="mass"]').fill("60")
    page.get_by_text(f"{mask.sum()} of 64 patches hold 60 % of the map.").wait_for()
    # When the finger rests, the address follows, and the words.
    page.wait_for_url(lambda url: "layer=2" in url and "head=3" in url and "map=rollout" in url and "mass=60" in url)
    few = attention_mass(rollout_to(maps, 1, "3", 52), 0.6).sum()
    page.get_by_role("heading", name=f"comes from {few} of 64 patches").wait_for()
    settle(page)
    assert page.evaluate("window.sent") - before <= 4, "a message for every rest, none for every choice"
    # None at all before the finger rests.
    before = page.evaluate("window.sent")
    page.evaluate(KEYS, [".mosaic", ["ArrowLeft", "ArrowRight"] * 20 + ["ArrowLeft"]])
    assert page.evaluate("window.sent") == before
    page.wait_for_url(lambda url: "layer=1" in url)
    settle(page)
    assert page.evaluate("window.sent") == before + 1


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """`image` as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_header() -> bytes:
    """A PNG of a few bytes that claims 30,000 × 30,000 pixels."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def bad_files() -> dict[str, bytes]:
    """What people drop on an uploader by mistake."""
    photo = encoded(load_example("cat"), "JPEG")
    return {
        "renamed.jpg": b"These are words, not pixels.\n" * 20,
        "empty.png": b"",
        "truncated.jpg": photo[: len(photo) // 3],
        "huge.png": huge_header(),
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
        "labels.csv": b"file,label\na.jpg,cat\n",
        "weights.pkl": pickle.dumps({"a": 1}),
    }


def odd_files() -> dict[str, bytes]:
    """Photos that are unusual but fine."""
    cat = load_example("cat")
    deep = Image.fromarray(np.asarray(cat.convert("L")).astype(np.uint16) * 257)
    return {
        "cmyk.jpg": encoded(cat.convert("CMYK"), "JPEG"),
        "deep.png": encoded(deep, "PNG"),
        "palette.png": encoded(cat.convert("P"), "PNG", transparency=0),
        "moving.gif": encoded(cat, "GIF", save_all=True, append_images=[cat.rotate(90)]),
    }


def test_bad_files_cost_a_sentence_each_and_odd_ones_work(server: str, page: Any) -> None:
    page.goto(server + "/attention?model=vit_p4")
    page.locator("canvas").first.wait_for()
    open_uploader(page)
    bad, odd = bad_files(), odd_files()
    page.locator('input[type="file"]').first.set_input_files(
        [
            {"name": name, "mimeType": "application/octet-stream", "buffer": data}
            for name, data in [*bad.items(), *odd.items()]
        ]
    )
    page.get_by_role("button", name="Image: moving.gif").wait_for()
    settle(page)
    for name in bad:
        page.get_by_test_id("stAlert").filter(has_text=name).first.wait_for()
    alerts = " ".join(page.get_by_test_id("stAlert").all_inner_texts())
    for name in odd:
        assert name not in alerts, name
    assert page.locator('[data-testid="stException"]').count() == 0
    assert page.locator("canvas").count() >= 1


def add_own_model(page: Any, kind: str, location: str, answer: str) -> str:
    """Ask for a model of one's own and return what comes back, which says `answer`."""
    page.get_by_role("button", name="Your own model").click()
    page.get_by_text(kind, exact=True).click()
    page.get_by_label("Name or path").fill(location)
    page.keyboard.press("Enter")
    settle(page)
    page.get_by_role("button", name="Add", exact=True).click()
    said = page.get_by_test_id("stAlert").filter(has_text=answer).first
    said.wait_for()
    settle(page)
    assert page.get_by_test_id("stException").count() == 0
    words = str(said.inner_text())
    page.keyboard.press("Escape")
    return words


def test_own_models_that_cannot_be(server: str, page: Any, tmp_path: Path) -> None:
    page.goto(server + "/attention?model=vit_p4")
    page.locator("canvas").first.wait_for()
    pickled = tmp_path / "model.pt"
    pickled.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    refused = "holds more than tensors and was not opened"
    assert "safetensors" in add_own_model(page, "Local folder or file", str(pickled), refused)
    page.reload()
    page.locator("canvas").first.wait_for()
    settle(page)
    add_own_model(page, "Local folder or file", "/no/such/folder", "There is no file or folder /no/such/folder")
    assert page.locator("canvas").count() >= 1


def test_the_address_restores_the_view(server: str, page: Any) -> None:
    page.goto(server + "/attention?model=vit_p4&image=example:flower&layer=2&patch=9")
    page.get_by_text("The patch at row 2, column 2 attends most").wait_for()
    page.get_by_role("button", name="Image: Dahlia").wait_for()
    page.get_by_text("Layer 2, mean of all heads").wait_for()
    assert page.get_by_role("slider", name="Layer").first.input_value() == "2"


@pytest.mark.parametrize(
    "query",
    ["model=nonsense", "model=hub:nobody/nothing", "image=upload:0123", "layer=99", "head=77", "image=example:x"],
)
def test_addresses_that_are_wrong_still_show_a_page(server: str, page: Any, query: str) -> None:
    page.goto(server + f"/attention?{query}")
    page.get_by_text("What does each part of the picture look at?").first.wait_for()
    settle(page)
    assert page.locator('[data-testid="stException"]').count() == 0
