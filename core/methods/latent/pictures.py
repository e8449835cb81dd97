"""Pictures as a VAE takes them: of data sets, drawn by the model itself, drawn by hand, or anyone's photos.

Source of how a digit is placed: LeCun, Cortes & Burges, MNIST: 20 of 28 pixels high or wide, centred by its mass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.data.catalogue import read_dataset
from core.data.formats import has_image_suffix
from core.data.images import decode_image
from core.data.loading import load_images
from core.errors import ConfigError, CoreError
from core.finite import require_finite
from core.methods.latent.drawing import draw
from core.methods.latent.reencoding import fit_pictures
from core.models.vae import VAE, VAEConfig
from core.seeding import published_stream

MOST_PICTURES = 10_000
_MODES = {"1": "black and white", "L": "grey", "P": "coloured by a palette", "RGB": "in colour", "CMYK": "in colour"}
# Of a drawing: below it nothing can be seen.
_DARK = 24
_BOX = 20 / 28


@dataclass(frozen=True, kw_only=True)
class LatentPictures:
    """Pictures that fit a model.

    Attributes:
        images: (images, height, width, channels) uint8.
        labels: (images,) int64 into `classes`; zeros where nothing is known about them.
        classes: what people read; empty without labels.
        title: what people read.
        note: what was done to the pictures so that they fit; empty if nothing.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    title: str
    note: str = ""


def open_pictures(model: VAE, address: str) -> LatentPictures:
    """The pictures at `data:DATASET/SPLIT/COUNT/SEED`, or at `own:COUNT/SEED`: what the model draws from its prior.

    The same address of a data set names the same pictures as `core.data.image_sets.dataset_sample`.

    Raises:
        CoreError: the address names none, the data set is not on this machine, or the model takes no photos.
    """
    kind, _, rest = address.partition(":")
    parts = rest.split("/")
    numbers = [int(each) if each.isascii() and each.isdecimal() and len(each) < 7 else -1 for each in parts[-2:]]
    if len(numbers) == 2 and 1 <= numbers[0] <= MOST_PICTURES and numbers[1] >= 0:
        if kind == "data" and len(parts) == 4:
            return dataset_pictures(model.config, parts[0], parts[1], *numbers)
        if kind == "own" and len(parts) == 2:
            return own_pictures(model, *numbers)
    raise CoreError(
        f"{address[:120]!r} names no pictures.", f"Such as data:mnist/test/1000/0 or own:500/0, up to {MOST_PICTURES}."
    )


def dataset_pictures(config: VAEConfig, name: str, split: str, count: int, seed: int) -> LatentPictures:
    """Up to `count` random pictures of an imported data set, resized and turned grey where the model asks for it.

    Raises:
        CoreError: the data set is not on this machine, or has no such split.
        ConfigError: the model has neither one channel nor three, and the data set another number.
    """
    info = read_dataset(name)
    data = load_images(name, split, config.image_size, grey_as_rgb=False)
    rows = published_stream("data set sample", seed).permutation(len(data))[:count]
    images = data.images[np.sort(rows)][np.argsort(np.argsort(rows))]  # read in the order of the disk
    height, width, channels = images.shape[1:]
    note = ""
    if (channels, height, width) != config.shape:
        colour = "grey" if channels == 1 else "colour"
        given = f"{colour} pictures of {width} × {height} pixels"
        images = fit_pictures([_picture(each) for each in images], config)
        note = f"{info['title']} has {given}; this model sees them {_as_seen(config)}, and has not learned from such."
    titles = tuple(map(str, info.get("class_titles", info["classes"])))
    return LatentPictures(
        images=np.ascontiguousarray(images),
        labels=np.asarray(data.labels)[rows],
        classes=titles if len(titles) > 1 else (),
        title=f"{info['title']}, {split}",
        note=note,
    )


def own_pictures(model: VAE, count: int, seed: int) -> LatentPictures:
    """What the model draws from its own prior, as pictures to be shown to it."""
    config = model.config
    drawn = draw(model, config.prior, count, seed=seed, scale=config.prior_scale)
    return LatentPictures(
        images=as_bytes(drawn.pictures),
        labels=np.zeros(count, dtype=np.int64),
        classes=(),
        title="The model’s own drawings",
    )


def as_bytes(pictures: np.ndarray) -> np.ndarray:
    """Pictures in [0, 1] as uint8."""
    require_finite("The pictures", pictures)
    return (np.clip(pictures, 0, 1) * 255).round().astype(np.uint8)


def as_digit(drawing: np.ndarray, side: int) -> Image.Image:
    """A drawing, (height, width) uint8, light on black, placed as MNIST places its digits, `side` pixels square.

    Raises:
        ConfigError: nothing can be seen on it.
    """
    rows, columns = np.nonzero(drawing > _DARK)
    if not len(rows):
        raise ConfigError("The drawing is empty.", "Draw something with the mouse or a finger.")
    box = drawing[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    longest = max(box.shape)
    height, width = (max(1, round(length * _BOX * side / longest)) for length in box.shape)
    small = np.asarray(Image.fromarray(box).resize((width, height), Image.Resampling.BOX), dtype=np.float32)
    mass = max(float(small.sum()), 1e-6)
    middle = [float((small.sum(axis=1 - axis) * np.arange(small.shape[axis])).sum()) / mass for axis in (0, 1)]
    top, left = (
        int(np.clip(round((side - 1) / 2 - centre), 0, side - length))
        for centre, length in zip(middle, (height, width), strict=True)
    )
    sheet = np.zeros((side, side), np.uint8)
    sheet[top : top + height, left : left + width] = small.round().clip(0, 255)
    return Image.fromarray(sheet)


def open_files(config: VAEConfig, files: Sequence[Path | str], *, inverted: bool = False) -> np.ndarray:
    """Image files as the model takes them, (images, height, width, channels) uint8; a folder stands for its files.

    Raises:
        CoreError: one of them is not there or no image.
    """
    paths: list[Path] = []
    for path in map(Path, files):
        found = sorted(each for each in path.iterdir() if has_image_suffix(each.name)) if path.is_dir() else [path]
        paths.extend(found)
    pictures = []
    for path in paths:
        try:
            pictures.append(decode_image(path.read_bytes(), name=path.name))
        except OSError as error:
            raise CoreError(f"{path} cannot be read ({error.strerror}).", "Check the path.") from error
    if not pictures:
        raise CoreError("There are no image files.", "Name at least one.")
    images = fit_pictures(pictures, config)
    return 255 - images if inverted else images


def fit_words(name: str, size: tuple[int, int], mode: str, config: VAEConfig) -> str:
    """What was done to a file so that the model can see it, as a sentence; empty if nothing was.

    Args:
        size, mode: of the file, as Pillow gives them.
    """
    side, width, height = config.image_size, *size
    done = []
    if mode.startswith(("I", "F")):
        done.append("its 16 bits a pixel or more became 8")
    if config.channels == 1 and mode not in ("1", "L", "I", "F") and not mode.startswith("I;"):
        done.append(f"it was {_MODES.get(mode, 'in colour')} and became grey")
    if width != height:
        done.append("it was cut square")
    if min(size) != side:
        done.append(f"it went from {width} × {height} to {side} × {side} pixels")
    return f"{name}: {', '.join(done)}." if done else ""


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _as_seen(config: VAEConfig) -> str:
    colour = "in grey" if config.channels == 1 else "in colour"
    return f"{colour} at {config.image_size} × {config.image_size}"


def picture_of(pixels: Any) -> np.ndarray:
    """(..., channels) uint8 of one or three channels → the same with three, for the screen."""
    pixels = np.asarray(pixels)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels[..., :3]
