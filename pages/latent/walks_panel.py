"""Walks through the latent space: one latent turned up and down, and the way from one picture to another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import streamlit as st

from core.figures.patches import image_sheet, sharp
from core.methods.latent.drawing import Way
from core.methods.latent.pictures import as_bytes, picture_of
from pages.components.film_strip.film_strip import film_strip
from pages.components.keys import component_key
from pages.components.latent_rows.latent_rows import latent_rows, row_steps
from pages.latent.given import ChosenInputs, choices, digest_of, my_pictures, pixels_of
from pages.latent.latent import config_of, interpolation_of, reencoded_of, statistics_of, traversal_of
from pages.shared.address import remember, remembered, whole_number
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.recipes import filled_recipe

EXTENT = 3.0
_STEPS = 9
_FILM = 13
_MOST_ROWS = 10
_FARTHEST = 100.0
_CENTRE = "centre"
_TURNED, _NOTHING = "latent_turned", "none"
WAYS: dict[Way, str] = {"linear": "Straight", "spherical": "Turning"}


def walks_panel(name: str, given: ChosenInputs) -> Callable[[], Export]:
    """Rows of all latents that matter, each turned under the pointer, and the film between two pictures."""
    config = config_of(name)
    mine = my_pictures(config, inverted=bool(st.session_state.get("latent_invert")))
    known = {_CENTRE: "the centre of the prior"} | choices(given, mine)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        begin = st.selectbox(
            "From", list(known), index=list(known).index("0"), format_func=lambda key: plain(known[key]),
            key="walk_from", width=300, bind="query-params", on_change=remember, args=(_TURNED, _NOTHING),
        )  # fmt: skip
        end = st.selectbox(
            "To", list(known), index=min(len(known) - 1, list(known).index("0") + 1),
            format_func=lambda key: plain(known[key]), key="walk_to", width=300, bind="query-params",
        )  # fmt: skip
    turned = _turned(config.latent_dim)
    first, last = (_latent(name, key, given, mine) for key in (begin, end))
    first = tuple(turned.get(dimension, value) for dimension, value in enumerate(first))
    order = tuple(statistics_of(name, given.address).order().tolist()[:_MOST_ROWS])
    rows = traversal_of(name, first, order, EXTENT, _STEPS)
    start = plain(known[begin]) + (f" with {_turned_words(turned)}" if turned else "")
    left, right = st.columns([6, 5], gap="large")
    with left:
        st.markdown(f"**Every latent from −{EXTENT:g} to {EXTENT:g}**, the largest KL first")
        fine = traversal_of(name, first, order, EXTENT, row_steps(len(order), config.pixels))
        latent_rows(
            fine,
            point=first,
            key=component_key("latent_rows", f"{name} {order}"),
            alt="A row for every latent, nine values each. Move the pointer along a row or use the arrow keys to turn "
            "that latent; click or press Enter to keep it.",
            rest=f"Yellow: where {known[begin]} lies{', turned' if turned else ''}. Move along a row to turn it.",
            on_choice=lambda dimension, value: remember(_TURNED, _turned_text(turned | {dimension: value})),
        )
        if turned:
            st.button(
                f"Back to {plain(known[begin])}", icon=":material/undo:", key="walk_back",
                on_click=remember, args=(_TURNED, _NOTHING),
            )  # fmt: skip
        strongest = int(rows.dimensions[rows.change.argmax()])
        rest = f" {config.latent_dim - _MOST_ROWS:d} more are not shown." if config.latent_dim > _MOST_ROWS else ""
        st.caption(
            f"The picture changes most with z{strongest:d}: by {rows.change.max():.3f} a pixel; least "
            f"with z{int(rows.dimensions[rows.change.argmin()]):d}: by {rows.change.min():.3f}.{rest}"
        )
    with right:
        st.markdown(f"**From {start} to {plain(known[end])}**")
        films = {way: interpolation_of(name, first, last, _FILM, way) for way in WAYS}
        frames = {
            WAYS[way]: [sharp(picture_of(each), 112) for each in as_bytes(film.pictures)] for way, film in films.items()
        }
        film_strip(
            frames, [f"{share:.0%} of the way" for share in films["linear"].shares],
            key=component_key("walk_film", name), noun="Share of the way",
        )  # fmt: skip
        st.caption(_length_words(films["linear"].latents, films["spherical"].latents))

    def export() -> Export:
        return Export(
            stem="latent_walks",
            recipe=filled_recipe(
                "latent", "walks", model=name, pictures=given.address, begin=_setting(begin), end=_setting(end),
                turned=turned, extent=EXTENT, steps=_STEPS, film=_FILM, rows=_MOST_ROWS,
            ),
            pictures={
                "traversal": image_sheet([as_bytes(each) for each in rows.pictures], cell=56, gap=3, first_apart=False),
                "interpolation": image_sheet([as_bytes(film.pictures) for film in films.values()], cell=84),
            },
            facts={"model": name, "pictures": given.address, "from": known[begin], "turned": turned, "to": known[end]},
            arrays={
                "traversal": rows.pictures,
                **{f"interpolation_{way}": film.pictures for way, film in films.items()},
                **{f"latents_{way}": film.latents for way, film in films.items()},
            },
        )  # fmt: skip

    return export


def _turned(dims: int) -> dict[int, float]:
    """The latents that were turned by hand, from the address; what makes no sense there is left out."""
    found = {}
    for part in remembered(_TURNED, _NOTHING).split(","):
        dimension, _, text = part.partition(":")
        with contextlib.suppress(ValueError):
            value = float(text)
            if (whole := whole_number(dimension, dims)) is not None and abs(value) <= _FARTHEST:
                found[whole] = value
    return found


def _turned_text(turned: dict[int, float]) -> str:
    """As the address has it."""
    return ",".join(f"{dimension:d}:{value:.2f}" for dimension, value in turned.items()) or _NOTHING


def _turned_words(turned: dict[int, float]) -> str:
    return ", ".join(f"z{dimension:d} = {value:.2f}" for dimension, value in turned.items())


def _latent(name: str, key: str, given: ChosenInputs, mine: list) -> tuple[float, ...]:  # type: ignore[type-arg]
    """The mean of a picture's posterior, or the centre."""
    if key == _CENTRE:
        return (0.0,) * config_of(name).latent_dim
    pixels = pixels_of(key, given, mine)[None]
    return tuple(reencoded_of(name, 1, digest_of(pixels), pixels).latents[0, 0].tolist())


def _setting(key: str) -> int | str:
    """A picture as a recipe opens it: a place in the set, the centre, or a file beside the script."""
    return key if key == _CENTRE else int(key) if key.isdecimal() else "picture.png"


def _length_words(straight: np.ndarray, turning: np.ndarray) -> str:
    """How near to the centre the two ways come."""
    shortest = [np.linalg.norm(each, axis=1).min() for each in (straight, turning)]
    ends = np.linalg.norm(straight[[0, -1]], axis=1)
    return (
        f"The ends lie {ends[0]:.2f} and {ends[1]:.2f} from the centre. The straight way comes as near as "
        f"{shortest[0]:.2f}, the turning one {shortest[1]:.2f}."
    )
