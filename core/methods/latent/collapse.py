"""Posterior collapse in words: how many latents say something, and what a mitigation changed, from the numbers alone.

Sources: Burda et al. 2016, arXiv:1509.00519, section 5.3 (active units); Kingma et al. 2016, arXiv:1606.04934 (free
bits, which keep a latent active at their own price and no more).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import IncompatibleError
from core.finite import require_finite
from core.methods.latent.rate_distortion import decoder_of
from core.methods.latent.statistics import ACTIVE_DELTA
from core.models.checkpoint import ModelCard

# How far above the free bits a latent must be to hold more than them: batches differ, and the clamp is of their mean.
_ABOVE_FREE = 1.5


@dataclass(frozen=True, kw_only=True)
class Units:
    """What the latents of one model carry.

    Attributes:
        kl: (latent_dim,) nats, averaged over pictures.
        spread: (latent_dim,) the variance of the posterior means over pictures.
        delta: a latent is active if its spread is larger.
        free_bits: nats of KL that training gave each latent for nothing.
    """

    kl: np.ndarray
    spread: np.ndarray
    delta: float = ACTIVE_DELTA
    free_bits: float = 0.0

    @property
    def active(self) -> np.ndarray:
        """(latent_dim,) bool."""
        return self.spread > self.delta

    @property
    def at_free_bits(self) -> np.ndarray:
        """(latent_dim,) bool: active, and its KL is no more than what it had for nothing."""
        return self.active & (self.kl <= _ABOVE_FREE * self.free_bits)


def units_of(card: ModelCard, delta: float = ACTIVE_DELTA) -> Units:
    """The latents of a trained VAE, from what was measured for its card.

    Raises:
        IncompatibleError: the card is of no VAE, or has no such measurement.
    """
    metrics = card.metrics
    if card.family != "vae" or "latent_kl" not in metrics:
        raise IncompatibleError(f"The card of {card.title} says nothing about latents.", "Choose a finished VAE.")
    return Units(
        kl=np.asarray(metrics["latent_kl"], dtype=np.float32),
        spread=np.asarray(metrics["latent_spread"], dtype=np.float32),
        delta=delta,
        free_bits=float(metrics.get("objective", {}).get("free_bits", 0.0)),
    )


def units_finding(units: Units) -> str:
    """How many latents are used, and what they hold, in one or two sentences."""
    require_finite("The divergences", units.kl)
    require_finite("The variances of the means", units.spread)
    count, active = len(units.kl), int(units.active.sum())
    total = float(units.kl.sum())
    share = float(units.kl[units.active].sum()) / total if total > 0 else 0.0
    text = f"{active} of {count} latents are active, and hold {share:.1%} of {total:.2f} nats of KL."
    if not active:
        return f"None of {count} latents is active: whatever the picture, the posterior is the same. This is collapse."
    if active < count:
        others = count - active
        text += f" The other {others} tell{'s' * (others == 1)} pictures apart hardly or not at all."
    if stuck := int(units.at_free_bits.sum()):
        text += (
            f" But {stuck} of the active ones carr{'ies' if stuck == 1 else 'y'} no more than about the "
            f"{units.free_bits:g} nats that training gave each for nothing."
        )
    return text


def contest_finding(first: ModelCard, second: ModelCard, delta: float = ACTIVE_DELTA) -> str:
    """What the second training did differently, and what became of it, in one sentence made of both cards' numbers.

    Raises:
        IncompatibleError: a card is of no VAE, or has no such measurement.
    """
    before, after = units_of(first, delta), units_of(second, delta)
    numbers = [_measured(card) for card in (first, second)]
    parts = [_active_words(before, after)]
    # Nats of other decoders, or of other pictures, are in other units.
    if _kind(first) == _kind(second):
        rate, distortion, elbo = (numbers[1][name] - numbers[0][name] for name in ("kl", "reconstruction", "elbo"))
        noise = 2 * math.hypot(*(each["elbo_standard_error"] for each in numbers))
        parts.append(f"the KL {_moved(rate)}, the reconstruction term {_moved(distortion)}")
        verdict = (
            f"the ELBO is no different (by {abs(elbo):.2f} nats, within two standard errors)"
            if abs(elbo) <= noise
            else f"the ELBO is {abs(elbo):.2f} nats {'higher' if elbo > 0 else 'lower'}, "
            f"so pictures are explained {'better' if elbo > 0 else 'no better'}"
        )
        parts.append(verdict)
    else:
        errors = [each["squared_error"] for each in numbers]
        parts.append(
            f"the squared error goes from {errors[0]:.1f} to {errors[1]:.1f}; their nats cannot be compared, as "
            "decoder, pictures or split differ"
        )
    return f"{_difference(first, second)}: {', '.join(parts)}."


def _active_words(before: Units, after: Units) -> str:
    old, new = (f"{int(each.active.sum())} of {len(each.kl)}" for each in (before, after))
    text = f"{new} latents are active, as before" if old == new else f"{new} latents are active instead of {old}"
    if stuck := int(after.at_free_bits.sum()):
        text += f" ({stuck} of them only at the free {after.free_bits:g} nats)"
    return text


def _moved(change: float) -> str:
    return "stays" if abs(change) < 0.005 else f"{'rises' if change > 0 else 'falls'} by {abs(change):.2f} nats"


def _difference(first: ModelCard, second: ModelCard) -> str:
    """How the second training was set up differently."""
    ours, theirs = (_settings(card) for card in (first, second))
    changed = [phrase for name, phrase in theirs.items() if ours[name] != phrase]
    return f"With {' and '.join(changed)}" if changed else "With the same settings"


def _settings(card: ModelCard) -> dict[str, str]:
    objective: dict[str, Any] = card.metrics.get("objective", {})
    warmup = objective.get("warmup", "none")
    free = objective.get("free_bits", 0)
    epochs = f"{objective.get('warmup_epochs', 0):g} epochs"
    return {
        "decoder": f"a decoder that is {decoder_of(card.config)}",
        "latents": f"{card.config['latent_dim']} latents",
        "sigma": f"σ = {card.config['sigma']:g}",
        "prior": f"a {card.config['prior'].capitalize()} prior",
        "beta": f"β = {card.metrics.get('effective_beta', 1):g}",
        "warmup": "no warm-up" if warmup == "none" else f"a {warmup} warm-up over {epochs}",
        "free_bits": f"free bits of {free:g} nats" if free else "no free bits",
        "images": f"pictures of {card.dataset}",
    }


def _measured(card: ModelCard) -> dict[str, float]:
    split = "test" if "test_kl" in card.metrics else "val"
    names = ("kl", "reconstruction", "elbo", "squared_error", "elbo_standard_error")
    return {name: float(card.metrics[f"{split}_{name}"]) for name in names}


def _kind(card: ModelCard) -> tuple[object, ...]:
    return decoder_of(card.config), card.metrics.get("dataset", card.dataset), "test_kl" in card.metrics
