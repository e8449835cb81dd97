"""Photos that people bring: kept for their browser, shown as the model sees them, asked about fitting labels."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.data.examples import load_example
from core.data.framing import View, framed
from core.data.images import MAX_BYTES, image_digest
from core.data.transforms import FRAMINGS, HALF_NORMALISATION, Preprocessing, crop_to_square
from core.data.uploads import Upload, find_upload, keep_upload
from pages.clip import own_labels
from pages.clip.zero_shot_strategies import DEFAULT_LABELS
from pages.components.photo_drop import photo_drop
from pages.components.photo_drop.photo_drop import Dropped, read_dropped
from pages.shared import pictures
from pages.shared.browser import COOKIE, BrowserCookie
from pages.shared.framing import seen_of, seen_sentence
from tests.clip_toy import save_tiny_clip
from tests.pages.exports import exported, keep_exports
from tests.pages.harness import open_page, text_of

MINE, YOURS = "1" * 32, "2" * 32


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.delenv("VITRINE_READ_ONLY", raising=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{save_tiny_clip(tmp_path_factory.mktemp('clip') / 'tiny')}"


def use_browser(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """Every session from here on is of the browser with this secret."""
    monkeypatch.setattr(type(st.context), "cookies", property(lambda self: {COOKIE: secret}))


def photo(seed: int, size: tuple[int, int] = (90, 60)) -> Upload:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Upload(image=Image.fromarray(pixels), title=f"photo {seed}.png")


def as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def chosen(app: AppTest) -> str:
    return str(app.session_state["image"])


def errors(app: AppTest) -> str:
    return " ".join(each.value for each in app.error)


def test_an_upload_is_there_in_a_new_session_of_the_same_browser_and_of_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_browser(monkeypatch, MINE)
    app = open_page("attention", model="vit_p4")
    app.segmented_control(key="image_source").set_value("Upload").run()
    app.file_uploader(key="image_upload").set_value(("boat.png", as_png(photo(1).image), "image/png")).run()
    assert not app.exception
    assert chosen(app) == f"upload:{photo(1).key}"
    again = open_page("attention", model="vit_p4", image=chosen(app))
    assert not again.error
    again.segmented_control(key="image_source").set_value("Upload").run()
    assert any(each.label == "boat\u2060.png" or "boat" in each.label for each in again.button)
    use_browser(monkeypatch, YOURS)
    other = open_page("attention", model="vit_p4", image=chosen(app))
    assert "only the browser that uploaded it can see" in errors(other)
    other.segmented_control(key="image_source").set_value("Upload").run()
    assert not any("boat" in each.label for each in other.button)


@pytest.mark.parametrize(("stem", "name"), [("attention", "image"), ("masking", "image"), ("clip", "images")])
def test_every_address_of_another_browser_s_photo_is_a_sentence(
    stem: str, name: str, monkeypatch: pytest.MonkeyPatch, clip: str
) -> None:
    use_browser(monkeypatch, MINE)
    keep_upload(MINE, photo(1))
    model = {"model": clip if stem == "clip" else "vit_p4"} | ({"view": "Images × texts"} if stem == "clip" else {})
    address = f"upload:{photo(1).key};squash" if name == "image" else f"upload:{photo(1).key},example:cat"
    assert not open_page(stem, **model, **{name: address}).error
    use_browser(monkeypatch, YOURS)
    assert "only the browser that uploaded it can see" in errors(open_page(stem, **model, **{name: address}))


def test_the_second_image_of_a_comparison_too(monkeypatch: pytest.MonkeyPatch) -> None:
    use_browser(monkeypatch, YOURS)
    keep_upload(MINE, photo(1))
    app = open_page(
        "attention", model="vit_p4", tabs="Compare", beside="Another image", image_b=f"upload:{photo(1).key}"
    )
    assert "only the browser that uploaded it can see" in errors(app)


def test_deleting_forgets_it_here_and_in_other_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    use_browser(monkeypatch, MINE)
    keep_upload(MINE, photo(1))
    address = f"upload:{photo(1).key}"
    first, second = (open_page("attention", model="vit_p4", image=address) for _ in range(2))
    first.segmented_control(key="image_source").set_value("Upload").run()
    first.button(key=f"image_delete_{address}").click().run()
    assert not first.exception
    assert find_upload(MINE, photo(1).key) is None
    assert chosen(first) == "example:coffee"
    assert not first.error
    second.run()
    assert "only the browser that uploaded it can see" in errors(second)


def test_what_is_deleted_leaves_the_matrix_too(monkeypatch: pytest.MonkeyPatch, clip: str) -> None:
    use_browser(monkeypatch, MINE)
    for seed in (1, 2):
        keep_upload(MINE, photo(seed))
    app = open_page("clip", model=clip, view="Images × texts")
    app.segmented_control(key="view").set_value("labels").run()
    app.segmented_control(key="image_source").set_value("Upload").run()
    app.button(key=f"image_delete_upload:{photo(1).key}").click().run()
    app.segmented_control(key="view").set_value("matrix").run()
    assert not app.exception
    assert not app.error
    assert f"upload:{photo(1).key}" not in str(app.session_state["images"])
    assert f"upload:{photo(2).key}" in str(app.session_state["images"])


def test_without_a_cookie_or_on_a_read_only_service_a_photo_lasts_as_long_as_the_session(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for secret, read_only in (("", "0"), ("x", "0"), (MINE, "1")):
        use_browser(monkeypatch, secret)
        monkeypatch.setenv("VITRINE_READ_ONLY", read_only)
        app = open_page("attention", model="vit_p4")
        app.segmented_control(key="image_source").set_value("Upload").run()
        app.file_uploader(key="image_upload").set_value(("boat.png", as_png(photo(1).image), "image/png")).run()
        app.run()
        assert chosen(app) == f"upload:{photo(1).key}"
        assert not app.error
        assert not list(tmp_path.rglob("uploads/*/*.png"))
        assert open_page("attention", model="vit_p4", image=chosen(app)).error


def drop(monkeypatch: pytest.MonkeyPatch, *files: Dropped) -> None:
    """In the next run, and only in it, these were dropped."""
    waiting = [list(files)]
    monkeypatch.setattr("pages.shared.picture_picker.photo_drop", lambda *, key, text: waiting.pop() if waiting else [])


def test_what_is_dropped_is_shown_and_what_is_no_picture_costs_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page("masking", model="vit_p4")
    drop(
        monkeypatch,
        Dropped(name="words.jpg", size=9, content=b"no pixels"),
        Dropped(name="boat.png", size=9, content=as_png(photo(1).image)),
        Dropped(name="film.tif", size=80 * 2**20, content=None),
    )
    app.run()
    assert not app.exception
    assert chosen(app) == f"upload:{photo(1).key}"
    assert "words.jpg looks to be a text file" in errors(app)
    assert f"film.tif has 80 MiB; the limit is {MAX_BYTES // 2**20} MiB" in errors(app)


@pytest.mark.parametrize("read_only", ["0", "1"], ids=["on the disk", "in the session"])
def test_of_many_photos_a_session_holds_few_decoded_and_finds_all_again(
    monkeypatch: pytest.MonkeyPatch, read_only: str
) -> None:
    use_browser(monkeypatch, MINE)
    monkeypatch.setenv("VITRINE_READ_ONLY", read_only)
    size = 4 * 90 * 60
    monkeypatch.setattr(pictures, "AT_REST_BYTES", 2 * size, raising=False)
    app, keys = open_page("attention", model="vit_p4"), [f"upload:{photo(seed).key}" for seed in range(8)]
    for seed in range(8):
        drop(monkeypatch, Dropped(name=f"photo {seed}.png", size=9, content=as_png(photo(seed).image)))
        app.run()
        assert chosen(app) == keys[seed]
    held = app.session_state["uploads"].values()
    assert sum(4 * each.image.width * each.image.height for each in held) <= 3 * size  # with the one in use
    for seed, key in enumerate(keys):
        app.session_state["image"] = key
        app.run()
        assert not app.exception
        assert not app.error
        found = app.session_state["uploads"][key]
        assert (np.asarray(found.image) == np.asarray(photo(seed).image)).all()
        assert (found.title, found.digest) == (f"photo {seed}.png", image_digest(photo(seed).image))
    app.segmented_control(key="image_source").set_value("Upload").run()
    assert {f"image_{key}" for key in keys} <= {str(each.key) for each in app.button}
    app.button(key=f"image_delete_{keys[7]}").click().run()
    assert keys[7] not in app.session_state["uploads"]
    assert f"image_{keys[7]}" not in {str(each.key) for each in app.button}


def test_what_no_disk_keeps_is_packed_and_the_newest_of_too_much_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    use_browser(monkeypatch, "")
    app = open_page("attention", model="vit_p4")
    room = 3 * len(as_png(photo(0).image))  # noise takes as much, whichever
    monkeypatch.setattr(pictures, "PACKED_BYTES", int(1.05 * room))
    monkeypatch.setattr(pictures, "AT_REST_BYTES", 0)
    for seed in range(6):
        drop(monkeypatch, Dropped(name="boat.png", size=9, content=as_png(photo(seed).image)))
        app.run()
    packed = app.session_state["uploads_packed"]
    assert list(packed) == [f"upload:{photo(seed).key}" for seed in (3, 4, 5)]
    assert sum(len(data) for data, _ in packed.values()) <= 1.05 * room
    app.session_state["image"] = f"upload:{photo(0).key}"
    assert "while it is kept there" in errors(app.run())


def test_what_a_page_shows_at_once_stays_decoded(monkeypatch: pytest.MonkeyPatch, clip: str) -> None:
    use_browser(monkeypatch, MINE)
    monkeypatch.setattr(pictures, "AT_REST_BYTES", 0)
    for seed in range(3):
        keep_upload(MINE, photo(seed))
    app = open_page("clip", model=clip, view="Images × texts")
    before = {key: each.image for key, each in app.session_state["uploads"].items()}
    assert len(before) == 3
    app.run()
    assert all(app.session_state["uploads"][key].image is image for key, image in before.items())


def test_what_the_browser_says_was_dropped_may_be_anything() -> None:
    good = {"name": "a.png", "bytes": 3, "content": base64.b64encode(b"abc").decode()}
    told: list[Any] = [good, {}, 3, None, {"name": 5}, {**good, "content": "%%%"}, {**good, "content": None}]
    assert read_dropped(told) == [
        Dropped(name="a.png", size=3, content=b"abc"),
        Dropped(name="a.png", size=3, content=None),
    ]
    assert len(read_dropped([good] * 99)) == photo_drop.MOST_AT_ONCE
    for nonsense in (None, "photos", {"name": "a"}, 7):
        assert read_dropped(nonsense) == []


def test_what_was_decided_in_decoding_is_said_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    use_browser(monkeypatch, MINE)
    ramp = np.tile(np.arange(4096, dtype=np.uint16)[::16], (64, 1))
    app = open_page("attention", model="vit_p4")
    drop(monkeypatch, Dropped(name="cells.png", size=9, content=as_png(Image.fromarray(ramp))))
    assert "It uses 12 of its 16 bits: 4,095 is shown white." in text_of(app.run())
    assert "It uses 12 of its 16 bits" in text_of(open_page("attention", model="vit_p4", image=chosen(app)))


def test_the_framing_is_in_the_address_the_maps_the_export_and_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_exports(monkeypatch)
    app = open_page("attention", model="vit_p4", image="example:cat")
    assert "The model sees 67% of this photo, from its middle, in 32 × 32 pixels." in text_of(app)
    own = exported(app)
    app.segmented_control(key="image_framing").set_value("squash").run()
    assert not app.exception
    assert chosen(app) == "example:cat;squash"
    assert "squashed to 32 × 32 pixels" in text_of(app)
    squashed = exported(app)
    assert "example:cat;squash" in squashed.recipe
    assert squashed.facts["sha256"] == image_digest(framed(load_example("cat"), View(framing="squash")))
    assert any((own.arrays[each] != squashed.arrays[each]).any() for each in own.arrays)
    app.segmented_control(key="image_framing").set_value("own").run()
    assert chosen(app) == "example:cat"
    moved = open_page("attention", model="vit_p4", image="example:cat;crop=0")
    assert "The model sees 67% of this photo, in 32 × 32 pixels." in text_of(moved)


@pytest.mark.parametrize("own", FRAMINGS)
@pytest.mark.parametrize(
    "view",
    [
        View(),
        View(framing="crop", place=0.0),
        View(framing="crop", place=0.8),
        View(framing="squash"),
        View(framing="pad"),
    ],
    ids=["own", "left", "right", "squash", "pad"],
)
def test_the_frame_is_around_what_the_model_sees(own: Any, view: View) -> None:
    """A photo whose colours are its coordinates tells where each corner of the model's picture is from."""
    height, width = 240, 400
    y, x = np.mgrid[0:height, 0:width]
    photo = Image.fromarray(np.stack([x * 255 / width, y * 255 / height, 0 * x], axis=-1).astype(np.uint8))
    preprocessing = Preprocessing(
        size=160, crop_share=0.875, framing=own, ground=(0, 0, 255), normalisation=HALF_NORMALISATION
    )
    left, top, right, bottom = seen_of(photo.size, preprocessing, view)
    square = np.asarray(crop_to_square(framed(photo, view), preprocessing)).astype(float) / 255
    inside = square[..., 2] < 0.02
    rows, columns = np.nonzero(inside)
    np.testing.assert_allclose(square[rows, columns, 0], left + (columns + 0.5) / 160 * (right - left), atol=0.03)
    np.testing.assert_allclose(square[rows, columns, 1], top + (rows + 0.5) / 160 * (bottom - top), atol=0.03)
    assert f"{160} × {160} pixels" in seen_sentence(photo.size, preprocessing, view)


