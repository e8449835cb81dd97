"""Denoising as an objective: what a step is given, and that a network which knows the prompts classifies by them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.training.batches import Batch
from core.training.denoising import ByDenoising, Denoising

SHAPE = (2, 4, 4)
PROMPTS = torch.arange(3 * 2 * 5).reshape(3, 2, 5) + 1
EMPTY = torch.zeros(5)


def batch(count: int) -> Batch:
    return Batch(images=torch.rand(count, 3, 8, 8), targets=torch.arange(count) % 3, count=count)


class Recorder:
    """A network that keeps what it is given and is off by a constant."""

    def __init__(self) -> None:
        self.given: tuple[Tensor, ...] = ()
        self.weight = torch.zeros((), requires_grad=True)

    def __call__(self, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.given = given
        images, noise = given[:2]
        return noise + 0.5, noise, images[:1] + self.weight


def test_a_step_draws_prompts_that_are_true_of_the_images() -> None:
    network, images = Recorder(), torch.rand(200, 3, 8, 8)
    objective = Denoising(PROMPTS, EMPTY, SHAPE, steps=1000, drop_share=0.2)
    losses, hits = objective.losses(network, images, batch(200), seed=3)
    _, noise, steps, ids = network.given
    assert hits is None
    torch.testing.assert_close(losses, torch.full((200,), 0.25))
    assert noise.shape == (200, *SHAPE)
    empty = (ids == 0).all(dim=1)
    assert 0.1 < empty.float().mean() < 0.3
    for place in (~empty).nonzero()[:, 0].tolist():
        assert (ids[place] == PROMPTS[place % 3]).all(dim=1).any()
    # One from each part of the schedule.
    assert sorted((steps * 200 // 1000).tolist()) == list(range(200))


def test_the_decoder_learns_without_being_part_of_the_loss() -> None:
    network = Recorder()
    objective = Denoising(PROMPTS, EMPTY, SHAPE, steps=1000)
    losses, _ = objective.losses(network, torch.rand(6, 3, 8, 8), batch(6), seed=0)
    torch.testing.assert_close(losses, torch.full((6,), 0.25))
    losses.mean().backward()
    assert network.weight.grad is not None


def test_a_place_in_the_training_always_draws_the_same() -> None:
    objective = Denoising(PROMPTS, EMPTY, SHAPE, steps=1000)
    one, same, other = Recorder(), Recorder(), Recorder()
    for network, seed in ((one, 5), (same, 5), (other, 6)):
        objective.losses(network, torch.zeros(8, 3, 8, 8), batch(8), seed)
    assert all(torch.equal(a, b) for a, b in zip(one.given, same.given, strict=True))
    assert not torch.equal(one.given[1], other.given[1])


class Identity(nn.Module):
    """A text encoder that gives a prompt's first id back."""

    def forward(self, ids: Tensor) -> tuple[Tensor]:
        return (ids[:, :1, None].float(),)


class Knows(nn.Module):
    """A model whose latents are the class, and whose network predicts rightly under the prompt of that class alone."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.alphas_cumprod = torch.linspace(0.999, 0.001, 1000)
        self.text_encoder = Identity()

    def encode(self, images: Tensor) -> Tensor:
        return images[:, :2, :4, :4]

    def unet(self, noised: Tensor, steps: Tensor, encoder_hidden_states: Tensor) -> Any:
        # Prompt k says that every latent is k.
        clean = ((encoder_hidden_states[:, 0] - 1) // 10)[:, :, None, None].expand_as(noised)
        kept = self.alphas_cumprod[steps][:, None, None, None]
        noise = (noised - kept.sqrt() * clean) / (1 - kept).sqrt()
        return SimpleNamespace(sample=kept.sqrt() * noise - (1 - kept).sqrt() * clean)


def test_the_prompt_that_denoises_best_wins() -> None:
    images = torch.arange(3).float()[:, None, None, None].expand(3, 3, 8, 8)
    logits = ByDenoising(Knows(), PROMPTS[:, 0], SHAPE)(images)
    assert logits.shape == (3, 3)
    assert logits.argmax(dim=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(logits.diagonal().numpy(), 0, atol=1e-3)
