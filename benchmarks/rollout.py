"""Attention rollout of a batch against a hook on every block, image by image, with the same mathematics.

python -m benchmarks.rollout [--batch 8] [--repeats 5]

Both run the same ViT-B/16 (random weights: time does not depend on them) and return the class token's rollout, head
mean, residual, nothing discarded. The loop is the obvious one: a forward hook keeps each block's attention, and the
full matrices are multiplied. Below both lies the bare forward pass with fused attention, which gives no weights at all.
Timings are interleaved, in processor seconds on a CPU; ratios are medians over rounds of the ratio within a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel

from benchmarks.report import machine, parse, write
from core.methods.attention.rollout import rollout_batch
from core.models.capture import fused_attention
from core.models.transformers_vision import TransformersViT


def hook_loop(model: ViTModel, images: Tensor) -> Tensor:
    """The plain way: (batch, rows · columns)."""
    kept: list[Tensor] = []
    hooks = [
        cast(nn.Module, layer.attention).register_forward_hook(lambda _module, _inputs, output: kept.append(output[1]))
        for layer in model.layers
    ]
    maps = []
    try:
        with torch.inference_mode():
            for image in images:
                kept.clear()
                model(image[None])
                tokens = kept[0].shape[-1]
                reached = torch.eye(tokens)
                for weights in kept:
                    mixed = weights[0].mean(dim=0) + torch.eye(tokens)
                    reached = (mixed / mixed.sum(dim=-1, keepdim=True)) @ reached
                maps.append(reached[0, 1:])
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(maps)


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/rollout.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--side", type=int, default=224, help="of the images, in pixels")
    arguments = parse(parser, words, batch=2, repeats=1, layers=2, side=32)
    where = machine()
    torch.manual_seed(0)
    config = ViTConfig(image_size=arguments.side, num_hidden_layers=arguments.layers)
    config._attn_implementation = "eager"
    reference = ViTModel(config, add_pooling_layer=False).eval()
    ours = TransformersViT(reference)
    images = torch.randn(arguments.batch, 3, arguments.side, arguments.side)

    def bare() -> None:
        with torch.inference_mode(), fused_attention(reference):
            reference(images)

    variants: dict[str, Callable[[], object]] = {
        "bare": bare,
        "hook_loop": lambda: hook_loop(reference, images),
        "rollout_batch": lambda: rollout_batch(ours, images),
        "rollout_batch_bf16": lambda: rollout_batch(ours, images, precision="bf16"),
    }
    precisions: dict[str, Literal["fp32", "bf16"]] = {"rollout_batch": "fp32", "rollout_batch_bf16": "bf16"}
    difference = {
        name: float(
            abs(
                torch.as_tensor(rollout_batch(ours, images, precision=precision)).flatten(1)
                - hook_loop(reference, images)
            ).max()
        )
        for name, precision in precisions.items()
    }
    scale = float(hook_loop(reference, images).mean())
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(arguments.repeats):
        for name, work in variants.items():
            began = time.process_time()
            work()
            seconds[name].append(time.process_time() - began)

    def ratio(first: str, second: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[first], seconds[second], strict=True))

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    write(
        "rollout",
        {
            "model": f"ViT-B/16, {arguments.side} px, {arguments.layers} layers, 12 heads",
            "batch": arguments.batch,
            "repeats": arguments.repeats,
            "processor_seconds": seconds,
            "median_seconds": medians,
            "speedup_over_hook_loop": {name: ratio("hook_loop", name) for name in variants},
            "over_bare": {name: ratio(name, "bare") for name in variants},
            "largest_difference": difference,
            "mean_value": scale,
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
