"""Which pictures the page is about: of a data set, drawn by the model, and those that the visitor draws or uploads."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass

import numpy as np
import streamlit as st
from PIL import Image

from core.data.catalogue import DATASETS, installed_datasets, usual_split
from core.data.images import decode_image, image_digest
from core.data.uploads import Upload as StoredUpload
from core.data.uploads import delete_upload, find_file, find_upload, keep_file, keep_upload
from core.errors import CoreError
from core.methods.latent.pictures import LatentPictures, as_digit, fit_words
from core.methods.latent.reencoding import fit_pictures
from core.models.vae import VAEConfig
from pages.components.draw_canvas.draw_canvas import draw_canvas, kept_drawing
from pages.latent.latent import OWN, card_of, default_address, pictures_of
from pages.shared.address import remember, remembered
from pages.shared.browser import browser_secret
from pages.shared.dataset_import import arrived, dataset_import
from pages.shared.errors import guard, show_error
from pages.shared.foreign import plain
from pages.shared.pickers import UPLOAD_TYPES

COUNTS = (200, 500, 1000, 2000, 5000, 10_000)
MOST_UPLOADS = 8
_KEPT = hashlib.sha256(b"pictures of Latent space").hexdigest()[:16]  # what the list of them is kept under
SHOWN = 12
_CANVAS = "latent_canvas"
# Name, size and mode of the file, and the decoded picture.
Upload = tuple[str, tuple[int, int], str, Image.Image]


@dataclass(frozen=True)
class Mine:
    """A picture of the visitor's as a model takes it.

    Attributes:
        key: "drawing", or a part of the file's digest.
        pixels: (height, width, channels) uint8.
        note: what was done so that it fits; empty if nothing.
    """

    key: str
    title: str
    pixels: np.ndarray
    note: str = ""


@dataclass(frozen=True)
class ChosenInputs:
    """The pictures of the page.

    Attributes:
        address: of the set, as in the address.
        images: the set.
    """

    address: str
    images: LatentPictures

    def title(self, place: int) -> str:
        """What one picture of the set is called."""
        if not self.images.classes:
            return f"picture {place}"
        return f"picture {place}: {self.images.classes[self.images.labels[place]]}"


def current_pictures(name: str) -> ChosenInputs:
    """The set that the address names; the model's own drawings, and a sentence, where it names none.

    Raises:
        CoreError: not even those can be had.
    """
    address = remembered("latent_set", default_address(name))
    try:
        return ChosenInputs(address, pictures_of(name, address))
    except CoreError as error:
        show_error(error)
        return ChosenInputs(OWN, pictures_of(name, OWN))


def set_popover(given: ChosenInputs, name: str) -> None:
    """Choose other pictures."""
    with st.popover(
        f"{plain(given.images.title)}: {len(given.images.images):,}", icon=":material/photo_library:", width="stretch"
    ):
        source = st.segmented_control(
            "Take them from", ["Data set", "The model’s own"],
            default="Data set" if given.address.startswith("data:") else "The model’s own",
            required=True, key="latent_set_source",
        )  # fmt: skip
        if source == "Data set":
            _choose_data(given)
        else:
            st.caption(
                "The model draws from its prior, and is shown what it drew. Nothing has to be imported, but it says "
                "little: such pictures are those that the model finds easy."
            )
            seed = st.number_input("Draw", 0, 9999, 0, key="latent_set_own_seed", help="Another number, others.")
            _use(given, f"own:500/{seed}")


def missing_words(given: ChosenInputs, name: str) -> None:
    """What is missing on this machine for the view to be about real pictures, and the way to get it."""
    arrived("latent-import")
    if given.address.startswith("data:"):
        if given.images.note:
            st.caption(plain(given.images.note))
        return
    try:
        dataset = str(card_of(name).metrics.get("dataset", ""))
    except CoreError:
        return
    title = DATASETS[dataset].title if dataset in DATASETS else dataset
    if dataset in installed_datasets() or not title:
        st.caption(
            f"The pictures are the model’s own drawings. {plain(title)} is on this machine: choose it above."
            if title
            else "The pictures are the model’s own drawings."
        )
        return
    left, right = st.columns([6, 2], vertical_alignment="center")
    left.caption(
        f"{plain(title)}, which this model learned from, is not on this machine, so the pictures are the model’s own "
        "drawings: they have no labels, and are the easy ones."
    )
    with right.popover(f"Get {plain(title)}", icon=":material/download:", width="stretch"):
        dataset_import(dataset, "latent-import")


def my_panel(config: VAEConfig) -> list[Mine]:
    """The canvas and the upload; returns what was drawn and uploaded, as the model takes it."""
    st.markdown("**Draw one**")
    draw_canvas(key=_CANVAS, alt="Draw a digit with the mouse or a finger; Clear empties it.")
    files = st.file_uploader(
        "Or upload pictures", accept_multiple_files=True, key="latent_upload", type=UPLOAD_TYPES,
        help=f"Up to {MOST_UPLOADS}. They stay on the machine that runs Vitrine.",
    )  # fmt: skip
    inverted = st.toggle(
        "Swap light and dark", key="latent_invert", bind="query-params",
        help="For ink on paper: models of digits know light strokes on black.",
    )  # fmt: skip
    _take(files)
    if _uploads():
        st.button(
            "Delete my pictures", icon=":material/delete:", type="tertiary", key="latent_forget", on_click=_forget
        )
    mine = my_pictures(config, inverted=inverted)
    if kept_drawing(_CANVAS) is None:
        st.caption("The canvas is empty. What you draw is placed as MNIST places its digits, and joins the others.")
    for each in mine:
        if each.note:
            st.caption(plain(each.note))
    return mine


def my_pictures(config: VAEConfig, *, inverted: bool = False) -> list[Mine]:
    """What this session drew and uploaded, the drawing first; a sentence for what the model cannot take."""
    found = []
    drawing = kept_drawing(_CANVAS)
    if drawing is not None:
        with guard():
            digit = as_digit(drawing, config.image_size)
            found.append(Mine("drawing", "your drawing", fit_pictures([digit], config)[0]))
    uploads = _uploads()
    for key, (title, size, mode, image) in uploads.items():
        with guard():
            pixels = fit_pictures([image], config)[0]
            note = fit_words(title, size, mode, config)
            found.append(Mine(key, title, 255 - pixels if inverted else pixels, note))
    return found


def choices(given: ChosenInputs, mine: list[Mine]) -> dict[str, str]:
    """Pictures that one can be chosen among: address → what people read."""
    own = {each.key: each.title for each in mine}
    return own | {str(place): given.title(place) for place in range(min(2 * SHOWN, len(given.images.images)))}


def pixels_of(key: str, given: ChosenInputs, mine: list[Mine]) -> np.ndarray:
    """(height, width, channels) uint8 of one of `choices`."""
    own = {each.key: each.pixels for each in mine}
    return own[key] if key in own else given.images.images[int(key)]


def digest_of(images: np.ndarray) -> str:
    """Tells pictures from others."""
    return hashlib.blake2b(np.ascontiguousarray(images).tobytes(), digest_size=12).hexdigest()


def _choose_data(given: ChosenInputs) -> None:
    installed = installed_datasets()
    if not installed:
        st.info(
            "No data set is on this machine. Import one: `python -m core data get mnist`", icon=":material/database:"
        )
        return
    parts = given.address.removeprefix("data:").split("/")
    chosen = st.selectbox(
        "Data set", list(installed), index=list(installed).index(parts[0]) if parts[0] in installed else 0,
        format_func=lambda key: installed[key]["title"], key="latent_set_data",
    )  # fmt: skip
    with guard():
        splits = list(installed[chosen]["splits"])
        split = st.selectbox("Split", splits, index=splits.index(usual_split(chosen)), key=f"latent_set_split_{chosen}")
        count = st.select_slider(
            "How many", COUNTS, value=2000, format_func=lambda each: f"{each:,}", key="latent_set_count"
        )
        seed = st.number_input("Draw", 0, 9999, 0, key="latent_set_seed", help="Another number, other pictures.")
        _use(given, f"data:{chosen}/{split}/{count}/{seed}")


def _use(given: ChosenInputs, address: str) -> None:
    st.button(
        "Use these", key="latent_set_use", type="primary", disabled=address == given.address, on_click=remember,
        args=("latent_set", address),
    )  # fmt: skip


def _uploads() -> dict[str, Upload]:
    """The pictures of this session, which begins with those that its browser brought before."""
    uploads: dict[str, Upload] | None = st.session_state.get("latent_uploads")
    if uploads is None:
        uploads = {}
        secret = browser_secret()
        try:
            kept = json.loads((find_file(secret, _KEPT, "json") if secret else None) or b"[]")
            for key, (width, height), mode in kept[:MOST_UPLOADS]:
                if secret and (found := find_upload(secret, str(key))) is not None:
                    uploads[str(key)] = (found.title, (int(width), int(height)), str(mode), found.image)
        except (ValueError, TypeError):  # damaged
            uploads = {}
        st.session_state["latent_uploads"] = uploads
    return uploads


def _keep(uploads: dict[str, Upload]) -> None:
    """On this machine for this browser, if it may be; what the pictures were like is kept beside them."""
    if (secret := browser_secret()) is None:
        return
    for title, _, _, image in uploads.values():
        keep_upload(secret, StoredUpload(image=image, title=title))
    kept = [(key, size, mode) for key, (_, size, mode, _) in uploads.items()]
    keep_file(secret, _KEPT, "json", json.dumps(kept).encode())


def _forget() -> None:
    """Take one's own pictures off this machine."""
    if secret := browser_secret():
        for key in _uploads():
            delete_upload(secret, key)
        delete_upload(secret, _KEPT, "json")
    st.session_state["latent_uploads"] = {}


def _take(files: list) -> None:  # type: ignore[type-arg]
    """Decode what was uploaded, once."""
    uploads = _uploads()
    handled: dict[str, CoreError | None] = st.session_state.setdefault("latent_handled", {})
    for file in files:
        if file.file_id not in handled:
            try:
                if len(uploads) >= MOST_UPLOADS:
                    raise CoreError(f"{file.name} is one too many: the limit is {MOST_UPLOADS} pictures.")
                data = file.getvalue()
                image = decode_image(data, name=file.name)
                with Image.open(io.BytesIO(data)) as raw:  # decoded above, so it is one of the allowed formats
                    size, mode = raw.size, raw.mode
                uploads[image_digest(image)[:16]] = (file.name[:40], size, mode, image)
                _keep(uploads)
                handled[file.file_id] = None
            except CoreError as error:
                # A fresh one: the traceback of the caught one keeps the whole file in memory.
                handled[file.file_id] = CoreError(error.cause, error.remedy)
        if (problem := handled[file.file_id]) is not None:
            show_error(problem)
