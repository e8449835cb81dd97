"""Every model by name, described without loading it: importing this costs no torch and no model library.

Beside the rows of `bundled_models` and `published_models`, `find_model` understands `run:NAME` (a finished run),
`folder:PATH` (a local folder or weight file) and `hub:OWNER/NAME` (a Hugging Face repository); any of them may end in
`;size=PIXELS`, the same model at another input size.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from core.errors import MissingWeightsError, UnknownNameError
from core.models.bundled_models import (
    BUNDLED_SPECS,
    CLIP_SPECS,
    DIFFUSION_SMALL_SPECS,
    MIXER_SPECS,
    SMALL_SPECS,
    VAE_SPECS,
)
from core.models.capabilities import Findings, find_capabilities
from core.models.hub import cached_model, check_repository
from core.models.input_size import resized, split_size, with_size
from core.models.loading import load_any
from core.models.model_folder import find_layout, pick_checkpoint, read_config
from core.models.published_models import CLIP_HUB_SPECS, DIFFUSION_SPECS, HUB_SPECS, TORCHVISION_SPECS, WHEEL_SPECS
from core.models.spec import ModelSpec, Network, Source
from core.paths import BUNDLED, local_path, runs_root


def gather(*families: Iterable[ModelSpec]) -> dict[str, ModelSpec]:
    """All specs by name.

    Raises:
        ValueError: a name occurs twice.
    """
    models: dict[str, ModelSpec] = {}
    for spec in (spec for family in families for spec in family):
        if spec.name in models or ":" in spec.name:
            raise ValueError(f"The model name {spec.name!r} is taken or reserved.")
        models[spec.name] = spec
    return models


def trained(specs: Iterable[ModelSpec]) -> tuple[ModelSpec, ...]:
    """Those whose weights are part of this checkout: rows are written before their trainings are through."""
    return tuple(spec for spec in specs if (BUNDLED / spec.name).is_dir())


MODELS = gather(
    BUNDLED_SPECS,
    CLIP_SPECS,
    WHEEL_SPECS,
    SMALL_SPECS,
    HUB_SPECS,
    CLIP_HUB_SPECS,
    DIFFUSION_SMALL_SPECS,
    DIFFUSION_SPECS,
    trained(VAE_SPECS),
    trained(MIXER_SPECS),
    TORCHVISION_SPECS,
)


LONGEST_NAME = 500


def find_model(name: str) -> ModelSpec:
    """The spec of a catalogue name, or of `run:NAME`, `folder:PATH` or `hub:OWNER/NAME`.

    Raises:
        UnknownNameError: no row and no run has this name.
        MissingWeightsError: at the given location is nothing that we open.
        IncompatibleError: there is a model, but of a kind that other pages use.
    """
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise MissingWeightsError(
            f"{name[:80]!r}… cannot name a model: it has {len(name):,} letters, or controls among them.",
            "Choose a model of the list, or check the address.",
        )
    name, size = split_size(name)
    if size is not None:
        return _at_size(find_model(name), size)
    kind, separator, location = name.partition(":")
    if not separator:
        if name not in MODELS:
            raise UnknownNameError("model", name, MODELS)
        return MODELS[name]
    finders = {"run": _run_spec, "folder": _folder_spec, "hub": _hub_spec}
    if kind not in finders:
        raise UnknownNameError("kind of model location", kind, finders)
    return finders[kind](location.strip())


def _at_size(spec: ModelSpec, size: int) -> ModelSpec:
    def load(location: Path | str) -> Network:
        return resized(spec.load(location), size, spec.title)

    return replace(spec, name=with_size(spec.name, size), title=f"{spec.title} at {size} px", load=load)


def _run_spec(name: str) -> ModelSpec:
    # Membership in a listing, so that no path is built from the name. A list of many runs asks for each of them: what
    # lies in the others is looked at only to name them.
    root = runs_root()
    if not (root.is_dir() and name in os.listdir(root) and (root / name / "model" / "card.json").is_file()):
        finished = {path.parent.parent.name for path in root.glob("*/model/card.json")}
        raise UnknownNameError("finished run", name, finished)
    return _location_spec(f"run:{name}", Source(kind="run", location=name), runs_root() / name / "model")


def _folder_spec(location: str) -> ModelSpec:
    path = local_path(location)
    chosen, why = pick_checkpoint(path)
    spec = _location_spec(f"folder:{path}", Source(kind="folder", location=str(chosen)), chosen)
    if not why:
        return spec
    part = f"{chosen.name[:16]}, {why}"
    return replace(spec, title=f"{path.name} ({part})", note=f"Your own model, {part} in {path.name}.")


def _hub_spec(repository: str) -> ModelSpec:
    source = Source(kind="hub", location=check_repository(repository))
    folder = cached_model(repository)
    if folder is not None:
        return _location_spec(f"hub:{repository}", source, folder)
    # Its config.json is not here to ask; what most vision transformers can do until it is.
    return _user_spec(f"hub:{repository}", repository, "hub", Findings(capabilities=frozenset({"attention"})), source)


def _location_spec(name: str, source: Source, path: Path) -> ModelSpec:
    layout = find_layout(path)
    title = source.location if source.kind != "folder" else path.name
    if layout == "own":
        title = str(read_config(path, "card.json").get("title") or title)
        title = f"{title} ({source.location})" if source.kind == "run" else title
    return _user_spec(name, title, layout, find_capabilities(path, layout), source)


def _user_spec(name: str, title: str, family: str, found: Findings, source: Source) -> ModelSpec:
    if not re.fullmatch(r"[^\x00-\x1f]{1,500}", name):
        raise MissingWeightsError("The name of the model holds control characters.", "Check the path.")
    return ModelSpec(
        name=name,
        title=title,
        family=family,
        capabilities=found.capabilities,
        reasons=found.reasons,
        licence="see its origin",
        paper="",
        sources=(source,),
        load=load_any,
        note="Your own model.",
    )
