"""Several images against several texts: the similarity matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import ConfigError
from core.figures.theme import Figure
from core.figures.zero_shot import plot_similarity_matrix
from core.methods.clip.zero_shot import Scale, probabilities, similarity_matrix
from pages.shared.cache import loaded_model, square_photo
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.export import Export
from pages.shared.framing import decoding_note
from pages.shared.layout import form_and_stage
from pages.shared.pickers import Picture, chosen_pictures, pictures_picker
from pages.shared.recipes import filled_recipe, picture_setting
from pages.shared.zero_shot import encoder, image_vector, sentence_vectors

Measure = Literal["cosine", "texts", "images"]
MEASURES: dict[Measure, str] = {"cosine": "Cosine", "texts": "Which text?", "images": "Which image?"}
DEFAULT_IMAGES = tuple(f"example:{each}" for each in ("cat", "coffee", "motorcycle", "rocket", "pagoda", "flower"))
DEFAULT_TEXTS = (
    "a photo of an animal.\na photo of a drink.\na photo of a wheeled vehicle.\na photo of a projectile.\n"
    "a photo of a tower.\na photo of a plant."
)
MOST_TEXTS = 40
THUMBNAIL = 112


def images_picker() -> list[Picture]:
    """The pictures of the matrix."""
    return pictures_picker(default=DEFAULT_IMAGES)


def similarity_panel(name: str, pictures: list[Picture]) -> None:
    """Pictures across, sentences down."""
    for picture in pictures:
        decoding_note(picture)
    left, right, _ = form_and_stage("matrix")
    with left:
        st.text_area(
            "Texts, one a line",
            value=DEFAULT_TEXTS,
            key="texts",
            bind="query-params",
            persist_state="session",
            height=230,
        )
        st.segmented_control(
            "Show",
            list(MEASURES),
            format_func=MEASURES.__getitem__,
            default="cosine",
            required=True,
            key="measure",
            bind="query-params",
        )
    with right, guard():
        values, texts = matrix_of(name, pictures)
        show_chart(
            similarity_figure(name, pictures, values, texts),
            key="similarity",
            alt="Similarity of every image with every text.",
        )
        st.caption(_finding(pictures, texts, values))


def matrix_of(name: str, pictures: list[Picture]) -> tuple[np.ndarray, tuple[str, ...]]:
    """(images, texts) in the chosen measure, and the texts.

    Raises:
        ConfigError: there are no images or no texts, or too many texts.
    """
    lines = (" ".join(line.split()) for line in st.session_state.get("texts", DEFAULT_TEXTS).splitlines())
    texts = tuple(dict.fromkeys(line for line in lines if line))
    if not pictures:
        raise ConfigError("There are no images.", "Choose at least one.")
    if not texts:
        raise ConfigError("There are no texts.", "Write some, one a line.")
    if len(texts) > MOST_TEXTS:
        raise ConfigError(f"There are {len(texts)} texts; at most {MOST_TEXTS} fit into the matrix.", "Leave some out.")
    images = np.stack([image_vector(name, picture.digest, picture.image) for picture in pictures])
    cosines = similarity_matrix(images, sentence_vectors(name, texts))
    measure: Measure = st.session_state.get("measure", "cosine")
    if measure == "cosine":
        return cosines, texts
    scaling = Scale.of(encoder(name))
    logits = scaling.scale * cosines + scaling.bias
    if measure == "texts":
        return 100 * probabilities(logits, scaling.kind), texts
    return 100 * probabilities(logits.T, scaling.kind).T, texts


def similarity_figure(name: str, pictures: list[Picture], values: np.ndarray, texts: tuple[str, ...]) -> Figure:
    """The matrix under the pictures as the model crops them."""
    preprocessing = loaded_model(name).network.preprocessing
    photos = [
        square_photo(picture.digest, replace(preprocessing, size=THUMBNAIL), picture.image) for picture in pictures
    ]
    measure = "cosine" if st.session_state.get("measure", "cosine") == "cosine" else "%"
    return plot_similarity_matrix(values, photos, [picture.title for picture in pictures], texts, measure=measure)


def similarity_export(name: str) -> Export:
    """The matrix as it is on the page."""
    pictures = chosen_pictures("images", DEFAULT_IMAGES)
    values, texts = matrix_of(name, pictures)
    table = pd.DataFrame(values, columns=list(texts))
    table.insert(0, "image", [picture.title for picture in pictures])
    return Export(
        stem="similarity",
        recipe=filled_recipe(
            "clip",
            "similarity",
            model=name,
            images=[picture_setting(picture.key, f"photo_{number}") for number, picture in enumerate(pictures, 1)],
            texts=list(texts),
            measure=st.session_state.get("measure", "cosine"),
        ),
        figures={"matrix": similarity_figure(name, pictures, values, texts)},
        table=table,
        facts={"model": name, "measure": st.session_state.get("measure", "cosine"), "texts": list(texts)},
    )


def _finding(pictures: list[Picture], texts: tuple[str, ...], values: np.ndarray) -> str:
    """What to look at, in one sentence computed from the matrix."""
    measure: Measure = st.session_state.get("measure", "cosine")
    if measure == "images" and len(pictures) == 1:
        return "With one image every text chooses it: add another to compare."
    if measure == "texts" and len(texts) == 1:
        return "With one text every image is given to it: add another to compare."
    if measure == "cosine":
        return (
            f"Cosines lie between {values.min():.2f} and {values.max():.2f}; what counts is the difference within a "
            "column, since images and texts live in different parts of the space. Framed: each image's best text."
        )
    if measure == "texts":
        return "Each column sums to 100 %: how the image is shared out among the texts. Framed: each image's best text."
    return "Each row sums to 100 %: which of the images the text would find. Framed: each image's best text."
