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
from core.data.pictures import open_set
from core.data.vector_sets import vector_set
from core.errors import CoreError
from core.figures.embedding import thumbnail_sheet
from core.paths import data_root
from core.reports import OnProgress, Progress, finish, silent, told
from pages.components.image_plane.image_plane import Pictures
from pages.embeddings.own_sets import (
    digest_of,
    forget_photos,
    forget_vectors,
    own_photos,
    own_vectors,
    short_digest,
    take_photos,
    take_vectors,
)
from pages.shared.address import remember, remembered
from pages.shared.errors import show_error
from pages.shared.foreign import plain
from pages.shared.results import Stopped, shared

COUNTS = (100, 200, 500, 1000, 2000, 5000, 10_000)
# What can be shown of a data set, by the beginning of the address.
OF_DATA = {"data": "One split", "splits": "All splits", "conditions": "Under conditions"}
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
        return rest.partition("/")[0] if kind in OF_DATA else ""

    address = remembered(name, default_set())
    if address.partition(":")[0] not in ("views", "photos", "folder", "vectors") and data(address) not in installed:
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


def set_address(*, name: str = "set") -> str:
    """What the address names."""
    return remembered(name, default_set())


def vectors_alone(*, name: str = "set") -> ChosenImages | None:
    """The set, where it is a file of vectors that is here; None for pictures, or where it is not."""
    if not set_address(name=name).startswith("vectors:"):
        return None
    given = current_set(name=name)
    if given.images.vectors is not None:
        return given
    remember(name, given.address)  # which is shown instead; it has been said why
    return None


def picture_count(address: str) -> int | None:
    """How many pictures there will be at an address, where that can be told before they are read."""
    kind, _, rest = address.partition(":")
    parts = rest.split("/")
    known = next((given for stamp in (0, _stamp(parts[0])) if (given := _read.known(address, stamp, _nothing))), None)
    if known is not None:
        return len(known.images)
    splits = installed_datasets().get(parts[0], {}).get("splits", {})
    if kind == "data" and len(parts) == 4 and parts[1] in splits and parts[2].isdecimal():
        return min(int(parts[2]), COUNTS[-1], int(splits[parts[1]]))
    if kind == "views" and parts[0].isdecimal():
        return int(parts[0]) * len(EXAMPLES)
    return None


def _nothing() -> Generator[Progress, None, ImageSet]:
    raise NotImplementedError
    yield


def set_popover(given: ChosenImages, *, name: str = "set") -> None:
    """Choose other pictures: of a data set, views of photos, or one's own."""
    address = given.address
    with st.popover(
        f"{plain(given.images.title)}: {len(given.images):,}", icon=":material/photo_library:", width="stretch"
    ):
        source = st.segmented_control(
            "Take them from",
            ["Data set", "Views of photos", "My photos", "Vectors"],
            default="Data set"
            if address.partition(":")[0] in OF_DATA
            else "Vectors"
            if address.startswith("vectors:")
            else "Views of photos",
            required=True,
            key=f"{name}_source",
        )
        if source == "Data set":
            _choose_data(name, address)
        elif source == "Views of photos":
            _choose_views(name)
        elif source == "Vectors":
            _choose_vectors(name)
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
        count = min(numbers[2], COUNTS[-1])
        return _read(address, _stamp(parts[0]), lambda: dataset_sample(parts[0], parts[1], count, numbers[3]))
    if (kind, len(parts)) in (("conditions", 4), ("splits", 3)) and numbers[-2] > 0 and numbers[-1] >= 0:
        head = "/".join(parts[:-2])
        return _read(
            address, _stamp(parts[0]), lambda: open_set(f"{kind}:{head}/{min(numbers[-2], COUNTS[-1])}/{numbers[-1]}")
        )
    if kind == "views" and len(parts) == 2 and 1 <= numbers[0] <= 200 and numbers[1] >= 0:
        title = f"Views of {len(EXAMPLES)} photos"
        return _read(address, 0, lambda: view_set(_examples(), numbers[0], seed=numbers[1], name=address, title=title))
    if (
        kind == "photos"
        and len(parts) == 3
        and numbers[1] >= 1
        and numbers[2] >= 0
        and (photos := own_photos(parts[0]))
    ):
        shown = [*photos.values()]
        title = "My photos" if numbers[1] == 1 else f"Views of my {len(photos)} photos"
        return _read(address, 0, lambda: view_set(shown, numbers[1], seed=numbers[2], name=address, title=title))
    if kind == "vectors" and rest and (own := own_vectors(rest)) is not None:
        return _read(address, 0, lambda: vector_set(own[2], name=address, title=own[1]))
    folder: str = st.session_state.get("set_folder", "")
    if kind == "folder" and len(parts) == 3 and parts[0] == short_digest(folder) and folder:
        found, classes = folder_photos(folder, max(1, numbers[1]), max(0, numbers[2]))
        title = f"Photos in {folder}"[:60]
        return _read(address, 0, lambda: photo_set(found, classes, name=address, title=title, kind="folder"))
    if kind in ("photos", "folder", "vectors"):
        who = "only the session which chose them" if kind == "folder" else "only the browser which brought them"
        raise CoreError(
            f"This address points to {'vectors' if kind == 'vectors' else 'photos'} that {who} can see, while they are "
            "kept.",
            "Choose them again; until then others are shown.",
        )
    raise CoreError(f"The address names unknown pictures, {address!r}.", "Others are shown instead.")


