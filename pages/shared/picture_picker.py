"""Which image a page is about: examples, one's own photos, camera, data sets, folders; the choice is in the address.

A photo may also be dropped anywhere on the page, or pasted into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.data.catalogue import installed_datasets, usual_split
from core.data.examples import EXAMPLES
from core.data.formats import SUFFIXES, has_image_suffix, listed
from core.data.images import MAX_BYTES
from core.data.paintings import PAINTINGS
from core.data.uploads import MOST_DAYS
from core.errors import CoreError
from core.paths import local_path
from core.reports import OnProgress
from pages.components.photo_drop.photo_drop import photo_drop
from pages.shared.address import remember, remembered
from pages.shared.browser import browser_secret
from pages.shared.errors import guard, show_error
from pages.shared.foreign import plain
from pages.shared.pictures import (
    Picture,
    Thumbnail,
    dataset_pictures,
    delete_picture,
    example_picture,
    keep_picture,
    own_pictures,
    painted_picture,
    picture_at,
    read_picture,
)
from pages.shared.work import with_progress

UPLOAD_TYPES = [suffix.removeprefix(".") for suffix in SUFFIXES]
MOST_PICTURES = 16


def image_picker(
    *, name: str = "image", default: str = "example:coffee", label: str = "Image", paintings: bool = False
) -> Picture:
    """The chosen image, and a popover to choose another: examples, upload, camera, data set or folder.

    `paintings`: whether those of `core.data.paintings` are among the examples.
    """
    # A page has one place to drop a photo.
    if name == "image" and (brought := _dropped(f"{name}_drop")):
        remember(name, brought[-1])
    try:
        picture = picture_at(remembered(name, default))
    except CoreError as error:
        show_error(error)
        picture = picture_at(default)
    with _popover(name, f"{label}: {plain(picture.title)}", ":material/image:"):
        source = st.segmented_control(
            "Take it from",
            ["Examples", "Upload", "Camera", "Data set", "Folder"],
            default="Examples",
            required=True,
            key=f"{name}_source",
        )
        if source == "Examples":
            _example_gallery(name, paintings)
        elif source == "Upload":
            _uploads(name, default)
        elif source == "Camera":
            _camera(name)
        elif source == "Data set":
            _dataset_samples(name)
        else:
            _folder(name)
    return picture


def pictures_picker(*, name: str = "images", default: Sequence[str], label: str = "Images") -> list[Picture]:
    """Several chosen images; the popover adds uploads and draws from data sets. Their keys are in the address.

    Whatever somebody uploads joins them, on this page or another.
    """
    _dropped(f"{name}_drop")
    _join_uploads(name, default)
    chosen = {picture.key: picture for picture in chosen_pictures(name, default)}
    known = {each.key: each.title for each in map(example_picture, EXAMPLES)}
    known |= {each.key: each.title for each in own_pictures()}
    known |= {key: each.title for key, each in chosen.items()}
    widget = f"{name}_chosen"
    st.session_state[widget] = list(chosen)
    with _popover(name, f"{label}: {len(chosen)}", ":material/photo_library:"):
        st.multiselect(
            f"Up to {MOST_PICTURES}",
            list(known),
            format_func=known.__getitem__,
            key=widget,
            max_selections=MOST_PICTURES,
            on_change=lambda: remember(name, ",".join(st.session_state[widget])),
        )
        if take_files(name, "Add photos"):
            st.rerun()  # in which they join
        _add_samples(name, list(chosen))
    return list(chosen.values())


def chosen_pictures(name: str, default: Sequence[str]) -> list[Picture]:
    """The images of a `pictures_picker`; a sentence for each that is not to be had."""
    found = []
    for key in _keys(name, default)[:MOST_PICTURES]:
        with guard():
            found.append(picture_at(key))
    return found


def _keys(name: str, default: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(key for key in remembered(name, ",".join(default)).split(",") if key))


def _join_uploads(name: str, default: Sequence[str]) -> None:
    """Add the uploads that were not there before; an address that came with a list of its own is left as it is."""
    given = name not in st.session_state and name in st.query_params
    met: set[str] = st.session_state.setdefault(f"{name}_met", set())
    new = [picture.key for picture in own_pictures() if picture.key not in met]
    met.update(new)
    if not new or given:
        return
    keys = [*new, *(key for key in _keys(name, default) if key not in new)]
    if len(keys) > MOST_PICTURES and any(key.startswith("upload:") for key in keys[MOST_PICTURES:]):
        st.caption(f"More photos than there is room for: the newest {MOST_PICTURES} are shown.")
    remember(name, ",".join(keys[:MOST_PICTURES]))


def _popover(name: str, label: str, icon: str) -> st.delta_generator.DeltaGenerator:
    """A popover that is shut once a photo was brought: under another key it is a new one."""
    return st.popover(label, icon=icon, width="stretch", key=f"{name}_popover_{_brought(name)}")


def _brought(name: str) -> int:
    """How often photos were brought through the popover."""
    count: int = st.session_state.get(f"{name}_brought", 0)
    return count


def _dropped(key: str) -> list[str]:
    """The keys of what was dropped or pasted since the last run; a sentence for what is no picture."""
    keys = []
    for each in photo_drop(key=key, text="Drop it to see this photo"):
        with guard():
            if each.content is None:
                raise CoreError(
                    f"{each.name} has {each.size / 2**20:.0f} MiB; the limit is {MAX_BYTES // 2**20} MiB.",
                    "Save it as JPEG, or at a lower resolution.",
                )
            picture = read_picture(each.content, each.name)
            keep_picture(picture)
            keys.append(picture.key)
    return keys


def take_files(name: str, label: str) -> str | None:
    """An uploader; what came is kept, and the popover shut in the next run unless there is something to read.

    Returns:
        The key of the newest; None if nothing came.
    """
    times = _brought(name)
    files = st.file_uploader(
        label,
        accept_multiple_files=True,
        # A new one each time, so that the files themselves do not stay in memory.
        key=f"{name}_upload_{times}" if times else f"{name}_upload",
        max_upload_size=MAX_BYTES // 2**20,
        help=plain(_about_uploads()),
    )
    handled = st.session_state.setdefault(f"{name}_handled", {})
    newest = None
    for file in files:
        if file.file_id not in handled:
            try:
                picture = with_progress(f"Reading {file.name}", partial(_read, file))
                keep_picture(picture)
                handled[file.file_id] = picture.key
                newest = picture.key
            except CoreError as error:
                # A fresh one: the traceback of the caught one keeps the whole file in memory.
                handled[file.file_id] = CoreError(error.cause, error.remedy)
        if isinstance(handled[file.file_id], CoreError):
            show_error(handled[file.file_id])
    if newest and not any(isinstance(handled[file.file_id], CoreError) for file in files):
        st.session_state[f"{name}_brought"] = times + 1
    return newest


def _read(file: UploadedFile, on_progress: OnProgress) -> Picture:
    """Decode what was uploaded."""
    return read_picture(file.getvalue(), file.name)


def _about_uploads() -> str:
    """What can be uploaded, how else, and where it stays."""
    stay = "Photos stay in the memory of the machine that runs Vitrine, until you leave."
    if browser_secret() is not None:
        stay = (
            "Photos stay on the machine that runs Vitrine, for this browser alone, until you delete them or have not "
            f"looked at them for {MOST_DAYS} days."
        )
    size = f"up to {MAX_BYTES // 2**20} MB"
    return f"{listed()}, {size}. You can also drop a photo anywhere on the page, or paste one. {stay}"


def _add_samples(name: str, chosen: list[str]) -> None:
    installed = installed_datasets()
    if not installed:
        return
    first, second, third = st.columns([5, 3, 3], vertical_alignment="bottom")
    data = first.selectbox(
        "Or of a data set", list(installed), format_func=lambda key: installed[key]["title"], key=f"{name}_set"
    )
    seed = second.number_input("Draw", min_value=0, max_value=9999, value=0, key=f"{name}_seed")
    split = usual_split(data)
    if third.button("Add six", key=f"{name}_add", width="stretch"):
        keys = [f"data:{data}/{split}/{seed}/{position}" for position in range(6)]
        remember(name, ",".join([*chosen, *keys]))
        st.rerun()


def _choose(name: str, key: str) -> None:
    remember(name, key)


def _thumbnails(name: str, pictures: list[Picture], label: Callable[[Picture], str]) -> None:
    columns = st.columns(4)
    for index, picture in enumerate(pictures):
        with columns[index % 4]:
            _thumbnail(picture)
            st.button(plain(label(picture)), key=f"{name}_{picture.key}", on_click=_choose, args=(name, picture.key))


def _thumbnail(picture: Picture | Thumbnail) -> None:
    side = min(picture.image.size)
    left, top = (picture.image.width - side) // 2, (picture.image.height - side) // 2
    st.image(picture.image.crop((left, top, left + side, top + side)).resize((120, 120)), alt=picture.title)


def _example_gallery(name: str, paintings: bool) -> None:
    painted = [painted_picture(each) for each in PAINTINGS] if paintings else []
    _thumbnails(name, [*painted, *map(example_picture, EXAMPLES)], lambda picture: picture.title)


def _uploads(name: str, default: str) -> None:
    """The uploader, and what this browser brought before, to be chosen again or deleted."""
    if newest := take_files(name, "Photos from your computer"):
        remember(name, newest)
        st.rerun()
    pictures = own_pictures()
    if not pictures:
        return
    columns = st.columns(4)
    for index, picture in enumerate(pictures):
        with columns[index % 4]:
            _thumbnail(picture)
            st.button(
                plain(picture.title[:14]), key=f"{name}_{picture.key}", on_click=_choose, args=(name, picture.key)
            )
            st.button(
                "Delete",
                icon=":material/delete:",
                type="tertiary",
                key=f"{name}_delete_{picture.key}",
                on_click=_delete,
                args=([picture.key], default),
            )
    if len(pictures) > 1:
        st.button(
            f"Delete all {len(pictures)}",
            icon=":material/delete:",
            key=f"{name}_delete_all",
            on_click=_delete,
            args=([picture.key for picture in pictures], default),
        )


def _delete(keys: list[str], default: str) -> None:
    """Forget these, and take them out of every choice of pictures that this session has made."""
    for key in keys:
        delete_picture(key)
    for name, value in list(st.session_state.items()):
        if isinstance(value, str) and any(key in value for key in keys):
            left = [each for each in value.split(",") if not each.startswith(tuple(keys))]
            remember(str(name), ",".join(left) or default)


def _camera(name: str) -> None:
    shot = st.camera_input("Take a picture", key=f"{name}_camera", help="Away from localhost, browsers want HTTPS.")
    if shot is not None and st.session_state.get(f"{name}_shot") != shot.file_id:
        with guard():
            picture = read_picture(shot.getvalue(), "Camera")
            keep_picture(picture)
            st.session_state[f"{name}_shot"] = shot.file_id
            st.session_state[f"{name}_brought"] = _brought(name) + 1
            remember(name, picture.key)
            st.rerun()


def _dataset_samples(name: str) -> None:
    installed = installed_datasets()
    if not installed:
        st.info(
            "No data set has been imported on this machine. "
            "Import one: `python -m core data import ARCHIVE --name cifar10`",
            icon=":material/database:",
        )
        return
    chosen = st.selectbox(
        "Data set", list(installed), format_func=lambda key: installed[key]["title"], key=f"{name}_set"
    )
    splits = list(installed[chosen]["splits"])
    split = st.selectbox("Split", splits, index=len(splits) - 1, key=f"{name}_split")
    seed = st.number_input(
        "Draw", min_value=0, max_value=9999, value=0, help="Another number, other images.", key=f"{name}_seed"
    )
    with guard():
        pictures = list(dataset_pictures(chosen, split, int(seed)))
        _thumbnails(name, pictures, lambda picture: picture.title.partition(" (")[0][:14])


def _folder(name: str) -> None:
    st.caption("A folder on the machine that runs Vitrine.")
    text = st.text_input("Folder", placeholder="/photos", key=f"{name}_folder")
    if not text.strip():
        return
    with guard():
        files = _image_files(text.strip())
        chosen = st.selectbox("File", files, format_func=lambda path: path.name, key=f"{name}_file")
        if st.button("Use this image", key=f"{name}_use"):
            try:
                with chosen.open("rb") as file:
                    data = file.read(MAX_BYTES + 1)  # enough for the decoder to see that it is too much
            except OSError as error:
                raise CoreError(f"{chosen.name} cannot be read ({error.strerror}).", "Choose another file.") from error
            picture = read_picture(data, chosen.name)
            keep_picture(picture)
            remember(name, picture.key)
            st.rerun()


def _image_files(text: str) -> list[Path]:
    """Up to 200 image files of a folder on this machine."""
    try:
        folder = local_path(text)
        files = sorted(path for path in folder.iterdir() if has_image_suffix(path.name) and path.is_file())
    except (OSError, RuntimeError) as error:  # RuntimeError: the home of a user who does not exist
        raise CoreError(f"{text!r} is no folder that can be read on this machine.", "Check the path.") from error
    if not files:
        raise CoreError(f"{text!r} holds no {listed()} files.", "Try another folder.")
    return files[:200]
