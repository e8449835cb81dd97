"""What every page asks first: which image, which model. Both choices live in the address."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import streamlit as st
from PIL import Image

from core.data.catalogue import installed_datasets, sample_images, usual_split
from core.data.examples import EXAMPLES, load_example
from core.data.images import MAX_BYTES, decode_image, image_digest
from core.data.paintings import PAINTINGS, paint
from core.errors import CoreError, UnknownNameError
from core.models.catalogue import MODELS, find_model
from core.models.spec import Capability, ModelSpec
from core.models.weights import Availability, availability, fetch, resolve
from core.paths import local_path
from core.runs.store import list_runs
from pages.shared.address import remember, remembered, whole_number
from pages.shared.cache import loaded_model
from pages.shared.errors import guard, show_error
from pages.shared.foreign import literal, plain
from pages.shared.results import forget_if_changed, with_progress

UPLOAD_TYPES = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"]
MOST_PICTURES = 16
PREFERRED = ("vit_s14_saliency", "vit_p4", "efficientnet_lite0")


@dataclass(frozen=True)
class Picture:
    """A decoded, upright photo and how to find it again."""

    key: str
    title: str
    image: Image.Image
    digest: str


def image_picker(
    *, name: str = "image", default: str = "example:coffee", label: str = "Image", paintings: bool = False
) -> Picture:
    """The chosen image, and a popover to choose another: examples, upload, camera, data set or folder.

    `paintings`: whether those of `core.data.paintings` are among the examples.
    """
    key = remembered(name, default)
    try:
        picture = _picture(key)
    except CoreError as error:
        show_error(error)
        picture = _picture(default)
    with st.popover(f"{label}: {plain(picture.title)}", icon=":material/image:", width="stretch"):
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
            _uploads(name)
        elif source == "Camera":
            _camera(name)
        elif source == "Data set":
            _dataset_samples(name)
        else:
            _folder(name)
    return picture


def pictures_picker(*, name: str = "images", default: Sequence[str], label: str = "Images") -> list[Picture]:
    """Several chosen images; the popover adds uploads and draws from data sets. Their keys are in the address."""
    chosen = {picture.key: picture for picture in chosen_pictures(name, default)}
    uploads: dict[str, Picture] = st.session_state.get("uploads", {})
    known = {f"example:{example}": _example(f"example:{example}") for example in EXAMPLES} | uploads | chosen
    widget = f"{name}_chosen"
    st.session_state[widget] = list(chosen)
    with st.popover(f"{label}: {len(chosen)}", icon=":material/photo_library:", width="stretch"):
        st.multiselect(
            f"Up to {MOST_PICTURES}",
            list(known),
            format_func=lambda key: known[key].title,
            key=widget,
            max_selections=MOST_PICTURES,
            on_change=lambda: remember(name, ",".join(st.session_state[widget])),
        )
        _add_uploads(name, list(chosen))
        _add_samples(name, list(chosen))
    return list(chosen.values())


def chosen_pictures(name: str, default: Sequence[str]) -> list[Picture]:
    """The images of a `pictures_picker`; a sentence for each that is not to be had."""
    found = []
    for key in list(dict.fromkeys(key for key in remembered(name, ",".join(default)).split(",") if key))[
        :MOST_PICTURES
    ]:
        with guard():
            found.append(_picture(key))
    return found


def _add_uploads(name: str, chosen: list[str]) -> None:
    before = set(st.session_state.get("uploads", {}))
    files = st.file_uploader("Add photos", accept_multiple_files=True, key=f"{name}_upload", max_upload_size=50)
    handled = st.session_state.setdefault(f"{name}_handled", set())
    for file in files:
        if file.file_id not in handled:
            handled.add(file.file_id)
            with guard():
                _keep_upload(_decode(file.getvalue(), file.name))
    if added := [key for key in st.session_state.get("uploads", {}) if key not in before]:
        remember(name, ",".join([*chosen, *added]))
        st.rerun()


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


def model_picker(
    capability: Capability | tuple[Capability, ...] | None,
    *,
    name: str = "model",
    preferred: tuple[str, ...] = PREFERRED,
    only: Collection[str] = (),
) -> str:
    """The name of a model that is ready to use; asks for a download, with progress, where one is needed.

    Models that can do nothing of what the page needs are left out; the ones that are not ready say why. The script
    stops here while the chosen model is not ready.

    `only`: the rows of the catalogue that may be chosen, where these are few.
    """
    chosen, state = _chosen_model(capability, name, "Model", None, preferred, only)
    if not _is_ready(chosen, state):
        st.stop()
    return chosen


def second_model_picker(
    capability: Capability | tuple[Capability, ...] | None,
    *,
    name: str = "model_b",
    label: str = "Second model",
    exclude: str | None = None,
    preferred: tuple[str, ...] = PREFERRED,
) -> str | None:
    """A `model_picker` for a part of a page: None, and the page goes on, while the chosen model is not ready."""
    chosen, state = _chosen_model(capability, name, label, exclude, preferred)
    return chosen if _is_ready(chosen, state) else None


def _chosen_model(
    capability: Capability | tuple[Capability, ...] | None,
    name: str,
    label: str,
    exclude: str | None,
    preferred: tuple[str, ...],
    only: Collection[str] = (),
) -> tuple[str, Availability]:
    """The widget, and what it holds."""
    names = [spec.name for spec in MODELS.values() if _fits(spec, capability) and spec.name != exclude]
    names += [own for own in _own_models() if _fits(find_model(own), capability) and own != exclude]
    names = [each for each in names if not only or each in only]
    states = {candidate: availability(find_model(candidate)) for candidate in names}
    usable = [candidate for candidate in names if states[candidate].state == "ready"]
    default = next((each for each in (*preferred, *usable) if each in usable), names[0])
    if (carried := st.session_state.get(name)) in MODELS and not _fits(find_model(carried), capability):
        remember(name, default)  # another page's choice, which means nothing here
    wanted = remembered(name, default)
    if wanted not in names and only:
        show_error(UnknownNameError("network for this page", literal(wanted, 80), names))
    elif wanted not in names and wanted != exclude:
        wanted = _from_address(wanted, capability)
        if wanted:
            names.append(wanted)
            states[wanted] = availability(find_model(wanted))
    if wanted not in names:
        remember(name, default)
        wanted = default
    names.sort(key=lambda candidate: ("ready", "fetchable", "unavailable").index(states[candidate].state))
    widget = f"{name}_choice"
    st.session_state[widget] = wanted
    chosen = st.selectbox(
        label,
        names,
        format_func=lambda candidate: _describe(find_model(candidate), states[candidate]),
        key=widget,
        label_visibility="collapsed",
        on_change=lambda: remember(name, st.session_state[widget]),
    )
    _say_left_out(capability)
    return chosen, states[chosen]


def _say_left_out(capability: Capability | tuple[Capability, ...] | None) -> None:
    """Which models that somebody brought are not in the list, and what they lack for this page."""
    added = [find_model(each) for each in _added_models()]
    left_out = [
        f"{plain(spec.title)} ({plain(' and '.join(spec.lacks(each) for each in _several(capability)))})"
        for spec in added
        if not _fits(spec, capability)
    ]
    if left_out:
        st.caption(f"Not in this list: {', '.join(left_out)}.")


def own_model_form(*, name: str = "model") -> None:
    """Add a model that the catalogue does not list, and choose it: a Hub name, a local folder or file.

    `name`: of the `model_picker` that it is chosen for.
    """
    with st.popover("Your own model", icon=":material/add:", width="stretch"):
        kind = st.segmented_control(
            "Where is it?", ["Hub name", "Local folder or file"], default="Hub name", required=True, key="own_kind"
        )
        location = st.text_input(
            "Name or path",
            placeholder="facebook/dino-vits16" if kind == "Hub name" else "/models/my-vit",
            key="own_location",
        )
        if st.button("Add", key="own_add", disabled=not location.strip()):
            prefix = "hub" if kind == "Hub name" else "folder"
            with guard():
                candidate = f"{prefix}:{location.strip()}"
                # Loading now tells apart a typing mistake, a missing network and a file that is not a model; a trial
                # then finds what it can be asked.
                with st.spinner(f"Loading {plain(location.strip())} …"):
                    state = availability(find_model(candidate))
                    if state.state == "unavailable":
                        raise CoreError(state.text)
                    loaded_model(candidate)
                if candidate not in _own_models():
                    st.session_state["own_models"] = [*st.session_state.get("own_models", []), candidate]
                remember(name, candidate)
                st.rerun()


def _own_models() -> list[str]:
    """Finished runs, and what this session added."""
    runs = [f"run:{run.name}" for run in list_runs() if (run.model / "card.json").is_file()]
    return list(dict.fromkeys([*(name for name in runs if _opens(name)), *_added_models()]))


def _added_models() -> list[str]:
    """What this session added and is still there."""
    added: list[str] = st.session_state.get("own_models", [])
    return [name for name in dict.fromkeys(added) if _opens(name)]


def _opens(name: str) -> bool:
    """Whether a run or folder is still what it was: folders move, and cards get damaged."""
    try:
        availability(find_model(name))
    except CoreError:
        return False
    return True


def _from_address(name: str, capability: Capability | tuple[Capability, ...] | None) -> str:
    """A model that the address asks for but the list does not have: itself if it can be used here, else empty."""
    try:
        with st.spinner(f"Opening {plain(name)} …"):  # a folder that was never tried is, once
            spec = find_model(name)
        availability(spec)
        if not _fits(spec, capability):
            reason = " and ".join(spec.lacks(each) for each in _several(capability))
            raise CoreError(f"{spec.title} cannot be used on this page: {reason}.", "Another is shown.")
    except CoreError as error:
        show_error(error)
        return ""
    st.session_state["own_models"] = [*st.session_state.get("own_models", []), name]
    return name


def _fits(spec: ModelSpec, capability: Capability | tuple[Capability, ...] | None) -> bool:
    return capability is None or any(not spec.lacks(each) for each in _several(capability))


def _several(capability: Capability | tuple[Capability, ...] | None) -> tuple[Capability, ...]:
    return capability if isinstance(capability, tuple) else (capability,) if capability else ()


def _describe(spec: ModelSpec, state: Availability) -> str:
    if state.state == "ready":
        return spec.title
    size = f" {state.size_mib:.0f} MB" if state.size_mib else ""
    return f"{spec.title}  ⇣{size}" if state.state == "fetchable" else f"{spec.title}  ✕"


def _is_ready(name: str, state: Availability) -> bool:
    """Whether the model can be used now; where not, the page says why or offers the download."""
    spec = find_model(name)
    if state.state == "ready":
        if name.partition(":")[0] in ("run", "folder"):
            _forget_if_changed(name)
        try:
            if name not in st.session_state.setdefault("loaded_once", set()):
                with st.spinner(f"Loading {plain(spec.title)} …"):
                    loaded_model(name)
                st.session_state["loaded_once"].add(name)
        except CoreError as error:
            show_error(error)
            return False
        return True
    if state.state == "unavailable":
        st.warning(f"**{plain(spec.title)}** cannot be used here: {plain(state.text)}", icon=":material/cloud_off:")
        return False
    size = f" ({state.size_mib:.0f} MB)" if state.size_mib else ""
    st.info(
        f"**{plain(spec.title)}** is one download away. {plain(state.text)} Licence: {plain(spec.licence)}.",
        icon=":material/download:",
    )
    if st.button(f"Download {plain(spec.title)}{size}", type="primary", key=f"fetch_{name}"):
        _download(spec)
    return False


def _forget_if_changed(name: str) -> None:
    """Drop every cached result when the files of a run or folder are others than last time."""
    location = Path(resolve(find_model(name)))
    files = sorted(location.iterdir()) if location.is_dir() else [location]
    stamp = tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    forget_if_changed(f"model:{name}", stamp)


def _download(spec: ModelSpec) -> None:
    try:
        with_progress(f"Fetching {spec.title} …", lambda on_progress: fetch(spec, on_progress))
    except CoreError as error:
        show_error(error)
    else:
        st.rerun()


@st.cache_resource(max_entries=64, show_spinner=False)
def _example(key: str) -> Picture:
    example = EXAMPLES[key.partition(":")[2]]
    image = load_example(example.name)
    return Picture(key=key, title=example.title, image=image, digest=image_digest(image))


@st.cache_resource(max_entries=8, show_spinner=False)
def _painting(key: str) -> Picture:
    name = key.partition(":")[2]
    image = paint(name)
    return Picture(key=key, title=PAINTINGS[name][0], image=image, digest=image_digest(image))


@st.cache_resource(max_entries=16, show_spinner=False)
def _dataset_pictures(name: str, split: str, seed: int) -> tuple[Picture, ...]:
    """Up to twelve random images of a split."""
    card = installed_datasets().get(name)
    if card is None:
        raise CoreError(f"The data set {name!r} is not on this machine.", "Import it, or choose an example.")
    titles = card.get("class_titles", card["classes"])
    return tuple(
        Picture(
            key=f"data:{name}/{split}/{seed}/{position}",
            title=f"{titles[label]} ({name})",
            image=image,
            digest=image_digest(image),
        )
        for position, (image, label) in enumerate(sample_images(name, split, 12, seed))
    )


def _picture(key: str) -> Picture:
    """The image behind an address.

    Raises:
        CoreError: nothing is known under that key, or it belongs to another session.
    """
    kind, _, rest = key.partition(":")
    if kind == "example" and rest in EXAMPLES:
        return _example(key)
    if kind == "painted" and rest in PAINTINGS:
        return _painting(key)
    if kind == "upload":
        uploads: dict[str, Picture] = st.session_state.get("uploads", {})
        if key in uploads:
            return uploads[key]
        raise CoreError(
            "This address points to an upload, which only the session that made it can see.",
            "Upload the image again, or choose an example.",
        )
    parts = rest.split("/")
    numbers = [whole_number(part, 10_000) for part in parts[2:]]
    if kind == "data" and len(parts) == 4 and None not in numbers:
        seed, place = cast(list[int], numbers)
        pictures = _dataset_pictures(parts[0], parts[1], seed)
        if place < len(pictures):
            return pictures[place]
    raise CoreError(f"The address names an unknown image, {literal(key, 120)!r}.", "The example is shown instead.")


def _choose(name: str, key: str) -> None:
    remember(name, key)


def _thumbnails(name: str, pictures: list[Picture], label: Callable[[Picture], str]) -> None:
    columns = st.columns(4)
    for index, picture in enumerate(pictures):
        with columns[index % 4]:
            side = min(picture.image.size)
            left, top = (picture.image.width - side) // 2, (picture.image.height - side) // 2
            st.image(picture.image.crop((left, top, left + side, top + side)).resize((120, 120)), alt=picture.title)
            st.button(plain(label(picture)), key=f"{name}_{picture.key}", on_click=_choose, args=(name, picture.key))


def _example_gallery(name: str, paintings: bool) -> None:
    painted = [_painting(f"painted:{each}") for each in PAINTINGS] if paintings else []
    photos = [_example(f"example:{example}") for example in EXAMPLES]
    _thumbnails(name, [*painted, *photos], lambda picture: picture.title)


def _keep_upload(picture: Picture) -> None:
    uploads = st.session_state.setdefault("uploads", {})
    uploads[picture.key] = picture
    while len(uploads) > 24:
        uploads.pop(next(iter(uploads)))


def _decode(data: bytes, title: str) -> Picture:
    image = decode_image(data, name=title)
    digest = image_digest(image)
    return Picture(key=f"upload:{digest[:16]}", title=title[:40], image=image, digest=digest)


def _uploads(name: str) -> None:
    files = st.file_uploader(
        "Photos from your computer",
        accept_multiple_files=True,
        key=f"{name}_upload",
        help="JPEG, PNG, WebP, GIF, BMP or TIFF, up to 50 MB. Photos stay on the machine that runs Vitrine.",
    )
    handled = st.session_state.setdefault(f"{name}_handled", {})
    newest = None
    for file in files:
        if file.file_id not in handled:
            try:
                with st.spinner(f"Reading {plain(file.name)} …"):
                    picture = _decode(file.getvalue(), file.name)
                _keep_upload(picture)
                handled[file.file_id] = picture.key
                newest = picture.key
            except CoreError as error:
                # A fresh one: the traceback of the caught one keeps the whole file in memory.
                handled[file.file_id] = CoreError(error.cause, error.remedy)
        if isinstance(handled[file.file_id], CoreError):
            show_error(handled[file.file_id])
    if newest:
        remember(name, newest)
        st.rerun()
    uploads = st.session_state.get("uploads", {})
    if uploads:
        _thumbnails(name, list(uploads.values()), lambda picture: picture.title[:14])


def _camera(name: str) -> None:
    shot = st.camera_input("Take a picture", key=f"{name}_camera", help="Away from localhost, browsers want HTTPS.")
    if shot is not None and st.session_state.get(f"{name}_shot") != shot.file_id:
        with guard():
            picture = _decode(shot.getvalue(), "Camera")
            _keep_upload(picture)
            st.session_state[f"{name}_shot"] = shot.file_id
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
        pictures = list(_dataset_pictures(chosen, split, int(seed)))
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
            picture = _decode(data, chosen.name)
            _keep_upload(picture)
            remember(name, picture.key)
            st.rerun()


def _image_files(text: str) -> list[Path]:
    """Up to 200 image files of a folder on this machine."""
    try:
        folder = local_path(text)
        files = sorted(
            path for path in folder.iterdir() if path.suffix.lower().lstrip(".") in UPLOAD_TYPES and path.is_file()
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: the home of a user who does not exist
        raise CoreError(f"{text!r} is no folder that can be read on this machine.", "Check the path.") from error
    if not files:
        raise CoreError(f"{text!r} holds no JPEG, PNG, WebP, GIF, BMP or TIFF files.", "Try another folder.")
    return files[:200]
