"""Several photos by several classifiers, in one table."""

from __future__ import annotations

import streamlit as st

from core.figures.classify import answer_table
from core.methods.accuracy.classify import summary
from pages.classifiers.answers import (
    Compared,
    compare,
    differences,
    headline,
    line_of,
    reads_labels,
    rows_of,
    table_of,
)
from pages.shared.cache import loaded_model
from pages.shared.errors import guard
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.layout import control_bar, heading, teaching_cards
from pages.shared.model_set import models_picker
from pages.shared.pickers import own_model_form, pictures_picker
from pages.shared.recipes import filled_recipe, picture_setting

DEFAULT = tuple(f"example:{each}" for each in ("cat", "coffee", "motorcycle", "rocket", "pagoda", "flower"))
PREFERRED = ("efficientnet_lite0", "vit_p4", "clip_small")

heading("Classifiers", "What do several classifiers call the same photos?")
bar = control_bar([3, 4, 2, 2], whole=2)
with bar[0]:
    pictures = pictures_picker(name="photos", default=DEFAULT, label="Photos")
with bar[1]:
    models = models_picker(("classifier", "image_text"), name="classifiers", preferred=PREFERRED)
with bar[2]:
    own_model_form(name="classifiers_added")


def make_export(found: Compared) -> Export:
    """The table as numbers, and what makes it again."""
    return Export(
        stem="classifiers",
        recipe=filled_recipe(
            "classifiers",
            models=models,
            images=[picture_setting(each.key, f"photo{place}") for place, each in enumerate(found.pictures, 1)],
            names=[list(each) for each in found.names],
            labels=list(found.labels),
        ),
        table=table_of(found),
        facts={
            "models": models,
            "images": [each.title for each in found.pictures],
            "sha256": [each.digest for each in found.pictures],
            "labels": list(found.labels),
            "right": {name: summary(row) for name, row in found.answers.items()},
            "differences": differences(found),
        },
    )


with guard():
    typed = ""
    if any(map(reads_labels, models)):
        typed = st.text_input(
            "Labels for models of images and texts",
            key="classifier_labels",
            bind="query-params",
            placeholder="Commas between them; empty: the classes of these photos",
            help="Each becomes “a photo of a …”. Classifiers answer with the classes that they were trained on.",
        )
    compared = compare(models, pictures, typed)
    st.markdown(f"#### {plain(headline(compared))}")
    heads = [(loaded_model(name).spec.title, line_of(name, compared)) for name in models]
    st.html(answer_table(heads, rows_of(compared)))
    for sentence in differences(compared):
        st.caption(plain(sentence))
    if compared.labels:
        shown = ", ".join(compared.labels[:40]) + (" …" if len(compared.labels) > 40 else "")
        st.caption(f"Offered to models of images and texts: {plain(shown, 1000)}.")
    with bar[3]:
        export_popover(lambda: make_export(compared), key="export")
teaching_cards("classifiers")
