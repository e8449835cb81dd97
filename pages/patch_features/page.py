"""What a vision transformer holds of every patch: as colours over several photos, and as likeness to one patch."""

from __future__ import annotations

from typing import get_args

import numpy as np
import streamlit as st

from core.data.framing import split_view
from core.errors import ConfigError
from core.methods.patch_features.patch_features import Ground, PatchColours
from pages.components.keys import component_key
from pages.components.patch_features.patch_features import FeaturePhoto, patch_features
from pages.patch_features.features import FeaturesView, colours_of, shown_part, tokens_of
from pages.shared.address import remember, remembered, whole_number
from pages.shared.cache import data_uri, display_photo, loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.framing import seen_sentence
from pages.shared.layout import control_bar, control_strip, heading, teaching_cards
from pages.shared.pickers import model_picker, own_model_form, pictures_picker
from pages.shared.recipes import filled_recipe, picture_setting

GROUNDS: dict[Ground, str] = {"all": "All patches", "high": "Without the one side", "low": "Without the other"}
# Six photos of a large model are a hundred million numbers.
MOST = 6
LAYER, CHOSEN, NOTHING = "feature_layer", "feature_patch", "none"

heading("Patch features", "Which patches does the model hold to be the same?")
bar = control_bar([3, 4, 2, 2], whole=2)
with bar[0]:
    chosen_pictures = pictures_picker(
        name="feature_images", default=("example:cat", "example:coffee", "example:flower"), label="Photos"
    )
with bar[1]:
    name = model_picker("attention")
with bar[2]:
    own_model_form()
pictures = chosen_pictures[:MOST]
digests = tuple(picture.digest for picture in pictures)


def view_of(layers: int, patches: int, ground: Ground) -> FeaturesView:
    """What the address holds, as far as it can be meant."""
    layer = whole_number(remembered(LAYER, str(layers)), layers + 1)
    photo, _, patch = remembered(CHOSEN, NOTHING).partition(":")
    place = whole_number(photo, len(pictures)), whole_number(patch, patches)
    return FeaturesView(
        model=name,
        images=tuple(picture.key for picture in pictures),
        layer=layers - 1 if not layer else layer - 1,
        ground=ground,
        chosen=None if place[0] is None or place[1] is None else (place[0], place[1]),
    )


def keep_choice(chosen: tuple[int, int] | None) -> None:
    """Into the address."""
    remember(CHOSEN, NOTHING if chosen is None else f"{chosen[0]}:{chosen[1]}")


def headline(colours: list[PatchColours]) -> str:
    """What the colours hold; of no one layer, since the browser changes it by itself."""
    what = "these photos" if len(pictures) > 1 else pictures[0].title
    held = [f"{each.shares.sum():.0%}" for each in (colours[0], colours[-1])]
    where = f"{held[0]} in the first layer, {held[1]} in the last" if len(colours) > 1 else held[0]
    return (
        f"Of what differs between the patches of {plain(what)}, {plain(loaded_model(name).spec.title)} tells in three "
        f"colours: {where}"
    )


@st.fragment
def look(ground: Ground) -> None:
    """The photos under the pointer; choices run this alone."""
    with guard():
        found = tokens_of(name, digests, pictures)
        colours = colours_of(name, digests, ground, pictures)
        view = view_of(found.layers, found.tokens.shape[2], ground)
        st.markdown(f"#### {headline(colours)}")
        if ground != "all" and colours[view.layer].figure.all():
            st.info("In this layer hardly a patch would be left: all are coloured.", icon=":material/palette:")
        model = loaded_model(name)
        photos = []
        for picture in pictures:
            photo = display_photo(model, picture.digest, picture.image)
            source = data_uri(photo, f"{picture.digest}/{photo.shape}/{model.network.preprocessing}")
            note = seen_sentence(picture.photo.size, model.network.preprocessing, split_view(picture.key)[1])
            photos.append(FeaturePhoto(title=picture.title, note=note, source=source))
        patch_features(
            photos,
            found.tokens,
            np.stack([each.colours for each in colours]),
            np.stack([each.figure for each in colours]),
            np.stack([each.shares for each in colours]),
            layer=view.layer,
            chosen=view.chosen,
            key=component_key("patch_features", f"{name} {digests}"),
            on_layer=lambda layer: remember(LAYER, str(layer + 1)),
            on_choice=keep_choice,
        )
        st.caption(
            "The same colour is the same direction among all these photos; which colour it is means nothing. Under the "
            "pointer: cosines with that patch, from the 2 % least alike (dark) to 1. White frames: the most alike of "
            "every other photo."
        )


def make_export(ground: Ground) -> Export:
    """The layer that is shown, and what is like the chosen patch."""
    found = tokens_of(name, digests, pictures)
    view = view_of(found.layers, found.tokens.shape[2], ground)
    shown = shown_part(view, pictures)
    return Export(
        stem="patch_features",
        recipe=filled_recipe(
            "patch_features",
            model=name,
            images=[picture_setting(key, f"photo{index + 1}") for index, key in enumerate(view.images)],
            layer=view.layer,
            ground=ground,
            chosen=None if view.chosen is None else list(view.chosen),
        ),
        pictures=shown.pictures,
        table=shown.table,
        facts=view.facts() | {"titles": [picture.title for picture in pictures], "sha256": list(digests)} | shown.facts,
        arrays=shown.arrays,
    )


ground_chosen: Ground = "all"
with guard():
    if not pictures:
        raise ConfigError("No photo is chosen.", "Choose one or more: what is alike shows best between several.")
    ground_chosen = control_strip("ground").segmented_control(
        "Colour", get_args(Ground), format_func=GROUNDS.__getitem__, default="all", required=True,
        key="ground", bind="query-params",
        help="The first component often tells things from what is behind them: leave one side out, and the colours "
        "tell apart what is left. Which side is the ground, your eye says.",
    )  # fmt: skip
    if len(chosen_pictures) > MOST:
        st.caption(f"The first {MOST} of {len(chosen_pictures)} photos are shown.")
    look(ground_chosen)
    with bar[3]:
        export_popover(lambda: make_export(ground_chosen), key="export")
teaching_cards("patch_features")
