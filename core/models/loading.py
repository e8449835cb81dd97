"""From a place on disk to a network: the adapter that its layout calls for, imported only then."""

from __future__ import annotations

from pathlib import Path

from core.models.model_folder import find_layout
from core.models.spec import Network


def load_any(location: Path | str) -> Network:
    """The model in a local folder or weight file, by the adapter that its layout calls for."""
    path = Path(location)
    layout = find_layout(path)
    if layout == "own":
        from core.models.own import load_own

        return load_own(path)
    if layout == "timm":
        from core.models.timm_folder import load_timm

        return load_timm(path)
    if layout == "torchvision":
        return load_torchvision_file(path)
    if layout == "diffusers":
        from core.models.diffusion import load_diffusers

        return load_diffusers(path)
    if layout == "open_clip":
        from core.models.open_clip_folder import load_open_clip

        return load_open_clip(path)
    if layout == "transformers_clip":
        from core.models.transformers_clip import load_transformers_clip

        return load_transformers_clip(path)
    from core.models.transformers_vit import load_transformers

    return load_transformers(path)


def load_torchvision_file(location: Path | str) -> Network:
    from core.models.cnn import load_torchvision

    return load_torchvision(location)