def _stamp(dataset: str) -> int:
    """Tells a data set from one that had its name before."""
    return (data_root() / dataset / "dataset.json").stat().st_mtime_ns if dataset in installed_datasets() else 0


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
    now, _, rest = address.partition(":")
    parts = rest.split("/") if now in OF_DATA else []
    chosen = st.selectbox(
        "Data set",
        list(installed),
        index=list(installed).index(parts[0]) if parts and parts[0] in installed else 0,
        format_func=lambda key: installed[key]["title"],
        key=f"{name}_data",
    )
    splits = installed[chosen]["splits"]
    kinds = [kind for kind in OF_DATA if kind != "splits" or len(splits) > 1]
    kind = st.segmented_control(
        "Show",
        kinds,
        format_func=OF_DATA.__getitem__,
        default=now if now in kinds else "data",
        required=True,
        key=f"{name}_kind_{len(kinds)}",
        help="All splits are train and test, or the conditions that a data set comes in. Under conditions: the same "
        "pictures as they are, blurred, as silhouettes, as edges and with shuffled parts.",
    )
    split = ""
    if kind != "splits":
        names = list(splits)
        split = st.selectbox("Split", names, index=names.index(usual_split(chosen)), key=f"{name}_split_{chosen}") + "/"
    count = st.select_slider("How many", COUNTS, value=1000, format_func=lambda each: f"{each:,}", key=f"{name}_count")
    seed = st.number_input("Draw", 0, 9999, 0, help="Another number, other pictures.", key=f"{name}_seed")
    there = sum(map(int, splits.values())) if kind == "splits" else int(splits[split.removesuffix("/")])
    if kind != "conditions" and count > there:
        st.caption(f"There are {there:,}; all of them will be shown.")
    _use(name, f"{kind}:{chosen}/{split}{count}/{seed}")


def _choose_views(name: str) -> None:
    st.caption(
        "Every photo many times, cut, mirrored and recoloured at random. A network that knows what it sees keeps the "
        "views of one photo together; one that goes by colours does not."
    )
    views = st.slider("Views of each photo", 2, 100, _EXAMPLE_VIEWS, key=f"{name}_views")
    seed = st.number_input("Draw", 0, 9999, 0, help="Another number, other views.", key=f"{name}_view_seed")
    _use(name, f"views:{views}/{seed}", "Use the bundled photos")
    photos = own_photos()
    if photos:
        _use(name, f"photos:{digest_of(photos)}/{views}/{seed}", f"Use my {len(photos)} photos", key="own")


def _choose_own(name: str) -> None:
    photos = take_photos(name)
    if photos:
        st.caption(f"{len(photos)} photos are ready. With few of them, take views of each to fill the plane.")
        with st.container(horizontal=True):
            _use(name, f"photos:{digest_of(photos)}/1/0", f"Use {len(photos)} photos")
            st.button("Delete them", icon=":material/delete:", key=f"{name}_forget", on_click=_forget, args=(name,))
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
            remember(name, f"folder:{short_digest(folder)}/{count}/0")
            st.rerun()


def _choose_vectors(name: str) -> None:
    take_vectors(name)
    if (own := own_vectors()) is None:
        return
    key, title, table = own
    st.caption(
        f"**{plain(title)}**: {len(table.ids):,} vectors of {table.vectors.shape[1]:,} dimensions. {plain(table.note)}"
    )
    with st.container(horizontal=True):
        _use(name, f"vectors:{key}", "Use these vectors")
        st.button(
            "Delete them", icon=":material/delete:", key=f"{name}_forget_vectors", on_click=forget_vectors, args=(key,)
        )


def _forget(name: str) -> None:
    forget_photos()
    if st.session_state.get(name, "").startswith("photos:"):
        remember(name, default_set())


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
