"""What helps to choose on the Train page: what augmentations did, and the shapes of a backbone's features."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.errors import CoreError
from core.experiments.preview import feature_shapes
from core.figures.augmentations import plot_augmentations
from core.models.catalogue import MODELS
from core.runs.studies import short_value
from core.training.augmentation_results import AugmentationResults, read_augmentations
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.foreign import plain
from pages.shared.layout import page_link
from pages.shared.results import shared

# Recipes of classifiers, whose augmentation this was measured on.
CLASSIFIERS = ("vit_scratch", "cnn_scratch", "mixer_scratch", "transfer")


def augmentation_panel(recipe: str) -> None:
    """One small chart under the form: three regimes on one small ViT, by validation."""
    results = read_augmentations() if recipe in CLASSIFIERS else None
    if results is None:
        return
    st.markdown("**What augmentation did**")
    show_chart(
        plot_augmentations(results), key="augmentations",
        alt="Validation accuracy over the epochs under each augmentation, training accuracy dotted.",
    )  # fmt: skip
    st.caption(augmentation_words(results))


def augmentation_words(results: AugmentationResults) -> str:
    """What was trained, and what each regime came to."""
    seeds = len(results.regimes[0].seeds)
    reached = ", ".join(
        f"{plain(each.regime.replace('_', ' '))} {each.val_accuracy:.1%}"
        for each in sorted(results.regimes, key=lambda each: -each.val_accuracy)
    )
    low, high = results.best.interval
    return (
        f"A ViT with patches of {results.patch_size:d} px, {results.embed_dim:d} wide, {results.epochs:d} epochs on "
        f"{results.train_images:,} images of {plain(results.dataset)}, {seeds:d} {'seed' if seeds == 1 else 'seeds'}: "
        f"{reached} of {results.best.count:,} validation images (95 % of the best, one seed: {low:.1%} to {high:.1%}). "
        "Dotted: training images. With few images and many epochs augmentation matters most."
    )


def features_panel(config: Any) -> None:
    """Early, middle and late features of the chosen backbone with their shapes, and the way to see them."""
    backbone = getattr(config, "backbone", "")
    if not backbone:
        return
    layers = st.expander("Early, middle and late features", icon=":material/layers:", key="features", on_change="rerun")
    if not layers.open:
        return
    with layers, guard():
        images = getattr(getattr(config, "training", config), "batch_size", 64)
        rows = shape_rows(backbone, config.image_size, images)
        st.dataframe(rows, hide_index=True, width="stretch", alt="Shapes of the features at three depths.")
        st.caption(
            f"For a batch of {images:,} images: images × channels × height × width of maps, images × tokens × width "
            "of a transformer. Embeddings averages the positions and draws the images on a plane."
        )
        if backbone in MODELS or ":" in backbone:
            page_link("embeddings", "See them layer by layer", "scatter_plot", encoder=backbone, view="layers")


@shared("Sending an image through …", most=32)
def shape_rows(backbone: str, image_size: int, images: int) -> pd.DataFrame:
    """A line a depth.

    Raises:
        CoreError: the backbone is not on this machine, or has no layers that can be cut.
    """
    found = feature_shapes(backbone, image_size)
    if not found:
        raise CoreError(f"{backbone} has neither blocks nor square feature maps.", "Choose another backbone.")
    return pd.DataFrame(
        [
            {"depth": depth, "layer": layer.title, "shape": layer.shape_words(images), "pooled": f"{images}×{width}"}
            for depth, layer in found.items()
            for width in (layer.shape[0] if layer.kind == "stage" else layer.shape[-1],)
        ]
    )


def difference(theirs: Any, mine: Any) -> str:
    """Two settings side by side, as short as they still differ."""
    short = short_value(theirs), short_value(mine)
    first, second = short if short[0] != short[1] else (theirs, mine)
    return f"{first} (yours {second})"
