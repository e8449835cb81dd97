"""Folders of `transformers` with a vision model: ViT, DeiT, DINO, DINOv2, ResNet, ConvNeXt, Swin and their kin.

Sources: Dosovitskiy et al. 2021, arXiv:2010.11929; Touvron et al. 2021, arXiv:2012.12877 (DeiT);
Caron et al. 2021, arXiv:2104.14294 (DINO); Oquab et al. 2023, arXiv:2304.07193 (DINOv2);
Darcet et al. 2024, arXiv:2309.16588 (registers).
"""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from core.errors import IncompatibleError, MissingWeightsError
from core.models.file_kind import check_weight_file
from core.models.hub import cached_model, fetch_model
from core.models.image_processor import read_preprocessing
from core.models.imagenet import class_names
from core.models.model_folder import explain_missing, is_classifier, read_config, variant_of, weight_files
from core.models.spec import Network, for_channels
from core.models.state_dict import read_state_dict
from core.models.transformers_trial import adapt

# Weights that a pass over whole images never reads.
_UNUSED = ("mask_token", "pooler.", "position_ids", "decoder.", "classifier.", "lm_head.", "head.")
# Trained to fill in what was hidden: the part that fills in is no part of what the model knows of an image.
_MASKED = re.compile("For(MaskedImageModeling|PreTraining)$")
_OURS = "Choose a classifier of images, or a model that embeds them."


def load_transformers(location: str | Path, *, attn_implementation: str | None = None) -> Network:
    """A model from a local `transformers` folder, or from the Hub (downloaded if it is not in the local cache).

    Code from a repository is never run; weights are safetensors, or a state dict read without unpickling objects.

    Args:
        location: an existing folder, or a repository as OWNER/NAME.
        attn_implementation: `eager`, `sdpa` or `flex_attention`, for all but `trace`; by default the library's choice.

    Raises:
        OfflineError: the Hub was needed and did not answer.
        MissingWeightsError: weights are missing, damaged, or do not fit the configuration.
        IncompatibleError: no model that takes images, or one made for another task than classes and embeddings.
    """
    folder = Path(location)
    if not folder.is_dir():
        if isinstance(location, Path):
            raise MissingWeightsError(f"There is no folder {location}.")
        folder = cached_model(location) or fetch_model(location)
    config = read_config(folder)
    model = _build(folder, config, attn_implementation)
    network = adapt(model.eval())
    classes: tuple[str, ...] = ()
    if network.classifies:
        labels = getattr(model.config, "id2label", None) or dict(enumerate(class_names(network.heads[-1].out_features)))
        classes = tuple(str(labels[index]) for index in sorted(labels))
    settings = config if network.image_size is None else {**config, "image_size": network.image_size}
    preprocessing = for_channels(read_preprocessing(folder, settings), network.image_channels, folder.name)
    return Network(module=network, preprocessing=preprocessing, classes=classes)


def _build(folder: Path, config: dict[str, Any], attn_implementation: str | None) -> Any:
    """The model with every weight from its file; anything missing or left over is an error."""
    from transformers import AutoConfig

    options: dict[str, Any] = {"attn_implementation": attn_implementation} if attn_implementation else {}
    names = _weight_names(folder)
    with _explained(folder):
        settings = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        loader = _find_class(folder, config, settings, names)
        parameters = inspect.signature(loader.__init__).parameters
        if "add_pooling_layer" in parameters:
            # DINO checkpoints carry no pooler; it would be invented.
            options["add_pooling_layer"] = any("pooler." in name for name in names)
    model = load_pretrained(folder, loader, **options)
    if (
        attn_implementation is None
        and not model._can_set_attn_implementation()
        and hasattr(model, "set_attn_implementation")
    ):
        # Data2Vec's attention is chosen when it is built; any other than eager hands over no weights afterwards.
        model = load_pretrained(folder, loader, **options, attn_implementation="eager")
    return model.base_model if _MASKED.search(type(model).__name__) else model


