"""What a model can be asked, by its kind: the one table behind the catalogue's rows and models of people's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from core.errors import IncompatibleError
from core.models.model_folder import OPEN_CLIP_CONFIG, Layout, is_classifier, read_config
from core.models.spec import Capability

BACKBONE: frozenset[Capability] = frozenset({"attention", "positions"})
VIT: frozenset[Capability] = BACKBONE | {"classifier"}
CNN: frozenset[Capability] = frozenset({"classifier", "convolution"})
IMAGE_TEXT: frozenset[Capability] = frozenset({"image_text"})
# Whose image tower is a vision transformer.
IMAGE_TEXT_VIT: frozenset[Capability] = IMAGE_TEXT | BACKBONE
TEXT_TO_IMAGE: frozenset[Capability] = frozenset({"text_to_image"})
LATENT: frozenset[Capability] = frozenset({"latent"})

# Models that this project's recipes train, by the family on their card.
OWN: dict[str, frozenset[Capability]] = {
    "vit": VIT,
    "differential_vit": VIT | {"signed_attention"},
    "small_cnn": CNN,
    "vae": LATENT,
    # Whatever mixes them, what the head reads the mean of is a map.
    "mixer": CNN,
}
_WITH_POSITION_TABLE = ("vit", "deit", "dinov2", "dinov2_with_registers", "vit_msn")
_TIMM_VIT = re.compile(r"(vit_(?!relpos|srelpos)|deit|flexivit)")


def find_capabilities(path: Path, layout: Layout) -> frozenset[Capability]:
    """What a model in a folder or file of this layout can be asked, before it is loaded."""
    if layout == "torchvision":
        return CNN
    if layout == "diffusers":
        return TEXT_TO_IMAGE
    if layout == "transformers_clip":
        return IMAGE_TEXT_VIT
    if layout == "open_clip":
        vision = (read_config(path, OPEN_CLIP_CONFIG).get("model_cfg") or {}).get("vision_cfg") or {}
        plain = isinstance(vision.get("layers"), int) and not vision.get("timm_model_name")
        return IMAGE_TEXT_VIT if plain else IMAGE_TEXT
    if layout == "own":
        return _of_own(path, read_config(path, "card.json"))
    config = read_config(path)
    if layout == "timm":
        found = VIT if _TIMM_VIT.match(str(config["architecture"])) else CNN
        return found - _if(not config.get("num_classes", 1000), "classifier")
    without = _if(config["model_type"] not in _WITH_POSITION_TABLE, "positions")
    return VIT - without - _if(not is_classifier(config), "classifier")


def _of_own(path: Path, card: dict[str, Any]) -> frozenset[Capability]:
    family, config = card.get("family"), card.get("config") or {}
    if family == "transfer":
        return frozenset(each for each in get_args(Capability) if each in (config.get("capabilities") or ()))
    if family not in OWN:
        raise IncompatibleError(f"{path.name} holds a {family!r} model, which other pages use.", "Choose another.")
    return OWN[family] - _if(config.get("positional") == "none", "positions")


def _if(condition: bool, capability: Capability) -> frozenset[Capability]:
    return frozenset({capability}) if condition else frozenset()
