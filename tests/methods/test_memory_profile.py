"""Bytes that can be counted by hand."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.methods.precision.memory_profile import MIB, memory_profile, parameter_bytes

CPU = torch.device("cpu")


class Branch(nn.Module):
    """Keeps what it computed first alive while it computes twice as much, then adds."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Linear(64, 64, bias=False)
        self.wide = nn.Linear(64, 128, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        first = self.narrow(images)
        return first + self.wide(images)[:, :64]


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_live_bytes_by_hand(dtype: torch.dtype, size: int) -> None:
    module, images = Branch().to(dtype).eval(), torch.ones(1024, 64, dtype=dtype)
    profile = memory_profile(module, lambda: module(images), CPU)
    unit = 1024 * 64 * size / MIB
    assert profile.modules == ("narrow", "wide", "")
    # narrow; narrow and wide; both and the sum, of which only the sum stays.
    np.testing.assert_allclose(profile.peak_mib, [unit, 3 * unit, 4 * unit])
    assert profile.modules[profile.highest] == ""
    assert profile.parameters_mib == pytest.approx(3 * 64 * 64 * size / MIB)
    assert profile.total_mib == pytest.approx(4 * unit + profile.parameters_mib)


def test_parameter_bytes_halve_under_half_and_shared_ones_count_once() -> None:
    module = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    # The counter of batches is an int64 of 8 bytes.
    assert parameter_bytes(module) - 8 == 2 * (parameter_bytes(module.half()) - 8)
    tied = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    tied[1].weight = tied[0].weight
    assert parameter_bytes(tied) == 8 * 8 * 4


def test_nothing_is_left_on_the_module_also_after_an_error() -> None:
    module = Branch()

    def fail() -> None:
        module(torch.ones(1, 64))
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        memory_profile(module, fail, CPU)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_passes_of_other_threads_are_not_counted() -> None:
    module, images = Branch().eval(), torch.ones(8, 64)

    def work() -> None:
        other = threading.Thread(target=lambda: module(torch.ones(4096, 64)))
        other.start()
        other.join()
        module(images)

    alone = memory_profile(module, lambda: module(images), CPU)
    crowded = memory_profile(module, work, CPU)
    assert crowded.modules == alone.modules
    np.testing.assert_allclose(crowded.peak_mib, alone.peak_mib)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_is_asked_for_its_allocators_figures() -> None:
    gpu = torch.device("cuda")
    module, images = Branch().to(gpu).eval(), torch.ones(65536, 64, device=gpu)
    profile = memory_profile(module, lambda: module(images), gpu)
    assert profile.peak_mib.max() >= 4 * 16
    assert profile.reserved_mib is not None
    assert profile.reserved_mib >= profile.peak_mib.max()
