"""Which pictures a page is about, when it is about many: a sample of a data set, views of photos, or one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass

import streamlit as st
from PIL import Image

from core.data.catalogue import installed_datasets, usual_split
from core.data.examples import EXAMPLES, load_example
from core.data.image_sets import ImageSet, dataset_sample, folder_photos, photo_set, view_set
from core.data.images import decode_image, image_digest
from core.errors import CoreError
from core.figures.embedding import thumbnail_sheet
from core.paths import data_root
from core.reports import OnProgress, Progress, finish, silent, told
from pages.components.image_plane.image_plane import Pictures
from pages.shared.address import remember, remembered
from pages.shared.errors import show_error
from pages.shared.foreign import plain
from pages.shared.pickers import UPLOAD_TYPES
from pages.shared.results import Stopped, shared

COUNTS = (100, 200, 500, 1000, 2000, 5000, 10_000)
MOST_UPLOADS = 300
_SIDE = 448
_EXAMPLE_VIEWS = 40


@dataclass(frozen=True, kw_only=True)
class ChosenImages:
    """A set of pictures and how to find it again."""

    address: str
    images: ImageSet
    pictures: Pictures

    @property
    def signature(self) -> str:
        """Tells these pictures from others."""
        return self.pictures.signature


def default_set() -> str:
    """A sample of CIFAR-10 where it is, which the bundled networks know; else views of the bundled photos."""
    return "data:cifar10/test/1000/0" if "cifar10" in installed_datasets() else f"views:{_EXAMPLE_VIEWS}/0"


def is_small(*, name: str = "set") -> bool:
    """Whether the pictures to be shown have no more than 64 pixels a side, so that small networks suit them."""
    installed = installed_datasets()

    def data(address: str) -> str:
        kind, _, rest = address.partition(":")
        return rest.partition("/")[0] if kind == "data" else ""

    address = remembered(name, default_set())
    if address.partition(":")[0] not in ("views", "photos", "folder") and data(address) not in installed:
        address = default_set()  # what will be shown instead
    size = installed.get(data(address), {}).get("image_size")
    return max(size or (1000,)) <= 64


def current_set(*, name: str = "set") -> ChosenImages:
    """The pictures that the address names; the default, and a sentence, where it names none that can be had.

    Raises:
        CoreError: not even the default can be shown.
    """
    try:
        return _given(remembered(name, default_set()))
    except Stopped:
        raise
    except CoreError as error:
        show_error(error)
        return _given(default_set())


def set_popover(given: ChosenImages, *, name: str = "set") -> None:
    """Choose other pictures: of a data set, views of photos, or one's own."""
    address = given.address
    with st.popover(
        f"{plain(given.images.title)}: {len(given.images):,}", icon=":material/photo_library:", width="stretch"
    ):
        source = st.segmented_control(
            "Take them from",
            ["Data set", "Views of photos", "My photos"],
            default="Data set" if address.startswith("data:") else "Views of photos",
            required=True,
            key=f"{name}_source",
        )
        if source == "Data set":
            _choose_data(name, address)
        elif source == "Views of photos":
            _choose_views(name)
        else:
            _choose_own(name)
    if given.images.note:
        st.caption(plain(given.images.note))


def _given(address: str) -> ChosenImages:
    """The pictures behind an address.

    Raises:
        CoreError: it is no address of pictures, or they are not here.
    """
    kind, _, rest = address.partition(":")
    parts = rest.split("/")
    numbers = [int(part) if part.isdecimal() and len(part) < 7 else -1 for part in parts]
    if kind == "data" and len(parts) == 4 and numbers[2] > 0 and numbers[3] >= 0:
        card = data_root() / parts[0] / "dataset.json" if parts[0] in installed_datasets() else None
        stamp = card.stat().st_mtime_ns if card else 0
        count = min(numbers[2], COUNTS[-1])
        return _read(address, stamp, lambda: dataset_sample(parts[0], parts[1], count, numbers[3]))
    if kind == "views" and len(parts) == 2 and 1 <= numbers[0] <= 200 and numbers[1] >= 0:
        title = f"Views of {len(EXAMPLES)} photos"
        return _read(address, 0, lambda: view_set(_examples(), numbers[0], seed=numbers[1], name=address, title=title))
    photos: dict[str, tuple[str, Image.Image]] = st.session_state.get("set_photos", {})
    if kind == "photos" and len(parts) == 3 and parts[0] == _digest(photos) and photos and numbers[1] >= 1:
        shown = [*photos.values()]
        title = "My photos" if numbers[1] == 1 else f"Views of my {len(photos)} photos"
        return _read(address, 0, lambda: view_set(shown, numbers[1], seed=numbers[2], name=address, title=title))
    folder: str = st.session_state.get("set_folder", "")
    if kind == "folder" and len(parts) == 3 and parts[0] == _short(folder) and folder:
        found, classes = folder_photos(folder, max(1, numbers[1]), max(0, numbers[2]))
        title = f"Photos in {folder}"[:60]
        return _read(address, 0, lambda: photo_set(found, classes, name=address, title=title, kind="folder"))
    if kind in ("photos", "folder"):
        raise CoreError(
            "This address points to photos that only the session which chose them can see.",
            "Choose them again; until then others are shown.",
        )
    raise CoreError(f"The address names unknown pictures, {address!r}.", "Others are shown instead.")


