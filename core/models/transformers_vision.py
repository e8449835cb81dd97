"""Vision models of `transformers` behind our contract, by what a trial pass of a tiny picture shows, not by their name.

A plain vision transformer (ViT, DeiT, DINO, MAE, CLIP's and SigLIP's tower …) has one token for each patch, in the
order of the patches, and one attention map over all of them per layer. Any other model (ResNet, ConvNeXt, Swin, PVT …)
is asked for classes and embeddings, and for its last feature maps if it has some.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import IncompatibleError, ShapeError
from core.models.capture import can_fuse, captured, eager_attention, fused_attention, head_means
from core.models.layers import first_tensor
from core.models.reading import (
    asking,
    attention_pooling,
    by_gradient,
    cut_after,
    find_reading,
    gradient_shares,
    pooling_weights,
)
from core.models.trace import Reading, Trace, check_trace
from core.models.untraceable import Untraceable
from core.seeding import stream_seed, torch_generator

_CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")
_DISTILLATION_TOKENS = ("distillation_token", "dist_token")
_POSITIONS = re.compile(r"(^|\.)(position_embeddings?|pos_embed(dings?)?|position_embedding\.weight)$")


class TransformersModel(nn.Module):
    """What all `transformers` vision models can do: with a head they classify, without one they only embed."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.config = model.config
        settings = getattr(model.config, "vision_config", model.config)
        self.image_channels = int(getattr(settings, "num_channels", 3))
        self.classifies = "ForImageClassification" in type(model).__name__
        # In a tuple, a module stays out of this module's own children and state dict.
        self.tower = (_tower(model, self.classifies),)
        self.heads = _find_heads(model, self.tower[0]) if self.classifies else ()
        self.patch_size: tuple[int, int] | None = None
        self.lacks_attention = "it has no attention layers"  # as the end of a sentence
        parameters = inspect.signature(model.forward).parameters
        self.interpolates = "interpolate_pos_encoding" in parameters
        self.shuffles = "noise" in parameters
        if self.shuffles:  # masked autoencoders hide most patches and shuffle the rest, unless they are told not to
            self.config.mask_ratio = 0.0
        side = getattr(settings, "image_size", None)
        self.image_size = pair(side) if isinstance(side, int | list | tuple) else None

    def forward(self, images: Tensor) -> Tensor:
        """`images`: (batch, channels, height, width), normalised → logits (batch, classes).

        Raises:
            IncompatibleError: the checkpoint has no classification head.
        """
        if not self.classifies:
            raise IncompatibleError("This checkpoint has no classification head.", "Choose a classifier.")
        return self._run(images).logits

    def embed(self, images: Tensor) -> Tensor:
        """The image as one vector: what the head reads; without a head the model's own pooling, or, where it has none,
        the normalised class token, or else the mean of the patches or of the last maps.

        (batch, dim); DINOv2 classifiers read class token and mean patch side by side, hence (batch, 2 dim) there.
        """
        with captured(self.heads, "input") as read:
            output = self._run(images)
        return self._embedding(output, read)

    def _embedding(self, output: Any, read_by_heads: Sequence[Tensor]) -> Tensor:
        """(batch, dim): the mean of what the heads read (a distilled DeiT has two), else as `embed` says."""
        read = [each for each in read_by_heads if each.ndim == 2]
        if read:
            return torch.stack(read).mean(dim=0) if len(read) > 1 else read[0]
        if isinstance(projected := getattr(output, "image_embeds", None), Tensor):
            return projected
        pooled = getattr(output, "pooler_output", None)
        # A dense layer behind the first token is BERT's: trained by few, and in the files of fewer.
        if isinstance(pooled, Tensor) and not hasattr(getattr(self.tower[0], "pooler", None), "dense"):
            return pooled.flatten(1)
        tokens = getattr(output, "last_hidden_state", None)
        if not isinstance(tokens, Tensor):
            raise IncompatibleError("The model gives neither a pooled vector nor tokens.", "Choose another model.")
        if tokens.ndim == 4:
            return tokens.mean(dim=(2, 3))
        # BEiT and Data2Vec have a class token that nothing was trained to read if they pool by mean.
        unread = getattr(self.config, "use_mean_pooling", False)
        if self._prefix_names()[:1] == ["class token"]:
            return tokens[:, 1:].mean(dim=1) if unread else tokens[:, 0]
        return tokens.mean(dim=1)

    def _prefix_names(self) -> list[str]:
        # Pooling heads have tokens of their own, which are none of the sequence.
        inside = [(name, each) for name, each in self.tower[0].named_parameters() if not name.startswith("head.")]
        names = {name.rpartition(".")[2] for name, _ in inside}
        tokens = [each for name, each in inside if name.rpartition(".")[2] in _CLASS_TOKENS]
        count = tokens[0].shape[-2] if tokens and tokens[0].ndim > 1 else 1
        found = ["class token"] if tokens else []
        found += [f"class token {number}" for number in range(2, count + 1)]
        return found + (["distillation token"] if names & set(_DISTILLATION_TOKENS) else [])

    def _run(self, images: Tensor, model: Any = None, **options: Any) -> Any:
        if images.shape[1] != self.image_channels:
            raise ShapeError(
                f"The model takes pictures of {self.image_channels} channels, got shape {tuple(images.shape)}.",
                "Use the preprocessing that comes with it.",
            )
        if self.interpolates and tuple(images.shape[-2:]) != self.image_size:
            options["interpolate_pos_encoding"] = True
        if self.shuffles and self.patch_size:
            rows, columns = (side // patch for side, patch in zip(images.shape[-2:], self.patch_size, strict=True))
            order = torch.linspace(0, 1, rows * columns, device=images.device)
            options["noise"] = order.expand(len(images), -1)
        try:
            with _no_inference_mode():
                return (model or self.model)(pixel_values=images, **options)
        except ValueError as error:  # how transformers reports a wrong image size or channel count
            raise ShapeError(f"The model refuses images of shape {tuple(images.shape)}: {error}") from error


class TransformersVision(Untraceable, TransformersModel):
    """A model of any build, which may have feature maps."""

    def trace_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The last feature maps (batch, channels, height, width) and the logits computed from them.

        Raises:
            IncompatibleError: the network has no such maps, or no head.
        """
        seen: list[Any] = []
        handle = self.tower[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
        try:
            logits = self(images)
        finally:
            handle.remove()
        maps = getattr(seen[-1], "last_hidden_state", None) if seen else None
        if not isinstance(maps, Tensor) or maps.ndim != 4:
            raise IncompatibleError(
                "The last stage gives no maps of shape (batch, channels, height, width).",
                "Choose a convolutional network.",
            )
        return maps, logits


class TransformersViT(TransformersModel):
    """A plain vision transformer: a token for each patch and a map over all of them in every layer."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        settings = getattr(model.config, "vision_config", model.config)
        plain = all(hasattr(settings, name) for name in ("patch_size", "num_hidden_layers"))
        # Swin and its kin: stages of several blocks each, which hand over one map per stage.
        if not plain or not self.image_size or hasattr(settings, "depths"):
            raise IncompatibleError(f"{type(model).__name__} is no vision transformer with patches.")
        self.depth = int(settings.num_hidden_layers)
        self.patch_size = pair(settings.patch_size)
        self.trial_size: tuple[int, int] | None = None  # of the smallest picture that it takes, as far as was tried
        self.reads = ""  # what its head reads, in words, as far as was tried
        self.fixed: dict[tuple[int, ...], Reading | None] = {}  # what the head reads, by the size of the images

    @property
    def has_class_token(self) -> bool:
        """Whether the first token is one that stands for the whole image."""
        return self._prefix_names()[:1] == ["class token"]

    @property
    def num_heads(self) -> int:
        settings = getattr(self.model.config, "vision_config", self.model.config)
        return int(settings.num_attention_heads)

    @property
    def input_step(self) -> int:
        """Sides of other inputs are multiples of it; 0 where transformers does not interpolate the positions."""
        # DINOv2 does so without being told.
        interpolates = any(hasattr(part, "interpolate_pos_encoding") for part in self.tower[0].modules())
        if not interpolates or self.patch_size is None or self.patch_size[0] != self.patch_size[1]:
            return 0
        return self.patch_size[0]

    def at_input_size(self, size: int) -> TransformersViT:
        """Itself: positions are interpolated by every pass for the size of the images."""
        return self

    def last_tokens(self, images: Tensor) -> tuple[Tensor, int]:
        """The tokens (batch, tokens, dim) after the last norm, and how many of them come before the patches."""
        tower = self.tower[0]
        norm = getattr(tower, "post_layernorm", None) or getattr(getattr(tower, "pooler", None), "layernorm", None)
        with captured([norm] if norm is not None else [], "input") as read:
            tokens = self._run(images, tower).last_hidden_state
        rows, columns = self._grid(images)
        # CLIP norms its class token alone, BEiT the mean of its patches; token by token, the same weights serve all.
        if norm is not None and not any(each.ndim == 3 for each in read):
            tokens = norm(tokens)
        return tokens, tokens.shape[1] - rows * columns

    def trace(self, images: Tensor) -> Trace:
        """The same forward pass with explicit attention, keeping the tokens and attention of every layer."""
        with eager_attention(self.model), captured(self.heads, "input") as read:
            output = self._run(images, output_attentions=True, output_hidden_states=True)
        attention = tuple(getattr(output, "attentions", None) or ())
        grid = self._grid(images)
        tokens = (getattr(output, "hidden_states", None) or ())[1:]  # the first is the input of the first layer
        if not tokens or tokens[-1].ndim != 3:
            raise IncompatibleError("It has no attention layers over the patches of an image.")
        prefix_tokens = tokens[-1].shape[1] - grid[0] * grid[1]
        check_trace(
            Trace(attention=attention, tokens=tuple(tokens), embedding=tokens[-1], logits=None, grid=grid,
                  prefix_tokens=prefix_tokens),
            self.depth,
        )  # fmt: skip
        return Trace(
            attention=attention,
            tokens=tuple(tokens),
            embedding=self._embedding(output, read),
            logits=output.logits if self.classifies else None,
            grid=grid,
            prefix_tokens=prefix_tokens,
            pooling=self._reading(images, prefix_tokens),
        )

    def trace_mean(self, images: Tensor) -> Trace:
        """As `trace`, with the mean of the heads for attention, (batch, 1, tokens, tokens), and no tokens."""
        if not can_fuse(self.model):
            return self.trace(images)
        with (
            torch.no_grad(),
            fused_attention(self.model),
            head_means() as means,
            captured(self.heads, "input") as read,
        ):
            output = self._run(images)
        if len(means) != self.depth:  # an attention of its own, or a pooling head that attends too
            return self.trace(images)
        grid = self._grid(images)
        prefix_tokens = means[0].shape[-1] - grid[0] * grid[1]
        trace = Trace(
            attention=tuple(means),
            tokens=(),
            embedding=self._embedding(output, read),
            logits=output.logits if self.classifies else None,
            grid=grid,
            prefix_tokens=prefix_tokens,
            pooling=self._reading(images, prefix_tokens),
        )
        return check_trace(trace, self.depth)

    def positions(self) -> tuple[Tensor | None, tuple[int, int], int]:
        """The positional table (tokens, dim), or None; its grid; the tokens before it (registers have no position)."""
        assert self.image_size is not None
        assert self.patch_size is not None
        rows, columns = (side // patch for side, patch in zip(self.image_size, self.patch_size, strict=True))
        for name, parameter in self.tower[0].named_parameters():
            table = parameter[0] if parameter.ndim == 3 and len(parameter) == 1 else parameter
            if _POSITIONS.search(name) and table.ndim == 2 and len(table) >= rows * columns:
                return table.detach(), (rows, columns), len(table) - rows * columns
        return None, (rows, columns), 0

    def first_tokens(self, images: Tensor) -> Tensor:
        """The tokens (batch, tokens, dim) that enter the first block."""
        seen: list[Tensor] = []

        def stop(module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
            seen.append(first_tensor(inputs) if inputs else options["hidden_states"])
            raise _EnoughError

        handle = self._blocks()[0].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self._run(images)
        except _EnoughError:
            pass
        finally:
            handle.remove()
        return seen[0]

    def _blocks(self) -> Sequence[nn.Module]:
        found = next((each for each in self.tower[0].modules() if _is_list(each, self.depth)), None)
        if found is None:
            raise IncompatibleError(f"It has no list of {self.depth} blocks.")
        return found

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
        weights = pooling_weights(getattr(self.tower[0], "head", None), tokens)
        return by_gradient(shares) if weights is None else attention_pooling(weights)

    def _shares(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """How much each final token moves the embedding, (batch, tokens), and those tokens (batch, tokens, dim)."""
        seen: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            seen.append(output.last_hidden_state)

        handle = self.tower[0].register_forward_hook(keep)
        try:
            # Eager, because not every attention kernel knows its own gradient.
            with (
                asking(),
                eager_attention(self.model),
                cut_after(self._blocks()),
                captured(self.heads, "input") as read,
            ):
                images = images.clone()  # made outside of inference mode, so that it may be part of a graph
                output = self._run(images)
                return gradient_shares(self._embedding(output, read), seen[0]), seen[0].detach()
        finally:
            handle.remove()

    def _grid(self, images: Tensor) -> tuple[int, int]:
        assert self.patch_size is not None
        return images.shape[-2] // self.patch_size[0], images.shape[-1] // self.patch_size[1]


class _EnoughError(Exception):
    """Ends a forward pass of which no more is needed."""


@contextmanager
def _no_inference_mode() -> Iterator[None]:
    """Passes leave no inference tensors behind: BEiT and Data2Vec keep tables that a later gradient needs."""
    inside = torch.is_inference_mode_enabled()
    with torch.inference_mode(False) if inside else nullcontext(), torch.no_grad() if inside else nullcontext():
        yield


def _tower(model: Any, classifies: bool) -> Any:
    """The part of a model that makes tokens or maps of images, without its head or projection."""
    if classifies and model.base_model is not model:
        return model.base_model
    return getattr(model, "vision_model", model)


def _find_heads(model: nn.Module, tower: nn.Module) -> tuple[nn.Linear, ...]:
    """The linear layers outside of the tower that give the classes."""
    inside = {id(part) for part in tower.modules()}
    if tower is model:
        return tuple([each for each in model.modules() if isinstance(each, nn.Linear)][-1:])
    outside = [each for each in model.modules() if isinstance(each, nn.Linear) and id(each) not in inside]
    return tuple(each for each in outside if each.out_features == outside[-1].out_features)


def _is_list(module: nn.Module, length: int) -> bool:
    return isinstance(module, nn.ModuleList) and len(module) == length


def pair(value: Any) -> tuple[int, int]:
    """Configurations give a side or (height, width)."""
    height, width = value if isinstance(value, list | tuple) else (value, value)
    return int(height), int(width)
