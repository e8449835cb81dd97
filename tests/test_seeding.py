"""Seeds give the numbers that PyTorch's own functions give."""

from __future__ import annotations

import torch

from core.seeding import seed_device


def test_a_seeded_device_draws_what_pytorch_would() -> None:
    with torch.random.fork_rng(devices=[]):
        for seed in (0, 7, 2**62 + 5):
            torch.manual_seed(seed)
            expected = torch.rand(40)
            torch.rand(3)
            seed_device(seed, torch.device("cpu"))
            assert torch.equal(torch.rand(40), expected)
