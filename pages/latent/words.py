"""What the Latent space page says, made of the numbers that it shows."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pandas as pd

from core.methods.embeddings.embedding_quality import nearest, neighbours_right
from core.methods.latent.collapse import Units
from core.methods.latent.rate_distortion import RateDistortion, decoder_of
from core.methods.latent.reencoding import Reencoded
from core.methods.latent.statistics import LatentStatistics
from core.models.checkpoint import ModelCard
from core.models.vae import VAEConfig
from core.paths import FILES
from pages.latent.given import ChosenInputs

RESULTS = FILES / "benchmarks" / "results"
# A report on Fashion-MNIST: the same network and reduction, without the constant of the likelihood.
PUBLISHED = {"test_half_squared_error": "14.88", "test_kl": "7.98", "sum": "22.86", "test_active_units": "6"}
PUBLISHED_MITIGATED = {"test_active_units": "20"}
QUANTITIES = {
    "test_half_squared_error": "reconstruction without constants: ½ squared error (nats)",
    "test_kl": "KL (nats)",
    "sum": "their sum (nats)",
    "test_elbo": "ELBO, constants included (nats)",
    "test_active_units": "active latents",
}


def measured_words(card: ModelCard) -> str:
    """What was measured for the card of a model."""
    split = "test" if "test_kl" in card.metrics else "val"
    found = {name: card.metrics.get(f"{split}_{name}") for name in ("reconstruction", "kl", "elbo", "count")}
    if None in found.values():
        return "Its card has no measurement."
    reconstruction, kl, elbo, count = (float(value or 0) for value in found.values())
    return (
        f"Trained on {card.dataset}; decoder: {decoder_of(card.config)}. On {count:,.0f} {split} images, in nats an "
        f"image: reconstruction {reconstruction:.2f} + KL {kl:.2f}, ELBO {elbo:.2f}."
    )


def map_words(given: ChosenInputs, statistics: LatentStatistics, dimensions: tuple[int, int]) -> str:
    """How well two latents keep classes apart, or that nothing is known of the pictures."""
    count, latents = statistics.means.shape
    places = statistics.means[:, list(dimensions)]
    which = "In two numbers" if latents == 2 else f"By latents {dimensions[0]} and {dimensions[1]} of {latents}"
    if not given.images.classes or count < 50:
        lengths = np.quantile(np.abs(places), 0.95)
        return f"{which}: 95 % of the {count:,} pictures lie within ±{lengths:.1f} of either."
    right = float(neighbours_right(nearest(places, 10), given.images.labels).mean())
    chance = float(np.square(np.bincount(given.images.labels) / count).sum())
    return f"{which}, {right:.0%} of {count:,} pictures have neighbours of their own class (by chance {chance:.0%})."


def reencoding_words(found: Reencoded, config: VAEConfig) -> str:
    """What is lost in the first pass, and whether further ones lose more."""
    errors = found.squared_error.mean(axis=1)
    text = f"One pass loses {errors[0]:.1f} of squared error a picture, or {errors[0] / config.pixels:.4f} a pixel."
    if len(errors) > 1:
        drift = found.drift.mean(axis=1)
        text += (
            f" After {len(errors)} passes it is {errors[-1]:.1f}; the means still move by {drift[-1]:.2f} in the last, "
            f"{drift[0]:.2f} in the second."
        )
    return text


def unit_table(units: Units, statistics: LatentStatistics | None) -> pd.DataFrame:
    """A row for every latent, that of the largest KL first."""
    order = np.argsort(-units.kl, kind="stable")
    table = pd.DataFrame(
        {
            "latent": order,
            "KL (nats)": units.kl[order],
            "variance of the means": units.spread[order],
            "active": units.active[order],
        }
    )
    if statistics is not None:
        table["mean"] = statistics.average_mean[order]
        table["log-variance"] = statistics.average_log_variance[order]
    return table


def contest_table(cards: dict[str, ModelCard], delta: float) -> pd.DataFrame:
    """What was measured of several models, a column each; texts."""
    from core.methods.latent.collapse import units_of

    columns: dict[str, list[str]] = {}
    for title, card in cards.items():
        metrics, split = card.metrics, "test" if "test_kl" in card.metrics else "val"
        units, objective = units_of(card, delta), card.metrics.get("objective", {})
        columns[title] = [
            f"{int(units.active.sum())} of {len(units.kl)}",
            f"{metrics[f'{split}_reconstruction']:.2f}",
            f"{metrics[f'{split}_kl']:.2f}",
            f"{metrics[f'{split}_elbo']:.2f} ± {metrics[f'{split}_elbo_standard_error']:.2f}",
            f"{metrics[f'{split}_iwae']:.2f} (k = {metrics[f'{split}_iwae_draws']})",
            f"{metrics[f'{split}_squared_error']:.1f}",
            decoder_of(card.config),
            f"{metrics.get('effective_beta', 1):g}",
            str(objective.get("warmup", "none")),
            f"{objective.get('free_bits', 0):g}",
            f"{metrics[f'{split}_count']:,} of {card.dataset}, {split}",
        ]
    rows = [
        f"active latents (δ = {delta:g})", "reconstruction (nats)", "KL (nats)", "ELBO (nats, ± standard error)",
        "IWAE bound (nats)", "squared error", "decoder", "β", "warm-up", "free bits", "measured on",
    ]  # fmt: skip
    return pd.DataFrame({"": rows, **columns})


def rate_table(found: RateDistortion) -> pd.DataFrame:
    """A row for every model, the smallest rate first."""
    return pd.DataFrame(
        [
            {
                "model": point.title,
                "β": point.beta,
                "rate: KL (nats)": point.rate,
                "distortion (nats)": point.distortion,
                "ELBO (nats)": point.elbo,
                "squared error": point.squared_error,
                "active": f"{point.active} of {point.latents}",
                "decoder": point.decoder,
                "measured on": f"{point.count:,}, {point.split}",
            }
            for point in found.points
        ]
    )


def seeds_results() -> list[dict[str, Any]]:
    """What `benchmarks/vae_collapse.py` measured in full, a result for every data set."""
    found = []
    for path in sorted(RESULTS.glob("vae_collapse*.json")):
        with contextlib.suppress(OSError, ValueError):
            result = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(result, dict) and result.get("summary") and not result.get("quick"):
                found.append(result)
    return found


def seeds_table(result: dict[str, Any]) -> pd.DataFrame:
    """Collapse and mitigation over seeds beside the published figures; texts."""
    conditions, rows = list(result["summary"]), []
    for name, title in QUANTITIES.items():
        row = {"": title}
        for condition in conditions:
            values = [_value(run, name) for run in result["runs"][condition]]
            row[condition] = _with_spread(values)
        row["published, plain"] = PUBLISHED.get(name, "–")
        row["published, mitigated"] = PUBLISHED_MITIGATED.get(name, "–")
        rows.append(row)
    return pd.DataFrame(rows)


def seeds_words(result: dict[str, Any]) -> str:
    """Where the figures come from, and in what the published ones differ."""
    count = min(len(runs) for runs in result["runs"].values())
    same = result["dataset"] == "Fashion-MNIST"
    others = (
        "The published figures are of the same data set."
        if same
        else "The published figures are of Fashion-MNIST, whose pictures are other ones and harder, so the levels are "
        "not to be compared."
    )
    return (
        f"{count} trainings of each on {result['dataset']}, other seeds and nothing else; mean ± standard deviation, "
        f"lowest to highest; {result['count']:,} images: {result['split']}. {others} They are taken to be of the same "
        "reduction: sums over pixels and latents, averaged over pictures, no constant."
    )


def _value(run: dict[str, Any], name: str) -> float:
    return float(run["test_half_squared_error"] + run["test_kl"] if name == "sum" else run[name])


def _with_spread(values: list[float]) -> str:
    whole = all(float(value).is_integer() for value in values)
    digits = 0 if whole else 2
    text = f"{np.mean(values):.{1 if whole else 2}f}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1):.2f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
    return text
