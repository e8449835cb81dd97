"""The operators against the sums of their definitions, and against each other.

python -m benchmarks.operators [--side 32] [--channels 8] [--repeats 7]

The direct sums are those of the tests (`tests/models/direct_operators.py`): loops over pairs of positions, in double
precision. A loop is timed once, a fast path `--repeats` times; ratios are of the median.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.report import machine, parse, write
from core.models.operators import (
    Mixed,
    attention_modulated_convolution,
    convolution_modulated_attention,
    depthwise_convolution,
    post_normalisation,
    pre_normalisation,
    self_attention,
)
from tests.models import direct_operators as direct


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives, and the seconds of one call."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def pairs(side: int, channels: int, kernel_size: int) -> dict[str, tuple[Callable[[], Mixed], Callable[[], Any]]]:
    """Fast and direct form of each operator on the same map."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, side, side, generator=generator)
    w = torch.randn(channels, kernel_size, kernel_size, generator=generator)
    shared = w[0]
    heat: dict[str, Any] = {"temperature": channels**0.5}
    image, kernel, one = x[0].double().numpy(), w.double().numpy(), w[0].double().numpy()
    zero: dict[str, Any] = {"padding": "zero"}
    return {
        "convolution": (
            lambda: depthwise_convolution(x, w),
            lambda: direct.depthwise_convolution(image, kernel, **zero),
        ),
        "attention": (lambda: self_attention(x, **heat), lambda: direct.self_attention(image, **heat)),
        "post": (
            lambda: post_normalisation(x, shared, **heat),
            lambda: direct.post_normalisation(image, one, **heat, **zero),
        ),
        "pre": (
            lambda: pre_normalisation(x, shared, **heat),
            lambda: direct.pre_normalisation(image, one, **heat, **zero, outside="zero"),
        ),
        "attention_modulated_convolution": (
            lambda: attention_modulated_convolution(x, w, **heat),
            lambda: direct.attention_modulated_convolution(image, kernel, **heat, **zero, window="renormalised"),
        ),
        "convolution_modulated_attention": (
            lambda: convolution_modulated_attention(x, w),
            lambda: direct.convolution_modulated_attention(
                image, kernel, image, **zero, normalisation="none", axis="space"
            ),
        ),
    }


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/operators.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--kernel-size", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parse(parser, words, side=6, channels=2, repeats=1)
    where, rows = machine(), {}
    for name, (fast, slow) in pairs(arguments.side, arguments.channels, arguments.kernel_size).items():
        fast()
        seconds = [timed(fast)[1] for _ in range(arguments.repeats)]
        expected, direct_seconds = timed(slow)
        expected = expected[0] if isinstance(expected, tuple) else expected
        rows[name] = {
            "fast_ms": 1e3 * statistics.median(seconds),
            "direct_ms": 1e3 * direct_seconds,
            "ratio": direct_seconds / statistics.median(seconds),
            "largest_difference": float(np.abs(fast().output[0].numpy() - expected).max()),
        }
        print(name, rows[name], flush=True)
    write("operators", {**vars(arguments), "operators": rows, "machine": where}, quick=arguments.quick)


if __name__ == "__main__":
    main()