def guess(monkeypatch: pytest.MonkeyPatch, labels: str) -> None:
    monkeypatch.setattr(own_labels, "_guessed", lambda picture: (labels, "These were guessed."))


def test_an_own_photo_is_asked_about_what_it_may_show(monkeypatch: pytest.MonkeyPatch, clip: str) -> None:
    use_browser(monkeypatch, MINE)
    keep_upload(MINE, photo(1))
    guess(monkeypatch, "ferry, harbour")
    app = open_page("clip", model=clip)
    assert app.text_input(key="labels").value == DEFAULT_LABELS
    app.session_state["image"] = f"upload:{photo(1).key}"
    app.run()
    assert app.text_input(key="labels").value == "ferry, harbour"
    assert "These were guessed." in text_of(app)
    app.session_state["image"] = "example:cat"
    app.run()
    assert app.text_input(key="labels").value == DEFAULT_LABELS
    app.text_input(key="labels").set_value("ship, horse").run()
    app.session_state["image"] = f"upload:{photo(1).key}"
    app.run()
    assert app.text_input(key="labels").value == "ship, horse"  # the last list used
    again = open_page("clip", model=clip, image=f"upload:{photo(1).key}", labels="deer, frog")
    assert again.text_input(key="labels").value == "deer, frog"


def test_the_guess_is_the_offline_network_s_where_it_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.shared.pictures import Picture

    picture = Picture("upload:0", "mine", photo(1).image, "digest")
    assert own_labels._guessed(picture)[0] == own_labels.ANYTHING  # this home has no weights
    monkeypatch.setattr(own_labels, "availability", lambda spec: type("Ready", (), {"state": "ready"}))
    monkeypatch.setattr(own_labels, "logits_of", lambda name, digest, image: np.arange(10.0))
    classes = (*(f"class {number}" for number in range(9)), "pot, kettle")
    monkeypatch.setattr(own_labels, "loaded_model", lambda name: type("Model", (), {"classes": classes}))
    labels, said = own_labels._guessed(picture)
    assert labels.startswith('"pot, kettle", class 8, class 7')
    assert labels.count(",") == own_labels.MOST_GUESSED  # with the one within a label
    assert "EfficientNet" in said


