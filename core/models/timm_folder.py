"""A folder in timm's Hub layout (`config.json` with an `architecture`, safetensors) → the adapter that fits it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast, get_args

from torch import nn

from core.data.transforms import IMAGENET_NORMALISATION, Framing, Normalisation, Preprocessing, Resample
from core.errors import IncompatibleError, MissingWeightsError
from core.models.model_folder import explain_missing, read_config, weight_files
from core.models.spec import Network, for_channels
from core.models.state_dict import fill, read_state_dict

# Constructor arguments that would fetch or open something else than the folder's own weights.
_FORBIDDEN_ARGUMENTS = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}


def load_timm(folder: str | Path) -> Network:
    """The model of a timm folder: a vision transformer or a convolutional network.

    Raises:
        MissingWeightsError: weights are missing, damaged, or do not fit the configuration.
        IncompatibleError: timm does not know the architecture, or we have no adapter for it.
    """
    folder = Path(folder)
    config = read_config(folder)
    if "TimmWrapperModel" in (config.get("architectures") or ()):  # transformers' wrapper, saved without a head
        config = {**config, "num_classes": 0}
    model = build_timm(config)
    files = weight_files(folder)
    if not files:
        raise MissingWeightsError(*explain_missing(folder))
    weights = {name: tensor for file in files for name, tensor in read_state_dict(file).items()}
    fill(model, weights, folder.name)
    # What the folder leaves open is as timm itself has it for the architecture; a size of the network's own counts.
    settings = {**(model.pretrained_cfg or {}), **(config.get("pretrained_cfg") or {})}
    if side := getattr(getattr(model, "patch_embed", None), "img_size", None):
        settings["input_size"] = (3, *side)
    module: Any = adapt(model.eval())
    return Network(
        module=module,
        preprocessing=for_channels(_preprocessing(settings), module.image_channels, folder.name),
        classes=_classes(config, settings, model),
    )


def build_timm(config: dict[str, Any]) -> Any:
    """timm's own module as config.json describes it, with weights drawn at random.

    Raises:
        IncompatibleError: timm does not know the architecture, or cannot build it so.
    """
    import timm

    name = config.get("architecture")
    # Only a bare name: timm also takes addresses and paths here.
    if not isinstance(name, str) or not timm.is_model(name):
        raise IncompatibleError(f"timm has no architecture named {name!r}.", "Check config.json.")
    arguments = {
        key: value for key, value in (config.get("model_args") or {}).items() if key not in _FORBIDDEN_ARGUMENTS
    }
    arguments.setdefault("num_classes", config.get("num_classes", 1000))
    if config.get("global_pool") is not None:
        arguments.setdefault("global_pool", config["global_pool"])
    try:
        return timm.create_model(name, pretrained=False, **arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise IncompatibleError(f"timm cannot build {name} as config.json says: {error}.") from error


def adapt(model: Any) -> nn.Module:
    """A module of timm behind our contract."""
    from timm.models.vision_transformer import VisionTransformer

    from core.models.cnn import ConvolutionalClassifier
    from core.models.timm_vit import TimmViT

    if isinstance(model, VisionTransformer):
        try:
            return TimmViT(model)
        except IncompatibleError:
            pass  # its attention has no explicit form; it still classifies
    return ConvolutionalClassifier(model)


def _preprocessing(settings: dict[str, Any]) -> Preprocessing:
    """timm's transform for evaluation (`timm.data.create_transform`), with timm's own defaults for what is not said."""
    from timm.data.config import resolve_data_config

    found = resolve_data_config(pretrained_cfg=settings or {"mean": IMAGENET_NORMALISATION.mean})
    _, height, width = found["input_size"]
    if height != width:
        raise IncompatibleError(f"The model wants images of {width}×{height} pixels.", "Only squares are supported.")
    mean = tuple(map(float, found["mean"]))
    filters = get_args(Resample)
    framings: dict[str, Framing] = {"squash": "squash", "border": "pad"}
    return Preprocessing(
        size=int(height),
        normalisation=Normalisation(mean=mean, std=tuple(map(float, found["std"]))),
        # timm rounds the side that it resizes to down.
        crop_share=height / math.floor(height / found["crop_pct"]),
        resample=found["interpolation"] if found["interpolation"] in filters else "bilinear",
        framing=framings.get(found["crop_mode"], "crop"),
        ground=cast(tuple[int, int, int], tuple(round(255 * each) for each in (mean * 3)[:3])),
    )


def _classes(config: dict[str, Any], settings: dict[str, Any], model: Any) -> tuple[str, ...]:
    """Names from the folder; ImageNet's for 1000 unnamed classes; else numbers. Empty without a head."""
    from core.models.imagenet import class_names

    if not model.num_classes:
        return ()
    names = config.get("label_names") or settings.get("label_names")
    return tuple(map(str, names)) if names and len(names) == model.num_classes else class_names(model.num_classes)
