"""The sentences of the Style transfer page."""

from __future__ import annotations

from core.methods.style_transfer.networks import FeatureNetwork
from core.methods.style_transfer.transfer import StyleSettings, Transfer
from core.reports import roughly


def share(value: float) -> str:
    """A share in per cent, with a digit where it is small."""
    return f"{value:.0%}" if value >= 0.095 else f"{value:.1%}" if value >= 0.0005 else "less than 0.1%"


def headline(transfer: Transfer, settings: StyleSettings) -> str:
    """Where it stands."""
    style = float(transfer.style_share(settings.layer_weights)[-1, 0])
    content = float(transfer.content_share[-1, 0])
    words = f"Step {transfer.step:,}: style loss at {share(style)}, content loss at {share(content)}"
    return words.replace("%", " %") if transfer.step else "Step 0: the picture to start from"


def progress_words(transfer: Transfer, seconds: float, done: int) -> str:
    """For the bar: where it is, and how long it will take.

    Args:
        seconds: since this session began to watch.
        done: steps in them.
    """
    left = (transfer.steps - transfer.step) * seconds / done if done >= 3 else 0
    words = f"Step {transfer.step:,} of {transfer.steps:,}"
    return f"{words}, about {roughly(left)} left" if left > 1.5 else words


def network_sentence(network: FeatureNetwork) -> str:
    """Whose features these are."""
    return f"Features of {network.title}. {network.row.note}"
