"""What a folder or file of weights is, told by names and small JSON files alone: cheap, and nothing is opened."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from core.errors import IncompatibleError, MissingWeightsError

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
_HALF_WEIGHTS = ("model.fp16.safetensors", "pytorch_model.fp16.bin")
# The last is `.pth.tar`, as the ImageNet example of PyTorch calls what it saves.
WEIGHT_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")
PIPELINE_CONFIG = "model_index.json"
# The parts of a pipeline, best first; each is a file or, where it is cut into several, the index of them.
_PARTS = {
    part: tuple(f"{part}/{stem}{ending}" for ending in (".safetensors", ".safetensors.index.json", ".bin"))
    for part, stem in (
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    )
}
_PARTS["text_encoder"] = (*_PARTS["text_encoder"][:2], "text_encoder/pytorch_model.bin")
_ADAPTERS = ("adapter_config.json", "pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin")
_OF_OTHERS = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax", "model.onnx": "ONNX"}
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def find_layout(path: Path) -> Layout:
    """Which library's layout `path` has.

    Raises:
        MissingWeightsError: nothing is there, or nothing that we open.
        IncompatibleError: a LoRA adapter, which changes a model that is elsewhere.
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
    if not (path / "config.json").is_file():
        _refuse_unnamed(path)
    config = read_config(path)
    if "architecture" in config:
        return "timm"
    if "model_type" in config:
        return "transformers_clip" if _has_two_towers(config) else "transformers"
    if str(config.get("_class_name", "")):
        raise IncompatibleError(
            f"{path.name} is one part of a diffusers pipeline ({config['_class_name']}).",
            f"Choose the folder above it, with {PIPELINE_CONFIG}.",
        )
    raise MissingWeightsError(
        f"config.json of {path.name} names neither a timm architecture nor a transformers model type.",
        "Expected a folder in transformers or timm format.",
    )


def pick_checkpoint(path: Path) -> tuple[Path, str]:
    """The folder of the model in `path` and, where it is another than `path`, why this one was taken: "the best".

    Output folders of transformers' Trainer hold checkpoints, of which the best is taken if the Trainer knew which it
    was, else the newest; folders of the Hub's cache hold snapshots, of which the one of the branch `main` is taken.
    """
    if not path.is_dir() or any((path / name).is_file() for name in ("config.json", "card.json", *_CONFIGS)):
        return path, ""
    steps = {int(match[1]): each for each in path.glob("checkpoint-*") if (match := _CHECKPOINT.fullmatch(each.name))}
    filled = {step: each for step, each in steps.items() if (each / "config.json").is_file()} or steps
    if filled:
        newest = filled[max(filled)]
        best = _best_checkpoint(newest)
        chosen = next((each for each in filled.values() if each.name == best), None)
        return (chosen, "the best") if chosen is not None else (newest, "the newest")
    snapshots = sorted(each for each in (path / "snapshots").glob("*") if each.is_dir())
    if snapshots:
        main = path / "refs" / "main"
        named = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
        return next((each for each in snapshots if each.name == named), snapshots[-1]), "the snapshot in use"
    return path, ""


_CONFIGS = (OPEN_CLIP_CONFIG, PIPELINE_CONFIG)


