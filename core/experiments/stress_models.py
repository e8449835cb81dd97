"""A model of any kind made ready to be asked which of some classes an image shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from core.data.prompts import fill_template
from core.errors import IncompatibleError
from core.methods.accuracy.class_matching import class_scorer, match_classes
from core.methods.biases.asking import Asked, Score
from core.methods.diffusion.diffusion_classifier import classify
from core.methods.diffusion.forecast import fitting_covariance
from core.methods.diffusion.sampling_plan import Plan
from core.models.diffusion import LatentDiffusion
from core.models.spec import LoadedModel
from core.reports import finish
from core.seeding import stream


class Words(Protocol):
    """What models that read words, and those that take long, are asked with."""

    @property
    def template(self) -> str: ...
    @property
    def diffusion_images(self) -> int: ...
    @property
    def diffusion_samples(self) -> int: ...
    @property
    def seed(self) -> int: ...


def open_model(model: LoadedModel, classes: Sequence[str], labels: Sequence[str], words: Words) -> Asked:
    """A classifier by the names of its outputs, CLIP by the labels, a diffusion model by denoising under each label.

    Raises:
        IncompatibleError: it knows other classes, or is a model that names nothing.
    """
    generates = not model.spec.lacks("text_to_image")
    if not generates and model.spec.lacks("image_text") and model.spec.lacks("classifier"):
        raise IncompatibleError(
            f"{model.spec.title} names nothing: it has neither classes nor words.",
            "Choose a classifier, a model of images and texts, or a text-to-image model.",
        )
    if generates:
        plan = Plan(samples=words.diffusion_samples, least_samples=min(10, words.diffusion_samples))
        score = _by_denoising(model, labels, words, plan)
        learned = fitting_covariance(cast(LatentDiffusion, model.module).differences, plan).source
        # Answers are kept by the question: another plan may answer otherwise, and so may what was learned since.
        question = repr((labels, words.template, plan, learned, words.seed))
    else:
        by_outputs = class_scorer(model, classes, labels, words.template)
        score = lambda images, keys: by_outputs(images)  # noqa: E731
        question = repr(match_classes(model, classes) or (tuple(labels), words.template))
    return Asked(
        title=model.spec.title,
        module=model.module,
        preprocessing=model.network.preprocessing,
        score=score,
        question=question,
        most=words.diffusion_images if generates else None,
        together=1 if generates else None,
        lock=model.lock,
    )


def _by_denoising(model: LoadedModel, labels: Sequence[str], words: Words, plan: Plan) -> Score:
    """1 for the label under which an image is denoised best, 0 for the others: such a model gives no shares."""
    module = cast(LatentDiffusion, model.module)
    with torch.inference_mode():
        denoise = module.denoiser(module.embed_prompts([fill_template(words.template, label) for label in labels]))

    def score(images: Tensor, keys: Sequence[int]) -> np.ndarray:
        found = np.zeros((len(images), len(labels)))
        with torch.inference_mode():
            latents = module.encode(images)
        for place, key in enumerate(keys):
            seed = int(stream("samples of an image under stress", words.seed, key).integers(2**31))
            looks = classify(
                denoise, latents[place], len(labels), module.alphas_cumprod, replace(plan, seed=seed),
                covariance=module.differences,
            )  # fmt: skip
            found[place, finish(looks).predicted] = 1
        return found

    return score
