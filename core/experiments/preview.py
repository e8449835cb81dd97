"""What a config means before anything is trained: network, schedule, augmented images."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.catalogue import installed_datasets, sample_images
from core.data.examples import EXAMPLES, load_example
from core.errors import CoreError
from core.paths import data_root
from core.seeding import stream_seed, torch_generator

if TYPE_CHECKING:  # forms need their names alone, and torch takes seconds
    from core.methods.embeddings.layer_features import Depth
    from core.models.layers import Layer

POINTS = 240


@dataclass(frozen=True, kw_only=True)
class NetworkShape:
    """Size of the network that a config describes.

    Attributes:
        parameters: all of them, trained or not.
        tokens: of one image, with the class token where there is one; None for a CNN.
        patch_size: side of a patch; None for a CNN.
        image_size: side of the input in pixels.
    """

    parameters: int
    tokens: int | None
    patch_size: int | None
    image_size: int


def network_shape(config: Any) -> NetworkShape | None:
    """The network of a recipe that builds its own (`family` and `model` in its config); None for other recipes.

    Raises:
        CoreError: there is no such network: heads that do not divide the width, patches that do not tile the image.
    """
    import torch

    from core.models.checkpoint import build

    if not (hasattr(config, "family") and dataclasses.is_dataclass(getattr(config, "model", None))):
        return None
    model = config.model
    with torch.device("meta"):  # shapes without memory: a typing mistake may ask for a terabyte
        network = build(config.family, asdict(model))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    patch = getattr(model, "patch_size", None)
    size = getattr(model, "image_size", 32)
    return NetworkShape(
        parameters=parameters,
        tokens=(size // patch) ** 2 + hasattr(network, "class_token") if patch else None,
        patch_size=patch,
        image_size=size,
    )


def feature_shapes(backbone: str, image_size: int = 0) -> dict[Depth, Layer]:
    """The early, middle and late layer of a backbone, with the shape of its output for one image.

    A network of torchvision is sent an image without memory: nothing is computed, and it needs no weights on this
    machine. Any other is opened and shown one black image.

    Args:
        backbone: as `core.models.backbones.open_backbone` takes it.
        image_size: of the input in pixels; 0 is the network's own.

    Raises:
        CoreError: there is no such network, or it is not on this machine.
    """
    import torch

    from core.methods.embeddings.layer_features import Readouts
    from core.models.backbones import open_backbone
    from core.models.layers import find_layers
    from core.models.torchvision_weights import convolutional_builders
    from core.models.transfer import build_transfer
    from core.models.weights import load

    if backbone in convolutional_builders():
        config = open_backbone(backbone, pretrained=False).config
        with torch.device("meta"):
            network = build_transfer(config).eval()
        layers = find_layers(network, image_size or config.image_size)
    else:
        model = load(backbone, "cpu")
        with model.lock:
            layers = find_layers(model.module.eval(), image_size or model.network.preprocessing.size)
    known = Readouts(layers=layers, poolings=("mean",))
    return {depth: layers[known.at(depth) - 1] for depth in ("early", "middle", "late")} if layers else {}


def learning_rates(training: Any) -> np.ndarray:
    """(points,) the rate at equal distances over the training that a `TrainingConfig` describes."""
    from core.training.optim import schedule

    return np.array([training.learning_rate * schedule(step, POINTS, training.warmup_share) for step in range(POINTS)])


def decided_by(dataset: str) -> dict[str, int]:
    """What a data set on this machine says about the network that reads it: classes, and the shape of its images.

    A data set that is not here decides nothing; one of files of many sizes decides only the classes.
    """
    card = installed_datasets().get(dataset)
    if card is None:
        return {}
    decided = {"classes": len(card["classes"])}
    split = "train" if "train" in card["splits"] else next(iter(card["splits"]), "train")
    images = data_root() / dataset / f"{split}_images.npy"
    if card["storage"] == "folder":
        decided["channels"] = 3  # photos are decoded as such, at the size that the network takes
    if images.is_file():
        _, height, width, channels = np.load(images, mmap_mode="r").shape
        decided |= {"channels": channels} | ({"image_size": height} if height == width else {})
    return decided


def sample_batch(
    dataset: str, count: int, *, side: int = 32, photo_side: int = 224, seed: int = 0
) -> tuple[np.ndarray, bool]:
    """`count` training images as (count, height, width, 3) uint8, and whether they are of that data set.

    Photos of any size are shrunk to `photo_side`. Where the data set is not on this machine, the bundled photos stand
    in, shrunk to `side`.
    """
    if dataset in installed_datasets():
        try:
            splits = installed_datasets()[dataset]["splits"]
            split = "train" if "train" in splits else next(iter(splits), "train")
            pictures = [image for image, _ in sample_images(dataset, split, count, seed)]
        except CoreError:
            pictures = []
        if pictures:
            small = min(min(picture.size) for picture in pictures)
            return np.stack([_square(picture, min(small, photo_side)) for picture in pictures]), True
    names = list(EXAMPLES)[:count]
    return np.stack([_square(load_example(name), side) for name in names]), False


def augmented(images: np.ndarray, regime: Any, seed: int) -> np.ndarray:
    """What training would see of `images` (count, height, width, 3) uint8 in one pass; the same shape."""
    import torch

    from core.training.augment import REGIMES, augment, mix

    generator = torch_generator(stream_seed("previewed augmentation", seed))
    changed = augment(torch.from_numpy(images.copy()).permute(0, 3, 1, 2), regime, generator).float()
    if REGIMES[regime].mix:
        changed, _ = mix(changed, torch.eye(len(images)), generator)
    return changed.clamp(0, 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def regime_summary(regime: Any) -> str:
    """The regime in words."""
    from core.training.augment import REGIMES

    return REGIMES[regime].summary


def _square(picture: Any, side: int) -> np.ndarray:
    from PIL import Image

    short = min(picture.size)
    left, top = (picture.width - short) // 2, (picture.height - short) // 2
    square = picture.convert("RGB").crop((left, top, left + short, top + short))
    return np.asarray(square.resize((side, side), Image.Resampling.LANCZOS) if short != side else square)
