"""Search on the Embeddings page: by a text where the model knows texts, by any picture with every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import streamlit as st
from PIL import Image

from core.data.examples import EXAMPLES
from core.methods.embeddings.layer_features import Readout
from core.methods.embeddings.search import Found, image_query, search, text_query
from core.models.catalogue import find_model
from core.models.clip import ImageTextEncoder
from core.reports import OnProgress, silent
from pages.components.image_plane.image_plane import Chosen
from pages.embeddings.spaces import Asked, PlaneView, Searched, cuts_of, spaces_of
from pages.shared.address import asked as in_address
from pages.shared.address import remember, remembered
from pages.shared.cache import in_use
from pages.shared.errors import guard
from pages.shared.foreign import plain
from pages.shared.picture_picker import take_files
from pages.shared.pictures import example_picture, own_pictures, picture_at
from pages.shared.results import shared

LIT = 24  # as many of the nearest are selected on the plane and shown in the gallery
_NAME = "find"
_STATE, _REVISION, _LIT = "plane_chosen", "plane_revision", "plane_lit"


def wanted() -> str:
    """What is searched for: `text:…`, `image:…`, or nothing."""
    # Nothing is no part of the address.
    return remembered(_NAME, "") if st.session_state.get(_NAME) or in_address(_NAME) else ""


def search_popover(models: Sequence[str]) -> None:
    """The words or the picture to search for; both are in the address."""
    now = wanted()
    kind, _, rest = now.partition(":")
    with st.popover("Search", icon=":material/search:", width="stretch", type="primary" if now else "secondary"):
        texts = [model for model in models if find_model(model).lacks("image_text") == ""]
        if texts:
            if kind == "text" or not now:
                st.session_state["find_text"] = rest if kind == "text" else ""
            st.text_input(
                "By words", placeholder="a photo of a cat", max_chars=300, key="find_text", on_change=_take_text
            )
        else:
            st.caption("Searching by words takes a model of images and texts, such as CLIP: choose one above.")
        brought = take_files("find", "By a picture of your own")
        if brought:
            _choose(f"image:{brought}")
            st.rerun()
        titles = {each.key: each.title for each in own_pictures()}
        titles |= {each.key: each.title for each in map(example_picture, EXAMPLES)}
        current = rest if kind == "image" and rest in titles else None
        st.session_state["find_picture"] = current
        st.selectbox(
            "Or by one of these",
            list(titles),
            index=None,
            format_func=titles.__getitem__,
            key="find_picture",
            on_change=lambda: _choose(f"image:{key}" if (key := st.session_state["find_picture"]) else ""),
        )
        st.button("Clear", key="find_clear", disabled=not now, on_click=_choose, args=("",))


def with_found(shown: PlaneView) -> PlaneView:
    """The view with what its spaces answer to the search; the nearest are selected on the plane, once."""
    query = wanted()
    if not query:
        _light(shown, "")
        return shown
    found: list[Searched] = []
    with guard():
        found = _answers(shown, query)
    shown = replace(shown, found=tuple(found))
    _light(shown, query)
    return shown


def _answers(shown: PlaneView, query: str) -> list[Searched]:
    """One answer for each plane; of a film, its end."""
    kind, _, rest = query.partition(":")
    spaces = shown.asked[-1:] if shown.film else shown.asked
    answers = []
    for each in dict.fromkeys(spaces):
        if kind == "text":
            if find_model(each.model).lacks("image_text"):
                continue
            # Words are compared with embeddings alone, whatever layer the plane shows.
            end = Asked(model=each.model, cut=Readout(layer=cuts_of(each.model).at("late"), pooling="embedding"))
            vectors = spaces_of(end.model, [end.cut], shown.given)[0].vectors
            answers.append((end, f"“{rest}”", _found_text(shown.given.signature, end, rest, vectors)))
        else:
            picture = picture_at(rest)
            vectors = spaces_of(each.model, [each.cut], shown.given)[0].vectors
            answers.append(
                (each, picture.title, _found_image(shown.given.signature, each, picture.digest, picture.image, vectors))
            )
    if not answers:
        st.caption("The search by words is off: it takes a model of images and texts, such as CLIP.")
    return [Searched(title=end.title, query=words, found=found) for end, words, found in answers]


@shared("Searching")
def _found_text(signature: str, asked: Asked, text: str, _vectors, *, on_progress: OnProgress = silent) -> Found:  # type: ignore[no-untyped-def]
    with in_use(asked.model) as model:
        return search(text_query(cast(ImageTextEncoder, model.module), text), _vectors)


@shared("Searching")
def _found_image(  # type: ignore[no-untyped-def]
    signature: str, asked: Asked, digest: str, _image: Image.Image, _vectors, *, on_progress: OnProgress = silent
) -> Found:
    with in_use(asked.model) as model:
        preprocessing = model.network.preprocessing
        query = image_query(
            model.module.eval(),
            _image,
            asked.cut,
            cuts_of(asked.model),
            size=preprocessing.size,
            normalisation=preprocessing.normalisation,
        )
    return search(query, _vectors)


def _light(shown: PlaneView, query: str) -> None:
    """Select what was found, when it is new; afterwards the selection is whoever's it becomes."""
    now = (shown.given.signature, query, tuple(each.title for each in shown.found)) if query else None
    if st.session_state.get(_LIT) == now:
        return
    st.session_state[_LIT] = now
    nearest = {int(row) for each in shown.found for row in each.found.order[:LIT]}
    if query:
        st.session_state[_STATE] = (shown.given.signature, Chosen(items=tuple(sorted(nearest))))
    else:
        st.session_state.pop(_STATE, None)
    st.session_state[_REVISION] = st.session_state.get(_REVISION, 0) + 1


def revision() -> int:
    """Changes whenever the page, not the browser, has selected something."""
    count: int = st.session_state.get(_REVISION, 0)
    return count


def found_words(shown: PlaneView) -> str:
    """What was found, in a sentence."""
    if not shown.found:
        return ""
    first = shown.found[0]
    best = int(first.found.order[0])
    return (
        f"Nearest to **{plain(first.query)}** of {len(first.found.order):,} pictures by {plain(first.title)}: "
        f"**{plain(shown.given.images.ids[best])}**, cosine {first.found.similarities[best]:.3f}."
    )


def _take_text() -> None:
    text = st.session_state["find_text"].strip()
    _choose(f"text:{text}" if text else "")


def _choose(query: str) -> None:
    if query:
        remember(_NAME, query)
    else:
        st.session_state.pop(_NAME, None)
        st.query_params.pop(_NAME, None)
