"""What the Latent space page computes: pictures, their posteriors, planes, walks; each once for all sessions."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from core.data.catalogue import installed_datasets, usual_split
from core.errors import CoreError, MissingWeightsError
from core.methods.latent.drawing import (
    Drawn,
    Interpolation,
    Layout,
    Manifold,
    Source,
    Traversal,
    Way,
    draw,
    interpolate,
    manifold,
    traverse,
)
from core.methods.latent.passes import decoded
from core.methods.latent.pictures import LatentPictures, open_pictures
from core.methods.latent.reencoding import Reencoded, reencode
from core.methods.latent.statistics import LatentStatistics, latent_statistics
from core.models.catalogue import find_model
from core.models.checkpoint import ModelCard, read_card
from core.models.vae import VAE, VAEConfig
from core.models.weights import resolve
from core.reports import OnProgress, silent
from core.runs.store import list_runs
from pages.components.latent_map.latent_map import grid_side
from pages.shared.cache import in_use, loaded_model
from pages.shared.results import shared

OWN = "own:500/0"
BUNDLED_VAES = ("vae_2d", "vae_collapsed", "vae_warmup", "vae_bernoulli")


def config_of(name: str) -> VAEConfig:
    """The shape of a model and what it assumes."""
    return cast(VAE, loaded_model(name).module).config


def title_of(name: str) -> str:
    """What people read."""
    return find_model(name).title


def card_of(name: str) -> ModelCard:
    """How a model was trained, and what was measured.

    Raises:
        MissingWeightsError: it has no card.
    """
    location = resolve(find_model(name))
    if not (isinstance(location, Path) and location.is_dir()):
        raise MissingWeightsError(f"{title_of(name)} has no card.", "Choose a bundled model or a finished run.")
    return read_card(location)


def default_address(name: str) -> str:
    """Test images of what the model was trained on where they are here, else what it draws itself."""
    try:
        dataset = str(card_of(name).metrics.get("dataset", ""))
    except CoreError:
        return OWN
    if dataset not in installed_datasets():
        return OWN
    return f"data:{dataset}/{usual_split(dataset)}/2000/0"


@shared("Reading pictures …")
def pictures_of(name: str, address: str, *, on_progress: OnProgress = silent) -> LatentPictures:
    """The pictures behind an address, as the model takes them.

    Raises:
        CoreError: there are none.
    """
    with in_use(name) as model:
        return open_pictures(cast(VAE, model.module), address)


@shared("Encoding …")
def statistics_of(name: str, address: str, *, on_progress: OnProgress = silent) -> LatentStatistics:
    """The posteriors of all pictures of a set."""
    images = pictures_of(name, address).images
    with in_use(name) as model:
        return latent_statistics(cast(VAE, model.module), images)


@shared("Decoding the plane …", most=16)
def plane_of(name: str, layout: Layout, dimensions: tuple[int, int]) -> Manifold:
    """The grid of decodings that the browser gets."""
    with in_use(name) as model:
        module = cast(VAE, model.module)
        return manifold(module, grid_side(module.config.pixels), layout=layout, dimensions=dimensions)


@shared("Decoding …", most=512)
def exact_of(name: str, latent: tuple[float, ...]) -> np.ndarray:
    """(height, width, channels) in [0, 1]: what the decoder makes of one latent."""
    with in_use(name) as model:
        return decoded(cast(VAE, model.module), np.array([latent], dtype=np.float32))[0]


@shared("Encoding and decoding again …")
def reencoded_of(name: str, passes: int, digest: str, _images: np.ndarray) -> Reencoded:
    """Pictures through the model again and again; `digest` tells them from others."""
    with in_use(name) as model:
        return reencode(cast(VAE, model.module), _images, passes)


@shared("Drawing …")
def drawn_of(
    name: str, source: Source, count: int, seed: int, scale: float, address: str, *, on_progress: OnProgress = silent
) -> Drawn:
    """Pictures of latents from a distribution; `address`: whose posteriors, where it is drawn from those."""
    statistics = statistics_of(name, address) if source in ("posterior", "mixture") else None
    with in_use(name) as model:
        return draw(cast(VAE, model.module), source, count, seed=seed, scale=scale, statistics=statistics)


@shared("Walking along the dimensions …", most=128)
def traversal_of(
    name: str, latent: tuple[float, ...], dimensions: tuple[int, ...], extent: float, steps: int
) -> Traversal:
    """Rows of pictures, one dimension changed in each."""
    with in_use(name) as model:
        return traverse(
            cast(VAE, model.module), np.array(latent, dtype=np.float32), dimensions, extent=extent, steps=steps
        )


@shared("Going from one to the other …", most=128)
def interpolation_of(
    name: str, first: tuple[float, ...], last: tuple[float, ...], steps: int, way: Way
) -> Interpolation:
    """The way from one latent to another."""
    ends = (np.array(each, dtype=np.float32) for each in (first, last))
    with in_use(name) as model:
        return interpolate(cast(VAE, model.module), *ends, steps=steps, way=way)


def vae_runs() -> dict[str, str]:
    """Bundled VAEs and finished runs of the recipe, by name, with their titles."""
    names = [name for name in BUNDLED_VAES if _has_card(name)]
    names += [f"run:{run.name}" for run in list_runs() if (run.model / "card.json").is_file()]
    found = {}
    for name in names:
        try:
            spec = find_model(name)
        except CoreError:
            continue
        if not spec.lacks("latent"):
            found[name] = spec.title
    return found


def _has_card(name: str) -> bool:
    try:
        card_of(name)
    except CoreError:
        return False
    return True
