"""The planes and what follows from pointing at them: neighbours, a gallery, a table of labels."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.figures.embedding import gallery, label_palette, plot_depths
from core.methods.embedding_quality import shared
from core.ui.components.image_plane import Chosen, Colours, image_plane
from core.ui.embeddings import NEAR, Shown
from core.ui.embeddings_words import colours_of, depth_rows, label_table
from core.ui.image_sets import Given

_STATE = "plane_chosen"
_IN_GALLERY = 60
COLOURS = {"label": "Label", "neighbours": "Neighbours agree", "models": "Both agree"}


def chosen_now(given: Given) -> Chosen:
    """What is selected among these pictures."""
    signature, chosen = st.session_state.get(_STATE, ("", Chosen()))
    return chosen if signature == given.signature else Chosen()


def colours_picker(shown: Shown) -> str:
    """What the colours say; only what can be said of these pictures is offered."""
    offered = ["label"] if shown.given.images.labelled else []
    offered += ["neighbours"] if shown.given.images.labelled else []
    offered += ["models"] if shown.two else []
    if len(offered) < 2:
        return offered[0] if offered else "label"
    if st.session_state.get("colour") not in (None, *offered):
        st.session_state["colour"] = "label"
    return st.segmented_control(
        "Colour",
        offered,
        format_func=COLOURS.__getitem__,
        default=offered[0],
        required=True,
        key="colour",
        bind="query-params",
        label_visibility="collapsed",
    )


@st.fragment
def explore(shown: Shown) -> None:
    """Planes and selection; a lasso or a click runs this alone."""
    given = shown.given

    def keep(chosen: Chosen) -> None:
        st.session_state[_STATE] = (given.signature, chosen)

    def plane(colours: Colours) -> None:
        coordinates = np.stack(shown.planes)
        near = np.stack([space.near.indices for space in shown.spaces])
        axis = 0 if shown.film else 1
        image_plane(
            given.pictures,
            np.expand_dims(coordinates, axis),
            np.expand_dims(near, axis),
            colours,
            titles=list(shown.names) if shown.two else [_plane_title(shown)],
            frames=list(shown.names) if shown.film else [""],
            chosen=chosen_now(given),
            revision=0,
            key="image_plane",
            alt="Drag to move, wheel to zoom, click a picture for its neighbours, shift-drag to draw a lasso. "
            "Arrow keys go from picture to picture, Enter shows neighbours, space selects, + and - zoom, 0 shows all.",
            height=440 if shown.two else 540,
            on_choice=keep,
        )

    if shown.two:
        plane(colours_of(colours_picker(shown), given, shown.spaces))
        panel(shown, columns=10)
        return
    left, right = st.columns([7, 3], gap="medium")
    with right:
        by = colours_picker(shown)
        panel(shown, columns=5)
    with left:
        plane(colours_of(by, given, shown.spaces))


def panel(shown: Shown, *, columns: int) -> None:
    """Neighbours of what was clicked, then a gallery and the labels of what was selected."""
    chosen = chosen_now(shown.given)
    if chosen.focus >= 0:
        neighbours(shown, chosen.focus, columns)
    if chosen.items:
        selection(shown, chosen, columns)
    if chosen.focus < 0 and not chosen.items:
        st.markdown("**Click** a picture: its nearest in the original space appear here.")
        st.markdown("**Lasso** some (shift-drag): they appear here, with their labels.")
        if shown.film:
            st.markdown("**Play** the film: the same pictures, layer after layer.")


def neighbours(shown: Shown, focus: int, columns: int) -> None:
    """The nearest others of one picture in every space of the page."""
    images = shown.given.images
    st.markdown(f"**{_named(shown, focus)}** and its nearest in the original space")
    for name, space, drawing in zip(shown.names, shown.spaces, shown.drawings, strict=True):
        row = space.near.indices[focus]
        words = []
        if images.labelled and len(row):
            alike = int((images.labels[row] == images.labels[focus]).sum())
            words.append(f"{alike} of {len(row)} of its label")
        if drawing.near.count and len(row):
            kept = int(shared(row[None], drawing.near.indices[focus][None])[0])
            words.append(f"{kept} of them are also nearest on the plane")
        if len(row):
            cosine = 1 - space.near.distances[focus, 0] ** 2 / 2
            words.append(f"the nearest has a cosine of {cosine:.3f}")
        st.caption(f"{name}: {', '.join(words)}" if len(shown.names) > 1 else ", ".join(words).capitalize())
        _gallery(shown, [focus, *row], columns + 1, f"Nearest to {images.ids[focus]}")


def selection(shown: Shown, chosen: Chosen, columns: int) -> None:
    """What was lassoed."""
    images = shown.given.images
    count = len(chosen.items)
    st.markdown(f"**{count:,} selected**" + (f", the first {_IN_GALLERY}" if count > _IN_GALLERY else ""))
    _gallery(shown, list(chosen.items[:_IN_GALLERY]), columns + 1, f"{count} selected pictures")
    if images.labelled and images.classes:
        share = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
        st.dataframe(
            label_table(shown.given, chosen),
            hide_index=True,
            width="stretch",
            height="content" if columns < 10 else 300,
            column_config={"of its class": share},
        )


def depths(shown: Shown) -> None:
    """What each layer knows."""
    rows = depth_rows(shown)
    if not rows:
        return
    st.plotly_chart(
        plot_depths(rows),
        width="stretch",
        key="depths",
        alt="; ".join(f"{row.title}: {row.accuracy:.1%}" for row in rows),
    )
    st.caption(
        f"Each picture's class by the vote of its {NEAR} nearest others, of {rows[0].count:,} pictures; "
        "bars: 95 % intervals."
    )


def _gallery(shown: Shown, rows: list[int], columns: int, alt: str) -> None:
    images = shown.given.images
    present = sorted(set(images.labels.tolist()))
    palette = label_palette(len(present))
    colours = [palette[present.index(images.labels[row])] if images.labelled else "#8A8F98" for row in rows]
    st.image(gallery(images.thumbnails[rows], colours, columns=columns), width="content", alt=alt)


def _named(shown: Shown, index: int) -> str:
    images = shown.given.images
    if images.labelled and images.classes:
        return f"{images.classes[images.labels[index]]} ({images.ids[index]})"
    return images.ids[index]


def _plane_title(shown: Shown) -> str:
    return shown.asked[-1].title if not shown.film else f"{shown.asked[-1].title}, and the layers before it"
