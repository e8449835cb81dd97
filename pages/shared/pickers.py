"""What every page asks first: which image, which model. Both choices live in the address."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import streamlit as st

from core.errors import CoreError, UnknownNameError
from core.models.catalogue import MODELS, find_model
from core.models.spec import Capability, ModelSpec
from core.models.weights import Availability, availability, fetch, resolve
from core.runs.store import list_runs
from pages.shared.address import remember, remembered
from pages.shared.cache import described_model, loaded_model
from pages.shared.errors import PageEnd, guard, show_error
from pages.shared.foreign import literal, plain
from pages.shared.picture_picker import UPLOAD_TYPES, chosen_pictures, image_picker, pictures_picker
from pages.shared.pictures import Picture
from pages.shared.results import forget_if_changed, with_progress

__all__ = [
    "PREFERRED",
    "UPLOAD_TYPES",
    "Picture",
    "chosen_pictures",
    "image_picker",
    "model_picker",
    "own_model_form",
    "pictures_picker",
    "second_model_picker",
]
PREFERRED = ("vit_s14_saliency", "vit_p4", "efficientnet_lite0")


def model_picker(
    capability: Capability | tuple[Capability, ...] | None,
    *,
    name: str = "model",
    preferred: tuple[str, ...] = PREFERRED,
    only: Collection[str] = (),
) -> str:
    """The name of a model that is ready to use; asks for a download, with progress, where one is needed.

    Models that can do nothing of what the page needs are left out; the ones that are not ready say why. The page
    ends here while the chosen model is not ready.

    `only`: the rows of the catalogue that may be chosen, where these are few.
    """
    chosen, state = _chosen_model(capability, name, "Model", None, preferred, only)
    if not _is_ready(chosen, state):
        raise PageEnd
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
                state = with_progress(
                    f"Opening {location.strip()}", lambda on_progress: availability(find_model(candidate))
                )
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
        # A folder that was never tried is, once.
        spec = with_progress(f"Opening {name}", lambda on_progress: find_model(name), token=f"open-{name}")
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
            described_model(name)
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
