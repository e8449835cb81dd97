"""What a model is made of: every parameter of the real module, by place and by role, and the facts of its design.

Roles are read from module classes and from the names that transformers, timm, torchvision, open_clip and this
project use; what none of them explains is "other", so that the sum over roles is always the whole model.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from torch import nn

from core.methods.anatomy.parts import Anatomy, Fact, Part, Role, Tower
from core.models.vit import Mlp

_ATTENTION_PARTS: dict[Role, frozenset[str]] = {
    "query": frozenset({"query", "q_proj", "q", "to_q", "wq"}),
    "key": frozenset({"key", "k_proj", "k", "to_k", "wk"}),
    "value": frozenset({"value", "v_proj", "v", "to_v", "wv"}),
    # Generic words: only inside attention do they mean its output.
    "output projection": frozenset({"o_proj", "out_proj", "proj", "projection", "to_out", "c_proj", "wo", "output"}),
}
_FUSED: dict[str, tuple[Role, ...]] = {
    **dict.fromkeys(("qkv", "in_proj", "to_qkv", "query_key_value", "wqkv", "c_attn"), ("query", "key", "value")),
    **dict.fromkeys(("kv", "to_kv"), ("key", "value")),
}
_HEADS = {"head", "heads", "head_dist", "fc", "classifier", "cls_classifier", "distillation_classifier"}
_TEXT = {"text", "text_model", "text_encoder", "text_projection", "token_embedding"}
# open_clip puts the text tower at the top level, beside `visual`.
_TEXT_BESIDE_VISUAL = {"transformer", "positional_embedding", "ln_final"}
_HEAD_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")


def anatomy(module: nn.Module) -> Anatomy:
    """Every parameter of `module` with its place and role; shared tensors are counted once."""
    rows = tuple(_parts(module))
    return Anatomy(rows=rows, facts=_facts(module, rows))


def text_tensors(module: nn.Module) -> frozenset[str]:
    """Names of the parameters and buffers of `module` that only texts pass through; empty where there is no text tower.

    open_clip's causal mask, a buffer beside its towers, is one of them.
    """
    towers = [name.removesuffix("visual") for name, _ in module.named_modules() if name.split(".")[-1] == "visual"]
    names = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    masks = {f"{prefix}attn_mask" for prefix in towers}
    return frozenset(name for name in names if name in masks or _tower(name, towers) == "text")


def describe_architecture(module: nn.Module) -> dict[str, Fact]:
    """The facts of a design, read from the module; a fact that does not apply is left out. Keys of `FACTS`."""
    return _facts(module, tuple(_parts(module)))


def _parts(module: nn.Module) -> Iterator[Part]:
    owners = dict(module.named_modules())
    text_prefixes = [name.removesuffix("visual") for name in owners if name.split(".")[-1] == "visual"]
    # What leads from one stage of blocks to the next is no block.
    stages = {match[1] for name in owners if (match := re.fullmatch(r"(.*\d)\.(?:blocks|layers)\.\d+", name))}
    layers: dict[Tower, dict[str, int]] = {"vision": {}, "text": {}}
    for path, parameter in module.named_parameters():
        place, _, name = path.rpartition(".")
        tower = _tower(path, text_prefixes)
        found = _block(place)
        block = None if found in stages else found
        layer = None if block is None else layers[tower].setdefault(block, len(layers[tower]))
        whole = tuple(parameter.shape)
        for role, rows in _roles(place.split("."), name, owners[place], whole, block is not None):
            shape = whole if rows is None else (len(rows), *whole[1:])
            yield Part(
                path=path if rows is None else f"{path}[{rows.start}:{rows.stop}]",
                part=found or path.split(".")[0],
                layer=layer,
                role="text tower" if tower == "text" else role,
                inner_role=role,
                tower=tower,
                shape=shape,
                parameters=math.prod(shape),
            )


def _tower(path: str, text_prefixes: list[str]) -> Tower:
    if _TEXT & set(path.split(".")):
        return "text"
    for prefix in text_prefixes:
        if path.startswith(prefix) and path.removeprefix(prefix).split(".")[0] in _TEXT_BESIDE_VISUAL:
            return "text"
    return "vision"


def _block(place: str) -> str | None:
    """The path of the block that the module at `place` belongs to: up to the number, and the number within a stage."""
    tokens = place.split(".")
    for index, token in enumerate(tokens):
        if token in _HEADS or token == "stem" or token.startswith("patch_emb"):
            return None
        if token.isdigit() or re.fullmatch(r"encoder_layer_\d+", token):
            end = index + 1
            # A number at the very end names a layer of a small Sequential, not a block of a stage.
            if end + 1 < len(tokens) and tokens[end].isdigit():
                end += 1
            elif end + 1 < len(tokens) and tokens[end] in ("blocks", "layers") and tokens[end + 1].isdigit():
                end += 2
            elif tokens[index - 1] in ("stages", "layers") and tokens[end : end + 1] == ["downsample"]:
                return None  # between two stages of blocks
            return ".".join(tokens[:end])
    return None


def _roles(
    place: list[str], name: str, owner: nn.Module, shape: tuple[int, ...], in_block: bool
) -> list[tuple[Role, range | None]]:
    """The roles that a tensor holds, each with its rows; None means the whole tensor."""
    role = _plain_role(place, name, owner, in_block)
    if role is not None:
        return [(role, None)]
    rows = shape[0] if shape else 0
    for token in reversed([*place, name.removesuffix("_weight")]):
        parts = _FUSED.get(token.lower())
        if parts and rows and rows % len(parts) == 0:
            size = rows // len(parts)
            return [(part, range(i * size, (i + 1) * size)) for i, part in enumerate(parts)]
    return [(_matrix_role(place, name, owner, in_block), None)]


def _plain_role(place: list[str], name: str, owner: nn.Module, in_block: bool) -> Role | None:
    """The roles that a name or class settles on its own."""
    tokens, kind = [*place, name], type(owner).__name__
    if _is_norm(owner):
        return "norm"
    if "LayerScale" in kind or "layer_scale" in name or re.fullmatch(r"gamma(_\d)?", name):
        return "layer scale"
    if name.startswith("lambda"):
        return "lambda"
    if any("pos_embed" in token or "position" in token or "relative_pos" in token for token in tokens):
        return "positional"
    if name.endswith(("_token", "_tokens")) or name == "class_embedding":
        return "other" if name.startswith("mask") else "class token"
    if name.endswith("bias") or name in ("bias_k", "bias_v"):
        return "bias"
    if any(token.startswith("patch_emb") or token == "conv_proj" for token in place) or _cuts_patches(owner):
        return "patch embedding"
    if isinstance(owner, nn.Embedding):
        return "token embedding"
    if not in_block and _HEADS & set(place):
        return "head"
    return None


def _matrix_role(place: list[str], name: str, owner: nn.Module, in_block: bool) -> Role:
    """The role of a weight of attention, an MLP, a convolution or a projection."""
    names = [token.lower() for token in (*place, name.removesuffix("_weight"))]
    attention = next((i for i, token in enumerate(names) if "attn" in token or "attention" in token), None)
    for token in reversed(names):
        for role, words in _ATTENTION_PARTS.items():
            if token in words and (role != "output projection" or attention is not None):
                return role
    if isinstance(owner, nn.modules.conv._ConvNd):
        return "convolution"
    if in_block and attention is None and isinstance(owner, nn.Linear):
        return "MLP"
    if not in_block and (name == "proj" or any(token.endswith("projection") for token in names)):
        return "projection"
    return "other"


def _is_norm(module: nn.Module) -> bool:
    return "Norm" in type(module).__name__ and any(True for _ in module.parameters(recurse=False))


def _cuts_patches(module: nn.Module) -> bool:
    """A convolution on pixels whose windows do not overlap."""
    return (
        isinstance(module, nn.Conv2d)
        and module.in_channels <= 4
        and module.kernel_size == module.stride
        and module.kernel_size[0] > 1
    )


def _facts(module: nn.Module, rows: tuple[Part, ...]) -> dict[str, Fact]:
    vision = [row for row in rows if row.tower == "vision"]
    text = [row for row in rows if row.tower == "text"]
    convolutional = any(row.layer is not None and row.role == "convolution" for row in vision)
    attentive = any(row.layer is not None and row.role == "query" for row in vision)
    towers = [name.removesuffix("visual") for name, _ in module.named_modules() if name.split(".")[-1] == "visual"]
    modules = [(name, part) for name, part in module.named_modules() if name and _tower(name, towers) == "vision"]
    described: dict[str, Fact | None] = {
        "kind": {(True, True): "hybrid", (True, False): "convolutional", (False, True): "transformer"}.get(
            (convolutional, attentive), "other"
        ),
        "parameters": sum(row.parameters for row in rows),
        "depth": _depth(vision),
        "width": _width(vision),
        "heads": _heads(modules),
        "attention": _attention(vision),
        "mlp_width": max((max(row.shape) for row in vision if row.inner_role == "MLP"), default=None),
        "patch_size": _patch_size(module, modules),
        "stem": _stem(modules) if convolutional else None,
        "stem_pooling": _stem_pooling(modules) if convolutional else None,
        "downsampling": _downsampling(modules) if convolutional else None,
        "pooling": _pooling(module, modules, vision),
        "output_dim": _output_dim(vision),
        "norm": _commonest(type(part).__name__ for _, part in modules if _is_norm(part)),
        "activation": _commonest(filter(None, (_activation(part) for _, part in modules))),
    }
    if text:
        others = [(name, part) for name, part in module.named_modules() if name and _tower(name, towers) == "text"]
        described |= {
            "text_depth": _depth(text),
            "text_width": _width(text),
            "text_heads": _heads(others),
            "vocabulary": next((row.shape[0] for row in text if row.inner_role == "token embedding"), None),
        }
    return {key: value for key, value in described.items() if value is not None}


def _depth(rows: list[Part]) -> int | None:
    return len({row.layer for row in rows if row.layer is not None}) or None


def _width(rows: list[Part]) -> int | None:
    """Of the tokens that attention reads, else of the widest feature maps."""
    blocks = [row for row in rows if row.layer is not None]
    queries = [row.shape[1] for row in blocks if row.inner_role == "query" and len(row.shape) == 2]
    return max(queries or [row.shape[0] for row in blocks if row.inner_role == "convolution"], default=None)


def _heads(modules: list[tuple[str, nn.Module]]) -> int | None:
    for name, part in modules:
        for attribute in _HEAD_COUNTS if _block(name) else ():
            count = getattr(part, attribute, None)
            if isinstance(count, int):
                return count
    return None


def _attention(rows: list[Part]) -> str | None:
    if any(row.inner_role == "lambda" for row in rows):
        return "difference of two softmax maps"
    return "softmax" if any(row.inner_role == "query" and row.layer is not None for row in rows) else None


def _patch_size(module: nn.Module, modules: list[tuple[str, nn.Module]]) -> int | None:
    for name, part in modules:
        if isinstance(part, nn.Conv2d) and (_cuts_patches(part) or "patch_emb" in name):
            return part.kernel_size[0]
    # Patches cut without a convolution leave no kernel to read.
    for part in module.modules():
        size = getattr(getattr(part, "config", None), "patch_size", None)
        if isinstance(size, int):
            return size
    return None


def _stem(modules: list[tuple[str, nn.Module]]) -> str | None:
    """The convolutions before the first block, or the first of all where blocks start at once."""
    convolutions = [part for _, part in modules if isinstance(part, nn.Conv2d)]
    stem = [part for part in _before_blocks(modules) if isinstance(part, nn.Conv2d)] or convolutions[:1]
    windows = ", ".join(
        f"{part.kernel_size[0]}×{part.kernel_size[1]}" + (f" stride {part.stride[0]}" if part.stride[0] > 1 else "")
        for part in stem
    )
    return f"{len(stem)} convolution{'s' if len(stem) > 1 else ''} ({windows})" if stem else None


def _stem_pooling(modules: list[tuple[str, nn.Module]]) -> str | None:
    kinds = {nn.MaxPool2d: "max pooling", nn.AvgPool2d: "average pooling"}
    return next((kinds[type(part)] for part in _before_blocks(modules) if type(part) in kinds), None)


def _before_blocks(modules: list[tuple[str, nn.Module]]) -> Iterator[nn.Module]:
    for name, part in modules:
        if _block(name) is not None:
            return
        yield part


def _downsampling(modules: list[tuple[str, nn.Module]]) -> str | None:
    found = set()
    for _, part in ((name, part) for name, part in modules if _block(name)):
        if isinstance(part, nn.AvgPool2d):
            found.add("average pooling before the convolution (anti-aliased strides)")
        elif "BlurPool" in type(part).__name__:
            found.add("blur pooling (anti-aliased strides)")
        elif isinstance(part, nn.MaxPool2d):
            found.add("max pooling")
        elif isinstance(part, nn.Conv2d) and part.stride[0] > 1:
            found.add("strided convolutions")
    return " and ".join(sorted(found)) or None


def _pooling(module: nn.Module, modules: list[tuple[str, nn.Module]], rows: list[Part]) -> str | None:
    """How many positions become one vector."""
    if any(row.inner_role == "query" and row.layer is None for row in rows):
        return "attention pooling"
    for part in module.modules():
        for said in (getattr(getattr(part, "config", None), "pooling", None), getattr(part, "global_pool", None)):
            if said in ("class_token", "token", "mean", "avg"):
                return "class token" if said in ("class_token", "token") else "mean"
    if getattr(module, "reads", "") == "the mean of all patches":
        return "mean"  # whatever class token stands beside them
    if any(row.inner_role == "class token" for row in rows):
        head = next((row.shape[-1] for row in rows if row.inner_role == "head" and len(row.shape) == 2), None)
        width = _width(rows)
        return "class token and mean patch" if width and head == 2 * width else "class token"
    for name, part in modules:
        if isinstance(part, nn.AdaptiveAvgPool2d) and _block(name) is None:
            size = part.output_size if isinstance(part.output_size, tuple) else (part.output_size,) * 2
            return "global average" if size == (1, 1) else f"average to {size[0]}×{size[1]}, then flattened"
        if "AdaptivePool" in type(part).__name__:
            return "global average"
    return None


def _output_dim(rows: list[Part]) -> int | None:
    """Of the head, else of the projection, else of attention pooling, else of the last feature."""
    outside = [row for row in rows if row.layer is None and len(row.shape) == 2]
    for role in ("head", "projection", "output projection"):
        for row in reversed(outside):
            if row.inner_role == role:
                # A bare `proj` parameter is multiplied from the right: (width, output).
                return row.shape[1] if row.path.split(".")[-1] == "proj" else row.shape[0]
    return _width(rows)


def _activation(module: nn.Module) -> str | None:
    if isinstance(module, Mlp):
        return "GELU"  # called as a function there
    name = type(module).__name__.removesuffix("Activation")
    return name if re.search(r"[GRS]e?[iE]?LU|Swish|Mish|Sigmoid|Tanh", name) else None


def _commonest(names: Iterable[str]) -> str | None:
    counts = Counter(names).most_common(1)
    return counts[0][0] if counts else None
