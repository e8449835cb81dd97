"""Points come from cards; distortions of different decoders are never taken for the same thing."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import IncompatibleError
from core.methods.latent.rate_distortion import rate_distortion
from core.models.checkpoint import ModelCard


def card(rate: float, distortion: float, split: str = "test", **changes: Any) -> ModelCard:
    config = {"latent_dim": 20, "likelihood": "gaussian", "binarise": False, **changes}
    measured = {
        f"{split}_kl": rate, f"{split}_reconstruction": distortion, f"{split}_squared_error": 30.0,
        f"{split}_active_units": 7, f"{split}_count": 100, "effective_beta": 2.0, "dataset": "mnist",
    }  # fmt: skip
    return ModelCard(
        family="vae", title="t", config=config, classes=(), mean=(0.0,), std=(1.0,), dataset="MNIST", recipe="{}",
        command="c", date="2026-01-01", metrics=measured,
    )  # fmt: skip


def test_points_are_in_the_order_of_their_rates() -> None:
    found = rate_distortion({"high": card(30, 700), "low": card(8, 735)})
    assert [point.title for point in found.points] == ["low", "high"]
    low = found.points[0]
    assert (low.rate, low.distortion, low.elbo, low.beta) == (8, 735, -743, 2)
    assert (low.active, low.latents, low.split, low.count) == (7, 20, "test", 100)
    assert found.comparable


@pytest.mark.parametrize("other", [{"likelihood": "bernoulli"}, {"binarise": True}, {"split": "val"}])
def test_other_decoders_and_other_images_do_not_compare(other: dict[str, Any]) -> None:
    assert not rate_distortion({"one": card(8, 735), "other": card(25, 90, **other)}).comparable


def test_a_card_without_the_measurement_is_refused() -> None:
    bare = ModelCard(**{**vars(card(1, 1)), "metrics": {}})
    with pytest.raises(IncompatibleError, match="The card of bare has no rate"):
        rate_distortion({"bare": bare})
