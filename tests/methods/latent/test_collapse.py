"""Collapse in words: every number in a sentence is the one that was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.errors import IncompatibleError, NotFiniteError
from core.methods.latent.collapse import Units, contest_finding, units_finding, units_of
from core.models.checkpoint import ModelCard
from tests.methods.latent.test_rate_distortion import card


def measured(kl: list[float], spread: list[float], **changes: Any) -> ModelCard:
    """A card of a VAE with so many latents."""
    objective = {"warmup": "none", "warmup_epochs": 10.0, "free_bits": 0.0, **changes.pop("objective", {})}
    found = card(sum(kl), 700.0)
    metrics = {
        **found.metrics,
        "latent_kl": kl,
        "latent_spread": spread,
        "test_kl": sum(kl),
        "test_elbo_standard_error": 0.05,
        "test_elbo": -found.metrics["test_reconstruction"] - sum(kl),
        "objective": objective,
        **changes,
    }
    return replace(
        found, config={**found.config, "latent_dim": len(kl), "sigma": 1.0, "prior": "normal"}, metrics=metrics
    )


def test_a_collapsed_model_has_no_active_latent() -> None:
    units = Units(kl=np.zeros(3), spread=np.array([0.0, 1e-4, 0.01]))
    assert "None of 3 latents is active" in units_finding(units)
    assert "This is collapse" in units_finding(units)


def test_latents_at_their_free_bits_are_told_from_those_that_say_more() -> None:
    units = Units(kl=np.array([1.0, 0.052, 0.001]), spread=np.array([0.9, 0.09, 0.001]), free_bits=0.05)
    assert units.at_free_bits.tolist() == [False, True, False]
    text = units_finding(units)
    assert "2 of 3 latents are active, and hold 99.9% of 1.05 nats" in text
    assert "1 of the active ones carries no more than about the 0.05 nats" in text
    assert "The other 1 tells" in text
    assert not replace(units, free_bits=0.0).at_free_bits.any()


@pytest.mark.parametrize(("delta", "active"), [(0.0005, 3), (0.05, 2), (0.5, 1), (1.0, 0)])
def test_delta_decides(delta: float, active: int) -> None:
    found = units_of(measured([1.0, 0.05, 0.001], [0.9, 0.09, 0.001]), delta)
    assert int(found.active.sum()) == active


def test_a_contest_names_what_was_changed_and_what_came_of_it() -> None:
    plain = measured([3.0, 0.0, 0.0], [0.9, 0.0, 0.0])
    mitigated = measured(
        [3.0, 0.05, 0.05],
        [0.9, 0.09, 0.09],
        objective={"warmup": "linear", "free_bits": 0.05},
    )
    text = contest_finding(plain, mitigated)
    assert text.startswith(
        "With a linear warm-up over 10 epochs and free bits of 0.05 nats: 3 of 3 latents are active "
    )
    assert "instead of 1 of 3 (2 of them only at the free 0.05 nats)" in text
    assert "the KL rises by 0.10 nats" in text
    assert "no different (by 0.10 nats, within two standard errors)" in text  # 2 · √2 · 0.05 = 0.14
    back = contest_finding(mitigated, plain)
    assert "no warm-up and no free bits: 1 of 3 latents are active instead of 3 of 3" in back
    assert "the KL falls by 0.10 nats" in back


def test_a_difference_beyond_the_errors_is_one() -> None:
    first = measured([3.0], [0.9])
    worse = measured([4.0], [0.9])
    assert "ELBO is 1.00 nats lower, so pictures are explained no better" in contest_finding(first, worse)
    assert "ELBO is 1.00 nats higher, so pictures are explained better" in contest_finding(worse, first)
    assert "With the same settings" in contest_finding(first, worse)


def test_nats_of_other_decoders_are_not_compared() -> None:
    first = measured([3.0], [0.9])
    other = replace(first, config={**first.config, "likelihood": "bernoulli"})
    text = contest_finding(first, other)
    assert "cannot be compared" in text
    assert "ELBO" not in text


def test_what_is_no_vae_or_no_number_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="says nothing about latents"):
        units_of(replace(measured([1.0], [1.0]), family="vit"))
    with pytest.raises(NotFiniteError):
        units_finding(Units(kl=np.array([np.nan]), spread=np.ones(1)))
