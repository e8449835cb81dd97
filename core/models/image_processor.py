"""The image processor of a `transformers` folder → our `Preprocessing`: nothing of it is guessed.

The processor that the library itself would build is asked, so that what its file leaves out is what its class holds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from core.data.transforms import (
    HALF_NORMALISATION,
    IMAGENET_NORMALISATION,
    Framing,
    Normalisation,
    Preprocessing,
    Resample,
)
from core.errors import IncompatibleError, MissingWeightsError

FILES = ("preprocessor_config.json", "processor_config.json")
# Pillow's numbers.
_FILTERS: dict[int, Resample] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_BLACK = (0, 0, 0)


def read_preprocessing(folder: Path, config: dict[str, Any]) -> Preprocessing:
    """What the model's own image processor does, as a `Preprocessing`.

    Differs from the original where that leaves a photo oblong: we cut the square of its middle, or lay bands beside it
    where it is fitted by its longer side. Without a processor file: the model's image size, the middle, and the
    normalisation that its family was trained with.

    Args:
        config: of the model, from config.json.

    Raises:
        MissingWeightsError: the file is damaged.
        IncompatibleError: the model wants oblong images.
    """
    said = _read(folder)
    side = int(_square(config.get("image_size") or 224))
    if said is None:
        return Preprocessing(size=side, normalisation=_of_family(config))
    processor = _build(folder, said, config)
    resized, framing = _resizing(processor, side)
    size = _square(processor.crop_size) if processor.do_center_crop else None
    if getattr(processor, "crop_pct", None) and "shortest_edge" in processor.size:
        # ConvNeXt's: small ones are resized to more and cut, from 384 pixels on nothing is cut.
        size = resized
        resized, framing = (int(resized / processor.crop_pct), "crop") if resized < 384 else (resized, "squash")
    size = size or resized
    return Preprocessing(
        # A class has sizes of its own; where the file names none, the model knows better.
        size=size if said.keys() & {"size", "crop_size"} else side,
        normalisation=_normalisation(processor),
        crop_share=size / resized,
        resample=_FILTERS[int(processor.resample if processor.resample is not None else 2)],
        framing=framing,
        ground=_BLACK,
        centre="down",
        engine="torchvision",
    )


def _read(folder: Path) -> dict[str, Any] | None:
    """What the processor's file says; None without one."""
    for name in FILES:
        if (folder / name).is_file():
            try:
                said = json.loads((folder / name).read_text(encoding="utf-8"))
            except ValueError as error:
                raise MissingWeightsError(f"{name} of {folder.name} is not JSON ({error}).") from error
            if not isinstance(said, dict):
                raise MissingWeightsError(f"{name} of {folder.name} describes no image processor.")
            # A processor of images and texts describes that of images within.
            found = said.get("image_processor", said)
            return found if isinstance(found, dict) else said
    return None


def _build(folder: Path, said: dict[str, Any], config: dict[str, Any]) -> Any:
    """The library's processor: the class that the file names, else the one that the model's type has."""
    from transformers.image_processing_backends import TorchvisionBackend
    from transformers.models.auto.image_processing_auto import (  # type: ignore[attr-defined]
        IMAGE_PROCESSOR_MAPPING_NAMES,
        get_image_processor_class_from_name,
    )

    named = said.get("image_processor_type") or str(said.get("feature_extractor_type") or "")
    named = named.replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast").removesuffix("Pil")
    of_type = IMAGE_PROCESSOR_MAPPING_NAMES.get(str(config.get("model_type")), {}).get("torchvision")
    kind: Any = next(
        (found for name in (named, of_type) if name and (found := get_image_processor_class_from_name(name))),
        TorchvisionBackend,
    )
    if kind is TorchvisionBackend:
        # Of no known class: what most of them do.
        family = _of_family(config)
        said = {
            "do_resize": True, "size": config.get("image_size", 224), "resample": 3, "do_rescale": True,
            "do_normalize": True, "image_mean": list(family.mean), "image_std": list(family.std), **said,
        }  # fmt: skip
    try:
        processor = kind.from_dict(said)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingWeightsError(f"The image processor of {folder.name} cannot be built: {first}") from error
    return processor


def _resizing(processor: Any, side: int) -> tuple[int, Framing]:
    """The side that a photo is resized to, and how.

    `side`: of the images that the model takes, for processors that do not resize.
    """
    size = processor.size
    if not processor.do_resize or size is None:
        return side, "crop"
    if size.height or size.width:
        return _square(size), "squash"
    if size.shortest_edge:
        # LeViT's cuts an eighth off whatever its file says.
        widened = type(processor).__name__.startswith("Levit")
        return (int(256 / 224 * size.shortest_edge) if widened else int(size.shortest_edge)), "crop"
    longest = size.longest_edge or size.max_height
    if not longest:
        raise IncompatibleError("The image processor names no size.", "Check preprocessor_config.json.")
    return int(longest), "pad"


def _normalisation(processor: Any) -> Normalisation:
    """Mean and deviation of pixels in [0, 1], whatever range the model's own are of.

    Pixels x of 0 to 255 become (x · factor − mean) / std; ours, of x / 255, are mean / (255 · factor) and so on.
    """
    factor = 255 * float(processor.rescale_factor) if processor.do_rescale else 255.0
    shift = 1.0 if processor.do_rescale and getattr(processor, "rescale_offset", False) else 0.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if processor.do_normalize:
        mean, std = (_three(each) for each in (processor.image_mean, processor.image_std))
    return Normalisation(
        mean=tuple(float((each + shift) / factor) for each in mean), std=tuple(float(each / factor) for each in std)
    )


def _three(values: Any) -> tuple[float, ...]:
    """Per channel; a single number holds for all."""
    return tuple(map(float, values)) if isinstance(values, list | tuple) else (float(values),) * 3


def _of_family(config: dict[str, Any]) -> Normalisation:
    """What models of this type were trained with."""
    from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    if config.get("model_type") == "clip":
        return Normalisation(mean=tuple(OPENAI_CLIP_MEAN), std=tuple(OPENAI_CLIP_STD))
    return HALF_NORMALISATION if config.get("model_type") in ("vit", "siglip") else IMAGENET_NORMALISATION


def _square(size: Any) -> int:
    """The side of a square, given as a number, a pair, or a height and a width.

    Raises:
        IncompatibleError: it is none.
    """
    if isinstance(size, int | float):
        return int(size)
    height, width = (size.height, size.width) if hasattr(size, "height") else cast(tuple[int, int], tuple(size))
    if height is None and width is None and getattr(size, "shortest_edge", None):
        height = width = size.shortest_edge
    if height != width:
        raise IncompatibleError(f"The model wants images of {width}×{height} pixels.", "Only squares are supported.")
    return int(height)