def _find_class(folder: Path, config: dict[str, Any], settings: Any, names: frozenset[str]) -> Any:
    """The class of transformers that the folder was saved from, or the one that its configuration calls for.

    Raises:
        IncompatibleError: a model that takes no images alone, or that was made for another task.
    """
    import transformers

    for architecture in config.get("architectures") or ():
        # A name out of a file: only a class of the library's own is taken by it.
        found = getattr(transformers, str(architecture), None)
        if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
            continue
        if found.main_input_name != "pixel_values":
            raise IncompatibleError(f"{folder.name} is a {architecture}, which takes no images alone.", _OURS)
        if "For" in str(architecture) and not (is_classifier(config) or _MASKED.search(str(architecture))):
            raise IncompatibleError(
                f"{folder.name} is a {architecture}, made for another task than classes or embeddings.", _OURS
            )
        return found
    mapping, headless = transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, transformers.MODEL_MAPPING
    with_head = is_classifier(config) or any(name.startswith("classifier.") for name in names)
    chosen: Any = (mapping if with_head else headless).get(type(settings), None)
    chosen = chosen[0] if isinstance(chosen, tuple | list) else chosen
    if chosen is None or chosen.main_input_name != "pixel_values":
        raise IncompatibleError(f"{settings.model_type} is no model of images that we can open.", _OURS)
    return chosen


def _weight_names(folder: Path) -> frozenset[str]:
    """The names of all tensors, without reading them; empty where the weights are missing or another kind of file."""
    files = weight_files(folder)
    found: set[str] = set()
    for file in files:
        check_weight_file(file)
        if file.suffix == ".safetensors":
            with _explained(folder), safe_open(file, "pt") as opened:
                found |= set(opened.keys())
        else:
            found |= set(read_state_dict(file))
    return frozenset(found)


def load_pretrained(folder: Path, loader: Any, **options: Any) -> Any:
    """What `loader.from_pretrained` makes of a local folder, in fp32, with every weight from its file.

    Raises:
        MissingWeightsError: weights are missing, damaged, hold more than tensors, or do not fit the configuration.
    """
    files = weight_files(folder)
    if not files:
        raise MissingWeightsError(*explain_missing(folder))
    for file in files:
        check_weight_file(file)
    options |= {
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": files[0].suffix == ".safetensors",
        "weights_only": True,
        "variant": variant_of(files),
        "dtype": torch.float32,
        # Otherwise a size mismatch is a wall of text; here it is found in the loading report, with all the rest.
        "ignore_mismatched_sizes": True,
        "output_loading_info": True,
    }
    try:
        with _explained(folder):
            model, report = loader.from_pretrained(folder, **options)
    except pickle.UnpicklingError as error:
        raise MissingWeightsError(
            f"{files[0].name} of {folder.name} holds more than tensors and was not opened.",
            "Convert it to safetensors where you trust it.",
        ) from error
    _check_report(folder, report)
    return model


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """What transformers says about a folder that it cannot open, as one sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        if isinstance(error, IncompatibleError | MissingWeightsError):
            raise
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MissingWeightsError(f"{folder.name} cannot be loaded by transformers: {first}") from error


def _check_report(folder: Path, report: dict[str, Any]) -> None:
    """Refuse a model of which any used weight is random, or any part of the file was ignored."""
    missing = [name for name in report["missing_keys"] if "mask_token" not in name]
    surplus = [name for name in report["unexpected_keys"] if not any(part in name for part in _UNUSED)]
    mismatched = [key[0] if isinstance(key, tuple | list) else key for key in report["mismatched_keys"]]
    for names, problem in (
        (missing, "lacks"),
        (mismatched, "holds in another shape"),
        (surplus, "holds beyond its configuration"),
    ):
        if names:
            listed = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise MissingWeightsError(
                f"The weight file of {folder.name} {problem}: {listed}.",
                "The file and config.json belong to different models.",
            )
