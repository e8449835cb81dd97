"""How long an evaluation by denoising takes here: from an earlier run of the same model, or from some passes now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from core.configs import from_dict
from core.experiments.evaluation import Evaluation
from core.methods.diffusion.diffusion_batch import fitting_batch, pass_seconds
from core.methods.diffusion.sampling_plan import Plan
from core.models.diffusion import LatentDiffusion
from core.reports import roughly
from pages.shared.cache import in_use
from pages.shared.foreign import plain
from pages.shared.results import shared


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What a call of the network takes here, and where that is known from.

    Attributes:
        calls: that an image took in an earlier run of the same plan, on average; None where there was none.
        full_grid: what that plan would have cost at most, for an image.
    """

    call_seconds: float
    source: str
    calls: float | None = None
    full_grid: float | None = None


def earlier_pace(name: str, plan: Plan, finished: Sequence[Evaluation]) -> Pace | None:
    """The pace of the newest evaluation of the same model under the same plan, or of any; None if there was none."""
    found = None
    for each in finished:
        summary = each.summary
        if summary["model"] != name:
            continue
        pace = Pace(call_seconds=summary["call_seconds"], source=f"as in {each.name}")
        if from_dict(Plan, summary["plan"]) == plan:
            return replace(pace, calls=summary["calls"]["mean"], full_grid=summary["calls"]["full_grid"])
        # How much another plan saved says nothing about this one.
        found = found or pace
    return found


@shared("Timing some passes …", most=8)
def probed_pace(name: str) -> Pace:
    """Some passes in a batch that fits, measured now."""
    with in_use(name) as model, torch.inference_mode():
        module = cast(LatentDiffusion, model.module)
        denoise = module.denoiser(module.embed_prompts(["a photo."]))
        latent = torch.zeros(module.latent_shape, device=module.device)
        size = fitting_batch(denoise, latent, most=200, key=(name, "fp32"))
        began = time.perf_counter()
        seconds = [pass_seconds(denoise, latent, size)]
        while len(seconds) < 5 and time.perf_counter() - began < 2:
            seconds.append(pass_seconds(denoise, latent, size))
    return Pace(call_seconds=float(np.median(seconds)) / size, source=f"{len(seconds)} passes of {size}, just now")


def cost_sentence(images: int, grid: int, pace: Pace, *, pruned: bool) -> str:
    """What a run of `images` costs whose full grid has `grid` calls; `pruned`: prompts may leave before the end."""
    per = f"{1000 * pace.call_seconds:.3g} ms a call, {plain(pace.source)}"
    longest = roughly(grid * pace.call_seconds)
    if not pruned:
        return f"{images:,} images, {grid:,} calls of the network: about {longest} ({per})."
    if pace.calls is None or pace.full_grid is None:
        return (
            f"{images:,} images, at most {grid:,} calls of the network: at most {longest} ({per}). How much of it "
            "pruning saves depends on how far the prompts are apart."
        )
    share = pace.calls / pace.full_grid
    return (
        f"{images:,} images, at most {grid:,} calls. If pruning leaves {share:.0%} of them, as it did there: about "
        f"{roughly(grid * share * pace.call_seconds)} ({per})."
    )
