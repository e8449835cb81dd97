"""Training images a second of the recipe `vae`, against the bare step of the same network.

    python -m benchmarks.vae_training [--device cuda] [--batch 256] [--steps 100] [--repeats 7]

Bare is forward, loss, backward, clip and optimizer step on one batch that is ready on the device, its noise included:
what no loop can do without. The recipe is `core.training.loop.Fit` as a run uses it: shuffled batches of MNIST's shape,
sums for the report, the average of the weights. `with_average` is the bare step with that average, which is a choice of
method and not of the loop. Timed in turns; ratios are medians over rounds. The aim is 95 % of bare.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from benchmarks.report import machine, parse, write
from benchmarks.training import images_per_second
from core.data.arrays import ArrayDataset
from core.device import pick_device
from core.experiments.vae import Config, unchanged
from core.models.vae import VAE, VAEConfig, elbo_terms
from core.reports import Progress
from core.training.elbo import Elbo, ElboConfig, image_losses
from core.training.loop import Fit
from core.training.optim import build_optimizer


class BareStep:
    """What every training does, and if `average` also what ours does for the weights that are kept."""

    def __init__(self, shape: VAEConfig, device: torch.device, *, average: bool) -> None:
        torch.manual_seed(0)
        self.model = VAE(shape).to(device).train()
        self.average = copy.deepcopy(self.model).requires_grad_(False) if average else None
        self.optimizer = build_optimizer(self.model, "adamw", 1e-3, 0.0)

    def __call__(self, images: torch.Tensor) -> None:
        model = self.model
        noise = torch.randn((len(images), model.config.latent_dim), device=images.device)
        terms = elbo_terms(model.config, model(images, noise), images)
        image_losses(terms, ElboConfig(), model.config, 1.0).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 200.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            with torch.no_grad():
                get_ema_multi_avg_fn(0.999)(list(self.average.parameters()), list(model.parameters()), 0)


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/vae_training.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parse(parser, words, batch=64, steps=2, repeats=1)
    where, shape = machine(), VAEConfig()
    device, batch, steps = pick_device(arguments.device), arguments.batch, arguments.steps
    random = np.random.default_rng(0)
    count = 40_000 // batch * batch  # every batch is whole
    data = ArrayDataset(
        name="noise",
        split="train",
        images=random.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8),
        labels=np.zeros(count, dtype=np.int64),
        classes=("noise",),
    )
    training = Config().training
    settings = {**vars(training), "epochs": 2000, "batch_size": batch}
    fit = Fit(
        VAE(shape),
        data,
        data.subset(np.arange(2), "val"),  # validation belongs to an epoch, not to a step
        unchanged(1),
        type(training)(**settings),
        device=arguments.device,
        objective=Elbo(ElboConfig(), shape),
    )
    recipe = (each for each in fit.run() if isinstance(each, Progress) and each.text.startswith("epoch"))
    ready = torch.rand(batch, 1, 28, 28, device=device)
    steps_of = {name: BareStep(shape, device, average=name == "with_average") for name in ("bare", "with_average")}
    work: dict[str, Callable[[], object]] = {
        **{name: (lambda step=step: step(ready)) for name, step in steps_of.items()},  # type: ignore[misc]
        "recipe": lambda: next(recipe),
    }
    for each in work.values():
        images_per_second(each, 10, batch, device)
    rates: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(arguments.repeats):
        for name, each in work.items():
            rates[name].append(images_per_second(each, steps, batch, device))

    def ratio(first: str, second: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[first], rates[second], strict=True))

    write(
        "vae_training",
        {
            "model": "VAE, 784-400-20, fp32",
            "device": str(device),
            "batch": batch,
            "steps": steps,
            "repeats": arguments.repeats,
            "images_per_second": rates,
            "median_images_per_second": {name: statistics.median(values) for name, values in rates.items()},
            "recipe_over_bare": ratio("recipe", "bare"),
            "recipe_over_with_average": ratio("recipe", "with_average"),
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
