"""Vision transformers of `transformers` behind our contract: ViT, DeiT, DINO, DINOv2 with and without registers.

Sources: Dosovitskiy et al. 2021, arXiv:2010.11929; Touvron et al. 2021, arXiv:2012.12877 (DeiT);
Caron et al. 2021, arXiv:2104.14294 (DINO); Oquab et al. 2023, arXiv:2304.07193 (DINOv2);
Darcet et al. 2024, arXiv:2309.16588 (registers).
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from core.errors import IncompatibleError, MissingWeightsError, ShapeError
from core.models.capture import captured, eager_attention
from core.models.hub import cached_model, fetch_model
from core.models.image_processor import read_preprocessing
from core.models.model_folder import is_classifier, read_config, weight_files
from core.models.reading import (
    asking,
    attention_pooling,
    by_gradient,
    cut_after,
    find_reading,
    gradient_shares,
    pooling_weights,
)
from core.models.spec import Network
from core.models.trace import Reading, Trace, check_trace
from core.seeding import stream_seed, torch_generator

# These shuffle or hide patches inside their forward pass, so that a map could not be laid over the image.
_REFUSED = {"vit_mae", "vit_hybrid", "swin", "swinv2", "donut-swin"}
# Weights that a pass over whole images never reads.
_UNUSED = ("mask_token", "pooler.", "position_ids", "decoder.", "classifier.", "lm_head.", "head.")


class TransformersViT(nn.Module):
    """A `transformers` vision transformer; with a head it classifies, without one it only embeds."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.config = model.config
        self.depth = int(self.config.num_hidden_layers)
        self.patch_size = _pair(self.config.patch_size)
        self.heads = tuple(
            module
            for name in ("classifier", "cls_classifier", "distillation_classifier", "head")
            if isinstance(module := getattr(model, name, None), nn.Linear)
        )
        parameters = inspect.signature(model.forward).parameters
        self.interpolates = "interpolate_pos_encoding" in parameters
        self.fixed: dict[tuple[int, ...], Reading | None] = {}  # what the head reads, by the size of the images

    def forward(self, images: Tensor) -> Tensor:
        """`images`: (batch, 3, height, width), normalised → logits (batch, classes).

        Raises:
            IncompatibleError: the checkpoint has no classification head.
        """
        if not self.heads:
            raise IncompatibleError("This checkpoint has no classification head.", "Choose a classifier.")
        return self._run(images).logits

    def embed(self, images: Tensor) -> Tensor:
        """The image as one vector: what the head reads; without a head the normalised class token, the model's own
        pooling where there is none, or the mean of the patches where that is missing too.

        (batch, dim); DINOv2 classifiers read class token and mean patch side by side, hence (batch, 2 dim) there.
        """
        with captured(self.heads, "input") as read:
            output = self._run(images)
        return self._embedding(output, read, images)

    def last_tokens(self, images: Tensor) -> tuple[Tensor, int]:
        """The tokens (batch, tokens, dim) after the last norm, and how many of them come before the patches."""
        tokens = self._run(images, self.model.base_model).last_hidden_state
        rows, columns = self._grid(images)
        return tokens, tokens.shape[1] - rows * columns

    def trace(self, images: Tensor) -> Trace:
        """The same forward pass with explicit attention, keeping the tokens and attention of every layer."""
        with eager_attention(self.model), captured(self.heads, "input") as read:
            output = self._run(images, output_attentions=True, output_hidden_states=True)
        attention = tuple(output.attentions or ())
        grid = self._grid(images)
        tokens = output.hidden_states[1:]  # the first is the input of the first layer
        prefix_tokens = tokens[-1].shape[1] - grid[0] * grid[1]
        trace = Trace(
            attention=attention,
            tokens=tuple(tokens),
            embedding=self._embedding(output, read, images),
            logits=output.logits if self.heads else None,
            grid=grid,
            prefix_tokens=prefix_tokens,
            pooling=self._reading(images, prefix_tokens),
        )
        return check_trace(trace, self.depth)

    def positions(self) -> tuple[Tensor | None, tuple[int, int], int]:
        """The positional table (tokens, dim), or None; its grid; the tokens before it (registers have no position)."""
        rows, columns = (
            side // patch for side, patch in zip(_pair(self.config.image_size), self.patch_size, strict=True)
        )
        table = getattr(self.model.base_model.embeddings, "position_embeddings", None)
        if not isinstance(table, Tensor):
            return None, (rows, columns), 0
        return table[0].detach(), (rows, columns), table.shape[1] - rows * columns

    def _embedding(self, output: Any, read_by_heads: list[Tensor], images: Tensor) -> Tensor:
        """(batch, dim): the mean of what the heads read (a distilled DeiT has two), else as `embed` says."""
        if read_by_heads:
            return torch.stack(read_by_heads).mean(dim=0) if len(read_by_heads) > 1 else read_by_heads[0]
        rows, columns = self._grid(images)
        tokens = output.last_hidden_state
        if tokens.shape[1] > rows * columns:
            return tokens[:, 0]
        pooled = getattr(output, "pooler_output", None)
        return tokens.mean(dim=1) if pooled is None else pooled

    def _reading(self, images: Tensor, prefix_tokens: int) -> Reading:
        """What the embedding is made of: asked once for each image size, or of these `images` if it depends on them."""
        size = tuple(images.shape[1:])
        if size not in self.fixed:
            generator = torch_generator(stream_seed("images of a reading"))
            shares, _ = self._shares(torch.randn(2, *size, generator=generator).to(images))
            self.fixed[size] = find_reading(shares, prefix_tokens, self._prefix_names())
        if (fixed := self.fixed[size]) is not None:
            return fixed
        shares, tokens = self._shares(images)
        weights = pooling_weights(getattr(self.model.base_model, "head", None), tokens)
        return by_gradient(shares) if weights is None else attention_pooling(weights)

    def _shares(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """How much each final token moves the embedding, (batch, tokens), and those tokens (batch, tokens, dim)."""
        seen: list[Tensor] = []
        base = self.model.base_model
        blocks = next((each for each in base.modules() if _is_list(each, self.depth)), ())

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            seen.append(output.last_hidden_state)

        handle = base.register_forward_hook(keep)
        try:
            # Eager, because not every attention kernel knows its own gradient.
            with (
                asking(),
                eager_attention(self.model),
                cut_after(blocks),
                captured(self.heads, "input") as read,
            ):
                images = images.clone()  # made outside of inference mode, so that it may be part of a graph
                output = self._run(images)
                return gradient_shares(self._embedding(output, read, images), seen[0]), seen[0].detach()
        finally:
            handle.remove()

    def _prefix_names(self) -> list[str]:
        embeddings = self.model.base_model.embeddings
        names = ["class token"] if hasattr(embeddings, "cls_token") else []
        return names + (["distillation token"] if hasattr(embeddings, "distillation_token") else [])

    def _run(self, images: Tensor, model: Any = None, **options: Any) -> Any:
        if self.interpolates and tuple(images.shape[-2:]) != _pair(self.config.image_size):
            options["interpolate_pos_encoding"] = True
        try:
            return (model or self.model)(pixel_values=images, **options)
        except ValueError as error:  # how transformers reports a wrong image size or channel count
            raise ShapeError(f"The model refuses images of shape {tuple(images.shape)}: {error}") from error

    def _grid(self, images: Tensor) -> tuple[int, int]:
        return images.shape[-2] // self.patch_size[0], images.shape[-1] // self.patch_size[1]


def load_transformers(location: str | Path, *, attn_implementation: str | None = None) -> Network:
    """A model from a local `transformers` folder, or from the Hub (downloaded if it is not in the local cache).

    Code from a repository is never run; weights are safetensors, or a state dict read without unpickling objects.

    Args:
        location: an existing folder, or a repository as OWNER/NAME.
        attn_implementation: `eager`, `sdpa` or `flex_attention`, for all but `trace`; by default the library's choice.

    Raises:
        OfflineError: the Hub was needed and did not answer.
        MissingWeightsError: weights are missing, damaged, or do not fit the configuration.
        IncompatibleError: not a vision transformer whose maps can be laid over the image.
    """
    folder = Path(location)
    if not folder.is_dir():
        if isinstance(location, Path):
            raise MissingWeightsError(f"There is no folder {location}.")
        folder = cached_model(location) or fetch_model(location)
    config = read_config(folder)
    model = _build(folder, config, attn_implementation)
    network = TransformersViT(model.eval())
    classes: tuple[str, ...] = ()
    if network.heads:
        labels = model.config.id2label
        classes = tuple(str(labels[index]) for index in sorted(labels))
    return Network(module=network, preprocessing=read_preprocessing(folder, config), classes=classes)


def _build(folder: Path, config: dict[str, Any], attn_implementation: str | None) -> Any:
    """The model with every weight from its file; anything missing or left over is an error."""
    from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

    kind = config.get("model_type")
    if kind in _REFUSED:
        raise IncompatibleError(f"Attention of {kind} models cannot be laid over the image.", "Choose a plain ViT.")
    options: dict[str, Any] = {"attn_implementation": attn_implementation} if attn_implementation else {}
    with _explained(folder):
        settings = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if not all(hasattr(settings, name) for name in ("patch_size", "image_size", "num_hidden_layers")):
            raise IncompatibleError(f"{kind} is not a vision transformer with patches.", "Choose a plain ViT.")
        loader = AutoModelForImageClassification if is_classifier(config) else AutoModel
        if loader is AutoModel and "add_pooling_layer" in inspect.signature(_class_of(settings)).parameters:
            # DINO checkpoints carry no pooler; it would be invented, and nothing here reads it.
            options["add_pooling_layer"] = False
    model = load_pretrained(folder, loader, **options)
    if attn_implementation is None and not model._can_set_attn_implementation():
        # Data2Vec's attention is chosen when it is built; any other than eager hands over no weights afterwards.
        model = load_pretrained(folder, loader, **options, attn_implementation="eager")
    return model


def load_pretrained(folder: Path, loader: Any, **options: Any) -> Any:
    """What `loader.from_pretrained` makes of a local folder, in fp32, with every weight from its file.

    Raises:
        MissingWeightsError: weights are missing, damaged, hold more than tensors, or do not fit the configuration.
    """
    files = weight_files(folder)
    if not files:
        raise MissingWeightsError(
            f"{folder.name} holds no complete weights.", "Expected model.safetensors beside config.json."
        )
    options |= {
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": files[0].suffix == ".safetensors",
        "weights_only": True,
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


def _class_of(settings: Any) -> Any:
    """The headless model class that `AutoModel` would choose."""
    from transformers import MODEL_MAPPING

    chosen = MODEL_MAPPING[type(settings)]
    return chosen[0] if isinstance(chosen, tuple | list) else chosen


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


def _is_list(module: nn.Module, length: int) -> bool:
    return isinstance(module, nn.ModuleList) and len(module) == length


def _pair(value: Any) -> tuple[int, int]:
    """Configurations give a side or (height, width)."""
    height, width = value if isinstance(value, list | tuple) else (value, value)
    return int(height), int(width)