def _best_checkpoint(newest: Path) -> str:
    """The name of the checkpoint that the Trainer found best, by what it wrote into the newest; empty if it did not."""
    try:
        state = json.loads((newest / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    best = state.get("best_model_checkpoint") if isinstance(state, dict) else None
    return re.split(r"[/\\]", best)[-1] if isinstance(best, str) else ""


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


def weight_files(folder: Path, *, half: bool = False) -> tuple[Path, ...]:
    """The files that hold the weights of a model folder; empty if any is missing.

    `half`: of a pipeline, those in half precision if they are there.
    """
    if (folder / PIPELINE_CONFIG).is_file():
        return (half and _parts_of(folder, half=True)) or _parts_of(folder) or _parts_of(folder, half=True)
    # Repositories of timm keep the image tower alone beside the whole CLIP.
    own = OPEN_CLIP_WEIGHTS if (folder / OPEN_CLIP_CONFIG).is_file() else ()
    for name in (*own, *WEIGHTS, *_HALF_WEIGHTS):
        path = folder / name
        if not path.is_file():
            continue
        files = (path,) if path.suffix != ".json" else tuple(folder / shard for shard in read_shards(path))
        return files if all(file.is_file() for file in files) else ()
    return ()


def variant_of(files: tuple[Path, ...]) -> str | None:
    """How the libraries call the kind of `files`: "fp16" for those in half precision, else None."""
    return "fp16" if any(".fp16" in file.name for file in files) else None


def has_half_pipeline(folder: Path) -> bool:
    """Whether every part of a pipeline is there in half precision."""
    return bool(_parts_of(folder, half=True))


def has_full_pipeline(folder: Path) -> bool:
    """Whether every part of a pipeline is there in full precision."""
    return bool(_parts_of(folder))


def _parts_of(folder: Path, *, half: bool = False) -> tuple[Path, ...]:
    """The weight files of every part of a pipeline; empty if a part is missing."""
    files: list[Path] = []
    for names in _PARTS.values():
        wanted = [_halved(name) if half else name for name in names]
        found = next((folder / name for name in wanted if (folder / name).is_file()), None)
        if found is None:
            return ()
        files += [found.parent / shard for shard in read_shards(found)] if found.suffix == ".json" else [found]
    return tuple(files) if all(file.is_file() for file in files) else ()


def _halved(name: str) -> str:
    """ "unet/model.safetensors.index.json" → "unet/model.safetensors.index.fp16.json", as diffusers calls it."""
    stem, _, ending = name.rpartition(".")
    return f"{stem}.fp16.{ending}"


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


def explain_missing(folder: Path) -> tuple[str, str]:
    """Cause and remedy for a folder of which `weight_files` finds none."""
    if (folder / PIPELINE_CONFIG).is_file():
        check_pipeline(folder)
        return (
            f"{folder.name} lacks weights of the pipeline's unet, vae or text_encoder.",
            "Expected diffusion_pytorch_model.safetensors or .bin in each, all in full or all in half precision.",
        )
    for name, library in _OF_OTHERS.items():
        if (folder / name).is_file():
            return (
                f"{folder.name} holds weights of {library} alone.",
                "Save it from PyTorch, as model.safetensors.",
            )
    return f"{folder.name} holds no complete weights.", "Expected model.safetensors beside config.json."


def check_pipeline(folder: Path) -> None:
    """Refuse a pipeline of another build than Stable Diffusion 1 and 2.

    Raises:
        MissingWeightsError: its index cannot be read.
        IncompatibleError: no text-to-image pipeline with one text encoder and an autoencoder of images.
    """
    name = str(read_config(folder, PIPELINE_CONFIG).get("_class_name"))
    if name != "StableDiffusionPipeline":
        raise IncompatibleError(
            f"{folder.name} is a {name}.", "Expected a StableDiffusionPipeline, for example Stable Diffusion 1 or 2."
        )


def _has_two_towers(config: dict[str, Any]) -> bool:
    """Whether this is a model of images and texts, of which no classifier was made."""
    both = all(isinstance(config.get(f"{part}_config"), dict) for part in ("text", "vision"))
    return (both or config["model_type"] in ("clip", "siglip")) and not is_classifier(config)


def _refuse_unnamed(folder: Path) -> None:
    """Say what a folder without config.json is, as far as its files tell.

    Raises:
        MissingWeightsError: always, or
        IncompatibleError: it is a LoRA adapter.
    """
    if any((folder / name).is_file() for name in _ADAPTERS):
        raise _adapter_error(folder)
    if folder.name.startswith("checkpoint-"):
        raise MissingWeightsError(
            f"{folder.name} of {folder.parent.name} holds no config.json: training was stopped while it was saved, "
            "or the model was none of transformers.",
            "Choose another checkpoint, or copy the model's config.json into it.",
        )
    files = sorted(each.name for each in folder.iterdir() if each.suffix in WEIGHT_FILES)
    if files:
        raise MissingWeightsError(
            f"{folder.name} holds no config.json, so that nothing tells what network its weights belong to.",
            f"Copy the model's config.json into it, or, for a network of torchvision, choose the file: {files[0]}.",
        )
    raise MissingWeightsError(
        f"{folder.name} holds no config.json and no weights.", "Choose the folder of a model, or a weight file."
    )


def _adapter_error(folder: Path) -> IncompatibleError:
    base = None
    if (folder / "adapter_config.json").is_file():
        base = read_config(folder, "adapter_config.json").get("base_model_name_or_path")
    of = f"{base}" if isinstance(base, str) and base else "the model that it was trained on"
    return IncompatibleError(
        f"{folder.name} is a LoRA adapter: it changes {of} and is no model by itself.",
        f"Load {of} with it, merge both (merge_and_unload of peft, fuse_lora of diffusers), save the result and open "
        "that.",
    )
