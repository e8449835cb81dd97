"""Classifications of prompts for the Diffusion page: run once for all sessions, live, stopped and gone on with."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import numpy as np
import streamlit as st
import torch
from PIL import Image
from torch import Tensor

from core.data.prompts import fill_template
from core.data.transforms import to_batch
from core.errors import CoreError
from core.methods.diffusion.denoising_view import DenoisingView, advantage_map, denoising_view
from core.methods.diffusion.diffusion_batch import fitting_batch
from core.methods.diffusion.diffusion_classifier import Classification, classify
from core.methods.diffusion.false_pruning import false_pruning_rate
from core.methods.diffusion.forecast import fitting_covariance
from core.methods.diffusion.sampling_plan import Plan, looks_of, usable_steps
from core.models.catalogue import find_model
from core.models.diffusion import LatentDiffusion
from core.models.weights import availability
from core.shares import counted
from pages.shared.cache import in_use, loaded_model
from pages.shared.results import SharedResults, shared

# Samples times prompts up to which a simulation takes a few seconds at most.
MOST_SIMULATED = 200_000
# Prompts that the text encoder reads at once.
_TEXTS = 64
# How long a session that watches another's classification waits for its next look.
_PATIENCE = 0.4


@dataclass(frozen=True)
class ClassificationRequest:
    """Which picture, under which prompts, and how they are compared."""

    name: str
    digest: str
    labels: tuple[str, ...]
    template: str
    plan: Plan

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(fill_template(self.template, label) for label in self.labels)


# In Streamlit's cache, so that it is emptied when the files of an own model change.
@st.cache_resource(show_spinner=False)
def _classifications() -> SharedResults:
    return SharedResults()


def known_classification(question: ClassificationRequest) -> Classification | None:
    """How far anybody has come with `question`."""
    return next(iter(_classifications().get((question,))), None)


def run_classification(question: ClassificationRequest, image: Image.Image) -> Generator[Classification]:
    """Look by look, from where it was left; a session that asks the same watches the one that runs it."""
    classifications = _classifications()
    turn = classifications.turn((question,))
    seen = -1
    while True:
        known = known_classification(question)
        if known is not None and known.step > seen:
            seen = known.step
            yield known
        if known is not None and known.finished:
            return
        if not turn.acquire(timeout=_PATIENCE):
            continue
        try:
            begin = known_classification(question)
            if begin is not None and begin.finished:
                continue
            for classification in _run(question, image, begin):
                classifications.put((question,), classification)
                yield classification
            return
        finally:
            turn.release()


def _run(
    question: ClassificationRequest, image: Image.Image, begin: Classification | None
) -> Generator[Classification, None, Classification]:
    latent = latent_of(question.name, question.digest, image)
    states = prompt_states(question.name, question.prompts)
    pipeline = _pipeline(question.name)
    predict = pipeline.denoiser(states)

    def denoise(latents: Tensor, steps: Tensor, which: Tensor) -> Tensor:
        # One batch at a time, so that two sessions' classifications take turns.
        with in_use(question.name):
            return predict(latents, steps, which)

    most = len(question.labels) * max(question.plan.least_samples, question.plan.look_every)
    size = fitting_batch(denoise, latent, most=most, key=(question.name, "fp32"))
    return classify(
        denoise,
        latent,
        len(question.labels),
        pipeline.alphas_cumprod,
        question.plan,
        batch_size=size,
        begin=begin,
        covariance=pipeline.differences,
    )


def _pipeline(name: str) -> LatentDiffusion:
    """
    Raises:
        CoreError: it is no text-to-image pipeline.
    """
    model = loaded_model(name)
    model.spec.require("text_to_image", "Classification by denoising")
    return cast(LatentDiffusion, model.module)


def steps_of(name: str) -> int:
    """Time steps of the schedule."""
    return len(_pipeline(name).alphas_cumprod)


def left_out_steps(name: str) -> str:
    """Why some time steps are never drawn, in a sentence; empty where all are."""
    alphas = _pipeline(name).alphas_cumprod
    left = len(alphas) - len(usable_steps(alphas))
    if not left:
        return ""
    return (
        f"No sample is taken at {left:,} of the schedule's {len(alphas):,} time steps, where the network would see "
        "nothing but noise, or none: no error there says anything about the picture."
    )


@shared("Encoding the photo …")
def latent_of(name: str, digest: str, _image: Image.Image) -> Tensor:
    """(channels, height, width) of one photo."""
    pipeline = _pipeline(name)
    with in_use(name) as model, torch.inference_mode():
        return pipeline.encode(to_batch([_image], model.network.preprocessing))[0]


@shared("Reading the prompts …", most=16)
def prompt_states(name: str, prompts: tuple[str, ...]) -> Tensor:
    """(prompts, length, dim), read once for all pictures and time steps."""
    pipeline = _pipeline(name)
    with in_use(name), torch.inference_mode():
        return torch.cat(
            [pipeline.embed_prompts(prompts[start : start + _TEXTS]) for start in range(0, len(prompts), _TEXTS)]
        )


@shared("Denoising once …", most=128)
def view_of(
    name: str, digest: str, prompts: tuple[str, ...], share: int, seed: int, _image: Image.Image
) -> DenoisingView:
    """One time step under a few prompts; `share`: percent of the schedule."""
    pipeline, latent = _pipeline(name), latent_of(name, digest, _image)
    # The last step of some schedules is noise alone, which nothing can be reconstructed from.
    step = min(round(share / 100 * steps_of(name)), int(usable_steps(pipeline.alphas_cumprod)[-1]))
    states = prompt_states(name, prompts)
    with in_use(name):
        return denoising_view(pipeline, latent, states, step, seed=seed)


@shared("Comparing two prompts …", most=128)
def advantage_of(name: str, digest: str, first: str, second: str, _image: Image.Image) -> np.ndarray:
    """Where the first of two prompts denoises better, (height, width)."""
    pipeline, latent = _pipeline(name), latent_of(name, digest, _image)
    states = prompt_states(name, (first, second))
    with in_use(name):
        return advantage_map(pipeline, latent, states)


@shared("Simulating classifications …")
def simulated_false_pruning(plan: Plan, prompts: int, classifications: int) -> float:
    """How often the t-test of `plan` removes a given one of so many equally good prompts, simulated."""
    return false_pruning_rate(plan, prompts=prompts, trials=classifications)


def price_of_pruning(name: str, plan: Plan, prompts: int) -> str:
    """How often a prompt that would have won leaves, in a sentence; empty where none leaves by a test or forecast."""
    if plan.pruning == "forecast":
        return _rate_of_forecasts(name, plan, prompts)
    looks, numbers = len(looks_of(plan)), plan.most_samples * prompts
    if prompts < 2 or not looks:
        return ""
    if numbers > MOST_SIMULATED:
        return f"What {looks:,} looks at {prompts:,} prompts cost is not simulated: there are too many."
    classifications = 1000 if numbers <= MOST_SIMULATED / 4 else 200
    rate = simulated_false_pruning(plan, prompts, classifications)
    return (
        f"Looking again and again has a price, and the more prompts, the higher: if all {prompts:,} were equally good, "
        f"the t-test at p < {plan.threshold:g} with {counted(looks, 'look')} would remove a given one of them, such as "
        f"the right one, in {rate:.1%} of {classifications:,} simulated classifications."
    )


def _rate_of_forecasts(name: str, plan: Plan, prompts: int) -> str:
    if prompts < 2:
        return ""
    told = (
        f"Those of the {plan.most_samples:,} samples that tell most came first. Prompts leave while their chances to "
        f"have won after all of them stay below {plan.error_rate:.1%} together: however often one looks, an answer "
        "unlike that of all samples is no likelier than that"
    )
    known = fitting_covariance(_pipeline(name).differences, plan)
    if known.learned:
        return f"{told}, if the forecast is right about this picture. It was learned on {known.source}."
    return (
        f"{told}, if the forecast is right. Nothing was learned about this model under this error: every sample is "
        "taken to tell as much, and how often such forecasts err was not measured."
    )


def second_opinion_model() -> str:
    """A model of images and texts that is ready; empty if there is none."""
    with suppress(CoreError):
        if availability(find_model("clip_small")).state == "ready":
            return "clip_small"
    return ""