def test_images_times_texts_takes_all_uploads(monkeypatch: pytest.MonkeyPatch, clip: str) -> None:
    use_browser(monkeypatch, MINE)
    for seed in (1, 2, 3):
        keep_upload(MINE, photo(seed))
    app = open_page("clip", model=clip, view="Images × texts")
    assert not app.exception
    keys = str(app.session_state["images"]).split(",")
    assert {f"upload:{photo(seed).key}" for seed in (1, 2, 3)} <= set(keys)
    keep_upload(MINE, photo(4))  # on another page, or in another tab
    app.run()
    keys = str(app.session_state["images"]).split(",")
    assert f"upload:{photo(4).key}" in keys
    app.multiselect(key="images_chosen").set_value([key for key in keys if key != f"upload:{photo(4).key}"]).run()
    app.run()
    assert f"upload:{photo(4).key}" not in str(app.session_state["images"])  # who takes one out does not get it back
    given = open_page("clip", model=clip, view="Images × texts", images="example:cat,example:coffee")
    assert str(given.session_state["images"]) == "example:cat,example:coffee"


def answer(headers: list[tuple[bytes, bytes]], scheme: str = "http") -> list[str]:
    """The cookies that a browser is handed with an answer to this request."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "headers": headers, "scheme": scheme}
    asyncio.run(BrowserCookie(app)(scope, None, send))
    return [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]


PAGE = (b"accept", b"text/html,*/*;q=0.8")


def test_every_browser_gets_a_secret_that_only_it_and_the_server_know() -> None:
    first, second = (answer([PAGE])[0] for _ in range(2))
    assert first.split(";")[0] != second.split(";")[0]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in first.split(";")}
    assert "Secure" not in first
    assert "Secure" in answer([PAGE], "https")[0]
    again = answer([PAGE, (b"cookie", f"a=b; {COOKIE}={MINE}".encode())])[0]
    assert again.startswith(f"{COOKIE}={MINE};")
    for forged in (b"x", MINE[:-1].encode(), b"../../etc", b'"' + b"1" * 32):
        assert not answer([PAGE, (b"cookie", COOKIE.encode() + b"=" + forged)])[0].startswith(f"{COOKIE}={MINE}")


def test_files_of_the_page_and_read_only_services_set_no_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer([(b"accept", b"*/*")]) == []
    monkeypatch.setenv("VITRINE_READ_ONLY", "1")
    assert answer([PAGE]) == []
