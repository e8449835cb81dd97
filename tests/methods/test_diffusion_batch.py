"""The batch that fits: from timings on a CPU, from memory on a GPU; measured once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.methods.diffusion.diffusion_batch import MOST_ON_GPU, choose_size, filling_size, fitting_batch

LATENT = torch.zeros(4, 2, 2)


class Counting:
    """A denoiser that remembers how many latents it was given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, latents: Tensor, steps: Tensor, prompts: Tensor) -> Tensor:
        assert len(latents) == len(steps) == len(prompts)
        self.sizes.append(len(latents))
        return latents


def test_the_smallest_that_is_nearly_as_fast() -> None:
    assert choose_size({1: 1.0, 4: 2.0, 8: 3.0, 16: 5.9, 32: 11.8}) == 8
    assert choose_size({1: 1.0, 4: 2.0, 8: 3.0, 16: 5.0, 32: 9.9}) == 16
    assert choose_size({1: 1.0, 4: 4.0, 8: 7.9, 16: 15.7}) == 1
    assert choose_size({1: 3.0}) == 1


@pytest.mark.parametrize(("free", "expected"), [(1000, 64), (1300, 64), (2600, 128), (10, 1), (10**9, MOST_ON_GPU)])
def test_four_fifths_of_the_free_memory_are_filled(free: int, expected: int) -> None:
    # A latent costs 10 bytes, a pass 30 besides: 64 need 670.
    assert filling_size(free, {2: 50, 6: 90}) == expected


def test_it_is_measured_once_and_never_more_than_there_are() -> None:
    denoise = Counting()
    size = fitting_batch(denoise, LATENT, most=1000, key="test_it_is_measured_once")
    asked = list(denoise.sizes)
    assert size in asked
    assert fitting_batch(denoise, LATENT, most=1000, key="test_it_is_measured_once") == size
    assert fitting_batch(denoise, LATENT, most=1, key="test_it_is_measured_once") == 1
    assert denoise.sizes == asked
    fitting_batch(denoise, LATENT, most=1000)
    assert len(denoise.sizes) > len(asked), "without a key nothing is kept"


def test_slow_networks_are_not_tried_with_large_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(float(each) for each in range(1000))
    # Every pass takes a second in this clock, and then five.
    monkeypatch.setattr("core.timing.time.perf_counter", lambda: next(moments) * 5)
    denoise = Counting()
    assert fitting_batch(denoise, LATENT, most=64) == 1
    assert set(denoise.sizes) == {1}
