"""Pictures as a network sees them, on a plane: who is near whom, layer by layer, or in two models side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.data.vector_sets import vector_table
from core.data.vectors import FORMATS, Format, write_vectors
from core.errors import CoreError
from core.figures.embedding import picture_plane, plot_depths, plot_plane
from core.methods.embeddings.embedding import TITLES, PlaneConfig
from core.methods.embeddings.layer_features import Readout
from core.models.spec import Capability
from pages.embeddings.image_sets import current_set, is_small, picture_count, set_address, set_popover, vectors_alone
from pages.embeddings.layer_picker import layer_picker
from pages.embeddings.panels import chosen_now, depths, explore
from pages.embeddings.plane_settings import fine_settings, plane_kind
from pages.embeddings.searching import search_popover, wanted, with_found
from pages.embeddings.spaces import Asked, PlaneView, show_film, show_planes
from pages.embeddings.words import (
    colours_of,
    contest_sentence,
    depth_rows,
    facts,
    faithful_sentence,
    knows_sentence,
    outlines_of,
    paint_of,
    pair_sentence,
    plane_table,
)
from pages.shared.errors import show_error
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.layout import control_bar, control_strip, heading, teaching_cards
from pages.shared.pickers import model_picker, own_model_form, second_model_picker
from pages.shared.recipes import filled_recipe, picture_setting, set_setting
from pages.shared.results import Stopped

VIEWS = {"plane": "One plane", "layers": "Layer by layer", "models": "Two models"}
# Whatever makes vectors of pictures.
ENCODERS: tuple[Capability, ...] = ("attention", "convolution", "image_text", "latent")
SMALL_MODELS = ("cnn_small", "vit_p4")
# The ViT-S/14 takes ten times as long for a picture, and was trained for saliency, not for what is alike.
PHOTO_MODELS = ("efficientnet_lite0", "vit_s14_saliency", *SMALL_MODELS)


def words(shown: PlaneView) -> None:
    """The finding in words."""
    if shown.two:
        st.markdown(pair_sentence(shown))
    else:
        st.markdown(knows_sentence(shown))


def trust(shown: PlaneView) -> None:
    """How far to trust each plane."""
    if shown.two:
        st.markdown(contest_sentence(shown))
    if shown.film:
        depths(shown)
        st.caption(f"The last frame: {faithful_sentence(shown.drawings[-1])}")
        return
    for name, drawing in zip(shown.names, shown.drawings, strict=True):
        st.caption((f"**{plain(name)}**: " if shown.two else "") + faithful_sentence(drawing))


def vector_files(shown: PlaneView) -> dict[str, Callable[[], bytes]]:
    """The features of every plane as files, with names, labels, splits, conditions and places; of a film as NPZ."""

    def made(number: int, kind: Format) -> bytes:
        table = vector_table(shown.given.images, shown.spaces[number].vectors, shown.planes[number])
        return write_vectors(table, kind)

    return {
        f"vectors_{number + 1}.{kind}": partial(made, number, kind)
        for number in range(len(shown.spaces))
        for kind in (("npz",) if shown.film else FORMATS)
    }


def make_export(shown: PlaneView, config: PlaneConfig, *, placed: bool = False) -> Export:
    """Figures, coordinates, numbers and a script."""
    chosen = chosen_now(shown)
    every = colours_of(shown)
    colours = next(each for each in every if each.title == paint_of(shown).colour)
    outlines = outlines_of(shown)
    figures = {
        # The colours that are shown, and each other choice as a figure of its own.
        f"plane_{number}"
        + ("" if each is colours else f"_{each.title.partition(',')[0].replace(' ', '_').lower()}"): plot_plane(
            plane,
            ids=shown.given.images.ids,
            codes=each.codes,
            legend=each.legend,
            palette=each.palette,
            selected=chosen.items,
            outlines=outlines,
            method="Places from the file" if placed else TITLES[config.method],
        )
        for number, plane in enumerate(shown.planes, 1)
        for each in every
    }
    if shown.film and (rows := depth_rows(shown)):
        figures["depths"] = plot_depths(rows)
    rims = [colours.palette[int(code) % len(colours.palette)] for code in colours.codes]
    return Export(
        stem="embeddings",
        pictures={
            f"pictures_{number}": picture_plane(plane, shown.given.images.thumbnails, rims, outlines=outlines)
            for number, plane in enumerate(shown.planes, 1)
        },
        recipe=filled_recipe(
            "embeddings",
            pictures=set_setting(shown.given.address),
            cuts=[(each.model, each.cut.layer, each.cut.pooling) for each in shown.asked],
            film=shown.film,
            plane=asdict(config),
            placed=placed,
            colour=paint_of(shown).colour,
            outline=paint_of(shown).outline,
            find=_find_setting() if shown.found else "",
        ),
        figures=figures,
        table=plane_table(shown, chosen),
        facts=facts(shown, config),
        files=vector_files(shown),
    )


def _find_setting() -> str:
    """What is searched for, as a recipe names it."""
    kind, _, rest = wanted().partition(":")
    return f"image:{picture_setting(rest)}" if kind == "image" else wanted()


def page() -> None:
    """Controls, planes, findings."""
    bar = control_bar([4, 5, 4, 3, 3, 3], whole=2)
    own, fine, find, export = bar[2:]
    if (given := vectors_alone()) is not None:
        with bar[1]:
            st.caption(f"Vectors of a file, in the place of a model: {plain(given.images.title)}")
        with control_strip("file").container(horizontal=True, vertical_alignment="bottom"):
            placed = given.images.positions is not None and st.toggle(
                "Places from the file", value=True, key="file_places", bind="query-params"
            )
            config = PlaneConfig()
            if not placed:
                method, dimensions = plane_kind()
                with fine:
                    config = fine_settings(method, dimensions)
        with bar[0]:
            set_popover(given)
        asked = [Asked(model="", cut=Readout(layer=0, pooling="embedding"))]
        finish_page(show_planes(asked, given, config, placed=placed), config, export, placed=placed)
        return
    with bar[1]:
        name = model_picker(ENCODERS, name="encoder", preferred=SMALL_MODELS if is_small() else PHOTO_MODELS)
    with own:
        own_model_form(name="encoder")
    with control_strip("plane").container(horizontal=True, vertical_alignment="bottom"):
        view = st.segmented_control(
            "Show",
            list(VIEWS),
            format_func=VIEWS.__getitem__,
            default="plane",
            required=True,
            key="planes",
            bind="query-params",
        )
        count = picture_count(set_address())
        first = layer_picker(name, images=count, fixed="All depths" if view == "layers" else "")
        method, dimensions = plane_kind()
    with fine:
        config = fine_settings(method, dimensions)
    both = [first]
    if view == "models":
        with control_strip("second").container(horizontal=True, vertical_alignment="bottom"):
            preferred = tuple(each for each in SMALL_MODELS if each != name)
            with st.container(width=420):
                other = second_model_picker(ENCODERS, name="encoder2", preferred=preferred)
            if other is None:
                return
            both.append(layer_picker(other, images=count, suffix="2"))
    with find:
        search_popover([each.model for each in both])
    given = current_set()
    with bar[0]:
        set_popover(given)
    shown = show_film(first, given, config) if view == "layers" else show_planes(both, given, config)
    finish_page(with_found(shown), config, export)


def finish_page(shown: PlaneView, config: PlaneConfig, export: DeltaGenerator, *, placed: bool = False) -> None:
    """What is seen, in words and pictures, and the way to take it along."""
    words(shown)
    explore(shown)
    trust(shown)
    with export:
        export_popover(lambda: make_export(shown, config, placed=placed), key="export")


heading("Embeddings", "What does the network find alike?")
try:
    page()
except Stopped:
    pass  # it says so itself, and offers to go on
except CoreError as error:
    show_error(error)
teaching_cards("embeddings")
