"""What the Train page shows of a config, computed once per question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from core.data.catalogue import installed_datasets, read_dataset
from core.data.loading import choose_splits
from core.data.transforms import HALF_NORMALISATION, Preprocessing, crop_to_square
from core.errors import CoreError
from core.experiments.preview import augmented, learning_rates, network_shape, regime_summary, sample_batch
from core.figures.patches import image_sheet, patch_grid
from pages.shared.results import shared


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Pictures and numbers of a training that has not begun.

    Attributes:
        sheet: images as stored and after augmentation, RGBA.
        patched: one image with its patch grid; None where the network has no patches.
        real: the images are of the chosen data set, not bundled photos in its place.
        regime: the augmentation in words; empty where the recipe shows the images as they are.
        rates: learning rate at equal distances; None where the recipe has no such schedule.
        problem: why no such network can be built, or nothing.
    """

    sheet: np.ndarray
    patched: np.ndarray | None
    real: bool
    regime: str
    rates: np.ndarray | None
    patch_size: int | None = None
    patches: int | None = None
    tokens: int | None = None
    parameters: int | None = None
    steps_per_epoch: int | None = None
    epochs: int | None = None
    problem: str = ""


def preview_of(config: Any, count: int, passes: int) -> Preview:
    """The preview of any recipe's config, as far as it has the parts that can be shown."""
    training = getattr(config, "training", None)
    dataset = getattr(config, "dataset", "")
    regime = getattr(training, "augmentation", None)
    shape, problem = None, ""
    try:
        shape = _shape(config)
    except CoreError as error:
        problem = str(error)
    # A network from scratch sees photos at its own size; arrays are checked against it when the run starts.
    photo_side = shape.image_size if shape and _of_photos(dataset) else 224
    installed = dataset in installed_datasets()
    images, real = _images(dataset, installed, count, shape.image_size if shape else 32, photo_side)
    patched = patches = None
    if shape is not None and shape.patch_size is not None and images.shape[1] % shape.patch_size == 0:
        patches = (images.shape[1] // shape.patch_size) ** 2
        patched = patch_grid(images[0], shape.patch_size)
    epochs, size = getattr(training, "epochs", None), getattr(training, "batch_size", None)
    return Preview(
        sheet=_sheet(dataset, installed, count, images.shape[1], regime, passes),
        patched=patched,
        real=real,
        regime=regime_summary(regime) if regime else "",
        rates=_rates(training) if hasattr(training, "warmup_share") else None,
        patch_size=shape.patch_size if shape else None,
        patches=patches,
        tokens=shape.tokens if shape else None,
        parameters=shape.parameters if shape else None,
        steps_per_epoch=-(-_train_count(dataset, getattr(config, "max_images", 0)) // size) if size and real else None,
        epochs=epochs,
        problem=problem,
    )


@shared("Augmenting the photo …", most=16)
def augmented_photo(digest: str, _image: Image.Image, *, side: int = 32) -> np.ndarray:
    """A photo as RandAugment shows it in nine passes, three by three, RGBA."""
    photo = np.asarray(crop_to_square(_image, Preprocessing(size=side, normalisation=HALF_NORMALISATION)))
    passes = np.concatenate([augmented(photo[None], "randaugment", seed) for seed in range(9)])
    return image_sheet([passes[:3], passes[3:6], passes[6:]], first_apart=False)


@st.cache_data(max_entries=64, show_spinner=False)
def _shape(config: Any) -> Any:
    return network_shape(config)


@shared("Reading images …", most=16)
def _images(dataset: str, installed: bool, count: int, side: int, photo_side: int) -> tuple[np.ndarray, bool]:
    return sample_batch(dataset, count, side=side, photo_side=photo_side)


def _of_photos(dataset: str) -> bool:
    return bool(installed_datasets().get(dataset, {}).get("storage") == "folder")


@shared("Augmenting images …", most=32)
def _sheet(dataset: str, installed: bool, count: int, side: int, regime: str | None, passes: int) -> np.ndarray:
    if regime is None:
        # Nothing happens to them, so more of them are to be seen.
        images, _ = _images(dataset, installed, 2 * count, side, side)
        return image_sheet([row for row in (images[:count], images[count:]) if len(row)])
    images, _ = _images(dataset, installed, count, side, side)
    return image_sheet([images, *(augmented(images, regime, seed) for seed in range(passes))])


@st.cache_data(max_entries=64, show_spinner=False)
def _rates(training: Any) -> np.ndarray:
    return learning_rates(training)


def _train_count(dataset: str, most: int) -> int:
    """Images in an epoch, at `most` so many unless 0: what is no split, test or validation, is carved from them."""
    splits = read_dataset(dataset)["splits"]
    learned, tested = choose_splits(dataset)
    whole = sum(int(splits[split]) for split in learned) * (0.8 if set(learned) == set(tested) else 1.0)
    count = round(whole if learned == ("train",) and "val" in splits and "val" not in tested else whole * 0.9)
    return min(count, most) if most else count
