"""Several models at once, for pages that compare them; the choice lives in the address."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.errors import CoreError
from core.models.catalogue import MODELS, find_model
from core.models.spec import Capability, ModelSpec
from core.models.weights import availability
from core.runs.store import list_runs
from pages.shared.address import remember, remembered
from pages.shared.cache import loaded_model
from pages.shared.errors import show_error
from pages.shared.foreign import plain

MOST_MODELS = 6


def models_picker(
    capabilities: tuple[Capability, ...], *, name: str = "models", preferred: Sequence[str], most: int = MOST_MODELS
) -> list[str]:
    """Names of models that are ready to use and have one of `capabilities`; a sentence for each that cannot be used.

    Models that need a download are fetched on other pages; what was fetched, runs and own models are listed here.
    """
    added: list[str] = st.session_state.get("own_models", [])
    runs = [f"run:{run.name}" for run in list_runs() if (run.model / "card.json").is_file()]
    # What `own_model_form` chose for this picker joins the others.
    newest = st.session_state.pop(f"{name}_added", "")
    names = [each for each in dict.fromkeys([*MODELS, *runs, *added]) if _usable(each, capabilities)]
    default = [each for each in preferred if each in names][:most] or names[:1]
    chosen = list(dict.fromkeys(each for each in remembered(name, ",".join(default)).split(",") if each))
    if newest and newest not in chosen:
        chosen = [*chosen[: most - 1], newest]
    usable = []
    for each in chosen[:most]:
        if each in names:
            usable.append(each)
        elif _reason_shown(each, capabilities):
            names.append(each)
            usable.append(each)
    usable = usable or default
    if ",".join(usable) != st.session_state[name]:
        remember(name, ",".join(usable))
    widget = f"{name}_chosen"
    st.session_state[widget] = usable
    label = f"Models: {len(usable)}" if len(usable) > 1 else plain(find_model(usable[0]).title)
    with st.popover(label, icon=":material/stacks:", width="stretch"):
        st.multiselect(
            f"Up to {most}",
            names,
            format_func=lambda each: find_model(each).title,
            key=widget,
            max_selections=most,
            on_change=lambda: remember(name, ",".join(st.session_state[widget])),
        )
        st.caption("Models that need a download are fetched on a page of one model, such as Attention.")
    return usable


def _usable(name: str, capabilities: tuple[Capability, ...]) -> bool:
    try:
        spec = find_model(name)
        return _fits(spec, capabilities) and availability(spec).state == "ready"
    except CoreError:  # a folder that moved, a damaged card
        return False


def _fits(spec: ModelSpec, capabilities: tuple[Capability, ...]) -> bool:
    return any(not spec.lacks(each) for each in capabilities)


def _reason_shown(name: str, capabilities: tuple[Capability, ...]) -> bool:
    """Whether a model that only the address names can be used; why not is said on the page."""
    try:
        spec = find_model(name)
        if not _fits(spec, capabilities):
            reason = " and ".join(spec.lacks(each) for each in capabilities)
            raise CoreError(f"{spec.title} cannot be used here: {reason}.", "It is left out.")
        if availability(spec).state != "ready":
            st.info(
                f"{plain(spec.title)} is not on this machine yet. Pages of one model, such as Attention, fetch it.",
                icon=":material/download:",
            )
            return False
        loaded_model(name)
    except CoreError as error:
        show_error(error)
        return False
    return True
