"""What a folder or file of weights is, told by names and small JSON files alone: cheap, and nothing is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from core.errors import MissingWeightsError

Layout = Literal["own", "transformers", "transformers_clip", "timm", "torchvision", "open_clip", "diffusers"]

# Best first. A `.bin` is a pickle and is only ever read with torch.load(weights_only=True).
OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
WEIGHT_FILES = (".safetensors", ".pt", ".pth")
_IMAGE_TEXT = ("clip", "siglip")
PIPELINE_CONFIG = "model_index.json"
_PIPELINE_WEIGHTS = (
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
)
# The same in half precision, half the size; repositories such as Stable Diffusion's have both.
_HALF_PIPELINE_WEIGHTS = tuple(name.replace(".safetensors", ".fp16.safetensors") for name in _PIPELINE_WEIGHTS)


def find_layout(path: Path) -> Layout:
    """Which library's layout `path` has.

    Raises:
        MissingWeightsError: nothing is there, or nothing that we open.
    """
    if path.is_file():
        if path.suffix in WEIGHT_FILES:
            return "torchvision"
        raise MissingWeightsError(
            f"{path.name} is no weight file that we open: other formats can run code when read.",
            f"Expected {', '.join(WEIGHT_FILES)}, or a folder with config.json and model.safetensors.",
        )
    if not path.is_dir():
        raise MissingWeightsError(f"There is no file or folder {path}.", "Check the path.")
    # Before our own card: the CLIP and the pipeline that we train are folders of their libraries with a card.
    if (path / OPEN_CLIP_CONFIG).is_file():
        return "open_clip"
    if (path / PIPELINE_CONFIG).is_file():
        return "diffusers"
    if (path / "card.json").is_file():
        return "own"
    config = read_config(path)
    if "architecture" in config:
        return "timm"
    if "model_type" in config:
        return "transformers_clip" if config["model_type"] in _IMAGE_TEXT else "transformers"
    raise MissingWeightsError(
        f"config.json of {path.name} names neither a timm architecture nor a transformers model type.",
        "Expected a folder in transformers or timm format.",
    )


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """The JSON object in file `name` of a model folder.

    Raises:
        MissingWeightsError: there is none, or it is not a JSON object.
    """
    try:
        config = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MissingWeightsError(f"{folder.name} holds no readable {name} ({error}).") from error
    if not isinstance(config, dict):
        raise MissingWeightsError(f"{name} of {folder.name} is not a JSON object.")
    return config


def is_classifier(config: dict[str, Any]) -> bool:
    """Whether the checkpoint was saved with a classification head."""
    return any("ForImageClassification" in name for name in config.get("architectures") or ())


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold the weights of a model folder; empty if any is missing."""
    if (folder / PIPELINE_CONFIG).is_file():
        wanted = (tuple(folder / name for name in names) for names in (_PIPELINE_WEIGHTS, _HALF_PIPELINE_WEIGHTS))
        return next((parts for parts in wanted if all(part.is_file() for part in parts)), ())
    # Repositories of timm keep the image tower alone beside the whole CLIP.
    for name in (*OPEN_CLIP_WEIGHTS, *WEIGHTS) if (folder / OPEN_CLIP_CONFIG).is_file() else WEIGHTS:
        path = folder / name
        if not path.is_file():
            continue
        files = (path,) if path.suffix != ".json" else tuple(folder / shard for shard in read_shards(path))
        return files if all(file.is_file() for file in files) else ()
    return ()


def has_half_pipeline(folder: Path) -> bool:
    """Whether every part of a pipeline is there in half precision."""
    return all((folder / name).is_file() for name in _HALF_PIPELINE_WEIGHTS)


def has_full_pipeline(folder: Path) -> bool:
    """Whether every part of a pipeline is there in full precision."""
    return all((folder / name).is_file() for name in _PIPELINE_WEIGHTS)


def read_shards(index: Path) -> list[str]:
    """File names that a weight index lists."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise MissingWeightsError(f"{index.name} is no index of weight files ({error}).") from error
    # The index comes from outside, and these become paths.
    if not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise MissingWeightsError(f"{index.name} lists files outside its own folder.")
    return names