@shared("Reading the pictures", most=8)
def _read(
    address: str,
    stamp: int,
    _make: Callable[[], Generator[Progress, None, ImageSet]],
    *,
    on_progress: OnProgress = silent,
) -> ChosenImages:
    """The pictures that `_make` reads; `stamp` tells a data set from one that had its name before."""
    images: ImageSet = finish(_make(), told(on_progress))
    sheet, columns = thumbnail_sheet(images.thumbnails)
    digest = hashlib.blake2b(images.thumbnails.tobytes(), digest_size=8)
    digest.update(repr((address, images.ids)).encode())
    pictures = Pictures(
        signature=digest.hexdigest(),
        sheet=sheet,
        tile=images.thumbnails.shape[1],
        columns=columns,
        ids=images.ids,
        labels=images.labels,
        classes=images.classes,
    )
    return ChosenImages(address=address, images=images, pictures=pictures)


def _choose_data(name: str, address: str) -> None:
    installed = installed_datasets()
    if not installed:
        st.info(
            "No data set has been imported on this machine. Import one: "
            "`python -m core data import ARCHIVE --name cifar10`",
            icon=":material/database:",
        )
        return
    parts = address.removeprefix("data:").split("/") if address.startswith("data:") else []
    chosen = st.selectbox(
        "Data set",
        list(installed),
        index=list(installed).index(parts[0]) if parts and parts[0] in installed else 0,
        format_func=lambda key: installed[key]["title"],
        key=f"{name}_data",
    )
    splits = list(installed[chosen]["splits"])
    split = st.selectbox("Split", splits, index=splits.index(usual_split(chosen)), key=f"{name}_split_{chosen}")
    count = st.select_slider("How many", COUNTS, value=1000, format_func=lambda each: f"{each:,}", key=f"{name}_count")
    seed = st.number_input("Draw", 0, 9999, 0, help="Another number, other pictures.", key=f"{name}_seed")
    there = int(installed[chosen]["splits"][split])
    if count > there:
        st.caption(f"There are {there:,}; all of them will be shown.")
    _use(name, f"data:{chosen}/{split}/{count}/{seed}")


def _choose_views(name: str) -> None:
    st.caption(
        "Every photo many times, cut, mirrored and recoloured at random. A network that knows what it sees keeps the "
        "views of one photo together; one that goes by colours does not."
    )
    views = st.slider("Views of each photo", 2, 100, _EXAMPLE_VIEWS, key=f"{name}_views")
    seed = st.number_input("Draw", 0, 9999, 0, help="Another number, other views.", key=f"{name}_view_seed")
    _use(name, f"views:{views}/{seed}", "Use the bundled photos")
    photos = st.session_state.get("set_photos", {})
    if photos:
        _use(name, f"photos:{_digest(photos)}/{views}/{seed}", f"Use my {len(photos)} photos", key="own")


def _choose_own(name: str) -> None:
    _take_uploads(name)
    photos = st.session_state.get("set_photos", {})
    if photos:
        st.caption(f"{len(photos)} photos are ready. With few of them, take views of each to fill the plane.")
        _use(name, f"photos:{_digest(photos)}/1/0", f"Use {len(photos)} photos")
    st.divider()
    folder = st.text_input(
        "Or a folder on the machine that runs Vitrine", placeholder="/photos", key=f"{name}_path"
    ).strip()
    count = st.select_slider("At most", COUNTS, value=500, format_func=lambda each: f"{each:,}", key=f"{name}_most")
    st.caption("Its subfolders become the labels.")
    if st.button("Use this folder", disabled=not folder, key=f"{name}_use_folder"):
        try:
            folder_photos(folder, 1, 0)
        except CoreError as error:
            show_error(error)
        else:
            st.session_state["set_folder"] = folder
            remember(name, f"folder:{_short(folder)}/{count}/0")
            st.rerun()


def _take_uploads(name: str) -> None:
    """Decode what was uploaded once; only a reduced copy of each photo is kept."""
    files = st.file_uploader(
        "Photos or a folder from your computer",
        type=UPLOAD_TYPES,
        accept_multiple_files=True,
        key=f"{name}_upload",
        help=f"Up to {MOST_UPLOADS} photos. They stay on the machine that runs Vitrine.",
    )
    handled: dict[str, CoreError | None] = st.session_state.setdefault(f"{name}_handled", {})
    photos: dict[str, tuple[str, Image.Image]] = st.session_state.setdefault("set_photos", {})
    new = [file for file in files if file.file_id not in handled]
    bar = st.progress(0.0) if new else None
    for index, file in enumerate(new):
        if bar is not None:
            bar.progress(index / len(new), text=f"Reading {plain(file.name)} …")
        if len(photos) >= MOST_UPLOADS:
            handled[file.file_id] = CoreError(f"{file.name} is one too many: the limit is {MOST_UPLOADS} photos.")
            continue
        try:
            image = decode_image(file.getvalue(), name=file.name, max_side=_SIDE)
            photos[image_digest(image)] = (_free(file.name, photos), image)
            handled[file.file_id] = None
        except CoreError as error:
            # A fresh one: the traceback of the caught one keeps the whole file in memory.
            handled[file.file_id] = CoreError(error.cause, error.remedy)
    if bar is not None:
        bar.empty()
    for file in files:
        problem = handled.get(file.file_id)
        if problem is not None:
            show_error(problem)


def _use(name: str, address: str, label: str = "Use these", key: str = "") -> None:
    current = st.session_state.get(name) == address
    st.button(
        label,
        key=f"{name}_use_{key or label}",
        type="primary",
        disabled=current,
        on_click=remember,
        args=(name, address),
    )


def _examples() -> list[tuple[str, Image.Image]]:
    return [(example.title, load_example(example.name)) for example in EXAMPLES.values()]


def _free(title: str, photos: dict[str, tuple[str, Image.Image]]) -> str:
    """The title, with a number where another photo has it already."""
    taken = {each for each, _ in photos.values()}
    title = title[:40]
    return title if title not in taken else f"{title} ({len(photos) + 1})"


def _digest(photos: dict[str, tuple[str, Image.Image]]) -> str:
    return _short("/".join(photos))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
