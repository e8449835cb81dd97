"""The planes and what follows from pointing at them: neighbours, a gallery, a table of labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import streamlit as st

from core.figures.embedding import gallery, label_palette, plot_depths
from core.methods.embeddings.embedding_quality import shared
from core.shares import counted
from pages.components.image_plane.image_plane import Chosen, image_plane
from pages.embeddings.searching import LIT, found_words, revision
from pages.embeddings.spaces import PlaneView
from pages.embeddings.words import colours_of, depth_rows, keep_paint, label_table, paint_of
from pages.shared.charts import show_chart
from pages.shared.foreign import plain

_STATE = "plane_chosen"
_IN_GALLERY = 60


def chosen_now(shown: PlaneView) -> Chosen:
    """What is selected among these pictures; before anybody has chosen, a picture that deserves a look."""
    signature, chosen = st.session_state.get(_STATE, ("", Chosen()))
    return chosen if signature == shown.given.signature else Chosen(focus=odd_one_out(shown))


def odd_one_out(shown: PlaneView) -> int:
    """The picture whose neighbours agree most on a class that is not its own; the first one without labels."""
    labels, near = shown.given.images.labels, shown.spaces[-1].near.indices
    if not shown.given.images.labelled or not near.shape[1]:
        return 0
    votes = np.stack([(labels[near] == label).sum(axis=1) for label in np.unique(labels)])
    votes[np.searchsorted(np.unique(labels), labels), np.arange(len(labels))] = 0
    return int(votes.max(axis=0).argmax())


@st.fragment
def explore(shown: PlaneView) -> None:
    """Planes and selection; a lasso or a click runs this alone."""
    given = shown.given

    def keep(chosen: Chosen) -> None:
        st.session_state[_STATE] = (given.signature, chosen)

    def plane() -> None:
        coordinates = np.stack(shown.planes)
        near = np.stack([space.near.indices for space in shown.spaces])
        axis = 0 if shown.film else 1
        image_plane(
            given.pictures,
            np.expand_dims(coordinates, axis),
            np.expand_dims(near, axis),
            colours_of(shown),
            titles=list(shown.names) if shown.two else [_plane_title(shown)],
            frames=list(shown.names) if shown.film else [""],
            chosen=chosen_now(shown),
            revision=revision(),
            key="image_plane",
            alt="Drag to move, wheel to zoom, click a picture for its neighbours, shift-drag to draw a lasso. "
            "Arrow keys go from picture to picture, Enter shows neighbours, space selects, + and - zoom, 0 shows all.",
            height=440 if shown.two else 540,
            on_choice=keep,
            paint=paint_of(shown),
            on_paint=keep_paint,
            pictured=given.images.pictured,
        )

    if shown.two:
        plane()
        panel(shown, columns=14)
        return
    left, right = st.columns([7, 3], gap="medium")
    with right:
        panel(shown, columns=6)
    with left:
        plane()


def panel(shown: PlaneView, *, columns: int) -> None:
    """Neighbours of what was clicked, then a gallery and the labels of what was selected."""
    chosen = chosen_now(shown)
    ranked(shown, columns)
    if chosen.focus >= 0:
        neighbours(shown, chosen.focus, columns)
    if chosen.items and not is_found(shown, chosen):
        selection(shown, chosen, columns)
    if not chosen.items:
        film = " **Play** the film: the same pictures, layer after layer." if shown.film else ""
        st.caption(f"**Click** another picture, or **lasso** some (shift-drag) to see them here.{film}")


def ranked(shown: PlaneView, columns: int) -> None:
    """What was searched for, the nearest first, with the similarity of each."""
    images = shown.given.images
    if shown.found:
        st.markdown(found_words(shown))
    for each in shown.found:
        order, similarities = each.found.order[:LIT], each.found.similarities
        if len(shown.found) > 1:
            st.caption(f"**{plain(each.title)}**")
        said = [f"{similarities[row]:.2f}" for row in order]
        _gallery(shown, [int(row) for row in order], columns, f"Nearest to {each.query}, in this order", said)
        with st.expander("As a table"):
            table = {"rank": range(1, len(order) + 1), "picture": [images.ids[row] for row in order]}
            if images.classes:
                table["label"] = [images.classes[images.labels[row]] for row in order]
            table["cosine"] = [round(float(similarities[row]), 4) for row in order]
            st.dataframe(table, hide_index=True, width="stretch")


def is_found(shown: PlaneView, chosen: Chosen) -> bool:
    """Whether what is selected is what the search has selected, which is shown already."""
    lit = {int(row) for each in shown.found for row in each.found.order[:LIT]}
    return bool(lit) and set(chosen.items) == lit


def neighbours(shown: PlaneView, focus: int, columns: int) -> None:
    """The nearest others of one picture in every space of the page."""
    images = shown.given.images
    st.markdown(f"**{plain(_named(shown, focus))}** and its nearest in the original space")
    for name, space, drawing in zip(shown.names, shown.spaces, shown.drawings, strict=True):
        row = space.near.indices[focus]
        if not len(row):
            continue
        words = [f"{int((images.labels[row] == images.labels[focus]).sum())} of {len(row)} alike"] * images.labelled
        kept = int(shared(row[None], drawing.near.indices[focus][None])[0])
        words.append(f"{kept:d} also near on the plane")
        words.append(f"cosine of the nearest {1 - space.near.distances[focus, 0] ** 2 / 2:.3f}")
        lead = f"**{plain(name.partition(':')[0] if shown.film else name)}**: " if len(shown.names) > 1 else ""
        st.caption(lead + plain(", ".join(words)))
        _gallery(shown, [focus, *row], columns, f"Nearest to {images.ids[focus]}")


def selection(shown: PlaneView, chosen: Chosen, columns: int) -> None:
    """What was lassoed."""
    images = shown.given.images
    count = len(chosen.items)
    table = label_table(shown.given, chosen) if images.classes else None
    st.markdown(f"**{count:,} selected**" + (f", the first {_IN_GALLERY} of them" if count > _IN_GALLERY else ""))
    if table is not None:
        most = [f"{row.selected:,} {plain(row.label)}" for row in table.head(4).itertuples()]
        st.caption(" · ".join(most) + (f" · and {len(table) - 4} more" if len(table) > 4 else ""))
    _gallery(shown, list(chosen.items[:_IN_GALLERY]), columns, f"{count} selected pictures")
    if table is not None:
        share = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
        st.dataframe(
            table,
            hide_index=True,
            width="stretch",
            height="content" if columns < 10 else 300,
            column_config={"of its class": share},
        )


def depths(shown: PlaneView) -> None:
    """What each layer knows."""
    rows = depth_rows(shown)
    if not rows:
        return
    show_chart(
        plot_depths(rows),
        key="depths",
        alt="; ".join(f"{row.title}: {row.accuracy:.1%}" for row in rows),
    )
    st.caption(
        f"Each picture's {plain(shown.given.images.kind)} by the vote of its "
        f"{shown.spaces[0].near.count:d} nearest others, of {counted(rows[0].count, 'picture')}; bars: 95 % intervals."
    )


def _gallery(shown: PlaneView, rows: list[int], columns: int, alt: str, marks: Sequence[str] = ()) -> None:
    images = shown.given.images
    if not images.pictured:  # vectors alone
        names = [images.ids[row] + (f" ({mark})" if mark else "") for row, mark in zip_longest(rows, marks)]
        st.caption(" · ".join(map(plain, names)))
        return
    present = sorted(set(images.labels.tolist()))
    palette = label_palette(len(present))
    colours = [palette[present.index(images.labels[row])] if images.labelled else "#8A8F98" for row in rows]
    st.image(gallery(images.thumbnails[rows], colours, columns=columns, marks=marks), width="content", alt=alt)


def _named(shown: PlaneView, index: int) -> str:
    images = shown.given.images
    label = images.classes[images.labels[index]] if images.classes else ""
    # Views are called after their photo, which is their label.
    return f"{label} ({images.ids[index]})" if label and not images.ids[index].startswith(label) else images.ids[index]


def _plane_title(shown: PlaneView) -> str:
    return shown.asked[-1].title if not shown.film else f"{shown.asked[-1].title}, and the layers before it"
