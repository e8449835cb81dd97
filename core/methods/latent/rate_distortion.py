"""What a latent space costs against what it keeps: one point for every trained VAE.

Source: Alemi et al. 2018, arXiv:1711.00464: the KL is the rate, the reconstruction term the distortion, and minus the
ELBO their sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import IncompatibleError
from core.models.checkpoint import ModelCard


@dataclass(frozen=True, kw_only=True)
class RatePoint:
    """One model; nats per image, measured on `count` images of `split`.

    Attributes:
        rate: the KL.
        distortion: −E ln p(x|z), constants included; comparable among models of one `decoder` only.
        squared_error: ‖x − mean picture‖², comparable among all.
        active: latents that are used, of `latents`.
        beta: the weight of the KL that the model was trained with, as `core.training.elbo.effective_beta` counts.
        decoder: likelihood and target: decides what the distortion compares with.
    """

    title: str
    rate: float
    distortion: float
    squared_error: float
    active: int
    latents: int
    beta: float
    decoder: str
    split: str
    count: int

    @property
    def elbo(self) -> float:
        return -self.rate - self.distortion


@dataclass(frozen=True, kw_only=True)
class RateDistortion:
    """Several models, those of the smallest rate first.

    Attributes:
        points: one for each model.
        comparable: whether distortions (and ELBOs) are of the same kind in all of them; squared errors always are.
    """

    points: tuple[RatePoint, ...]
    comparable: bool


def rate_distortion(cards: Mapping[str, ModelCard]) -> RateDistortion:
    """Points of trained models, from what their cards say; test images where they were read, else validation.

    Args:
        cards: by title.

    Raises:
        IncompatibleError: a card is of no VAE, or has no measurement.
    """
    points = sorted((_point(title, card) for title, card in cards.items()), key=lambda point: point.rate)
    kinds = {(point.decoder, point.split) for point in points}
    datasets = {card.metrics.get("dataset", card.dataset) for card in cards.values()}
    return RateDistortion(points=tuple(points), comparable=len(kinds) <= 1 and len(datasets) <= 1)


def decoder_of(config: Mapping[str, Any]) -> str:
    """Likelihood and target of a `core.models.vae.VAEConfig` as plain values: nats of two of them do not compare."""
    return f"{config['likelihood'].replace('_', ' ')}{' of black and white' if config['binarise'] else ''}"


def _point(title: str, card: ModelCard) -> RatePoint:
    measured = card.metrics
    split = next((each for each in ("test", "val") if f"{each}_kl" in measured), None)
    if card.family != "vae" or split is None:
        raise IncompatibleError(f"The card of {title} has no rate and distortion.", "Choose finished VAEs.")
    config = card.config
    return RatePoint(
        title=title,
        rate=measured[f"{split}_kl"],
        distortion=measured[f"{split}_reconstruction"],
        squared_error=measured[f"{split}_squared_error"],
        active=measured[f"{split}_active_units"],
        latents=config["latent_dim"],
        beta=measured["effective_beta"],
        decoder=decoder_of(config),
        split=split,
        count=measured[f"{split}_count"],
    )
