"""Walks through the latent space: one latent turned up and down, and the way from one picture to another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from core.figures.overlay import to_data_uri
from core.figures.patches import image_sheet, sharp
from core.methods.latent.drawing import Way
from core.methods.latent.pictures import as_bytes, picture_of
from pages.components.film_strip.film_strip import film_strip
from pages.components.keys import component_key
from pages.latent.given import ChosenInputs, choices, digest_of, my_pictures, pixels_of
from pages.latent.latent import config_of, exact_of, interpolation_of, reencoded_of, statistics_of, traversal_of
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.recipes import filled_recipe

EXTENT = 3.0
_STEPS = 9
_FILM = 13
_MOST_ROWS = 10
_CENTRE = "centre"
WAYS: dict[Way, str] = {"linear": "Straight", "spherical": "Turning"}


def walks_panel(name: str, given: ChosenInputs) -> Callable[[], Export]:
    """The slider of one latent, rows of all that matter, and the film between two pictures."""
    config = config_of(name)
    mine = my_pictures(config, inverted=bool(st.session_state.get("latent_invert")))
    known = {_CENTRE: "the centre of the prior"} | choices(given, mine)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        begin = st.selectbox(
            "From", list(known), index=list(known).index("0"), format_func=lambda key: plain(known[key]),
            key="walk_from", width=300, bind="query-params",
        )  # fmt: skip
        end = st.selectbox(
            "To", list(known), index=min(len(known) - 1, list(known).index("0") + 1),
            format_func=lambda key: plain(known[key]), key="walk_to", width=300, bind="query-params",
        )  # fmt: skip
    first, last = (_latent(name, key, given, mine) for key in (begin, end))
    order = statistics_of(name, given.address).order().tolist()
    _turn(name, first, order)
    rows = traversal_of(name, first, tuple(order[:_MOST_ROWS]), EXTENT, _STEPS)
    left, right = st.columns([5, 6], gap="large")
    sheet = image_sheet([as_bytes(each) for each in rows.pictures], cell=56, gap=3, first_apart=False)
    with left:
        st.markdown(f"**Every latent from −{EXTENT:g} to {EXTENT:g}**, the largest KL first")
        st.image(to_data_uri(sheet, quality=100), width="stretch", alt="A row for every latent, nine values each.")
        shown = ", ".join(f"z{each:d}" for each in rows.dimensions)
        strongest = int(rows.dimensions[rows.change.argmax()])
        rest = f" {config.latent_dim - _MOST_ROWS:d} more are not shown." if config.latent_dim > _MOST_ROWS else ""
        st.caption(
            f"Rows: {shown}. The picture changes most with z{strongest:d}: by {rows.change.max():.3f} a pixel; least "
            f"with z{int(rows.dimensions[rows.change.argmin()]):d}: by {rows.change.min():.3f}.{rest}"
        )
    with right:
        st.markdown(f"**From {plain(known[begin])} to {plain(known[end])}**")
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
                extent=EXTENT, steps=_STEPS, film=_FILM, rows=_MOST_ROWS,
            ),
            pictures={
                "traversal": sheet,
                "interpolation": image_sheet([as_bytes(film.pictures) for film in films.values()], cell=84),
            },
            facts={"model": name, "pictures": given.address, "from": known[begin], "to": known[end]},
            arrays={
                "traversal": rows.pictures,
                **{f"interpolation_{way}": film.pictures for way, film in films.items()},
                **{f"latents_{way}": film.latents for way, film in films.items()},
            },
        )  # fmt: skip

    return export


@st.fragment
def _turn(name: str, point: tuple[float, ...], order: list[int]) -> None:
    """One latent under a slider; moving it runs this alone."""
    left, middle, right = st.columns([3, 5, 3], vertical_alignment="center")
    dimension = left.selectbox(
        "Latent", order, format_func=lambda each: f"z{each:d}", key=f"walk_latent_{len(order)}",
        help="In the order of their KL.",
    )  # fmt: skip
    value = middle.slider(
        f"z{dimension:d}", -EXTENT, EXTENT, float(np.clip(round(point[dimension], 2), -EXTENT, EXTENT)), 0.05,
        key=f"walk_value_{component_key(str(dimension), repr((name, point)))}",
    )  # fmt: skip
    latent = [*point]
    latent[dimension] = float(value)
    picture = picture_of(as_bytes(exact_of(name, tuple(latent))))
    right.image(sharp(picture, 168), width=168, alt=f"Decoded with z{dimension:d} = {value:.2f}")


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
