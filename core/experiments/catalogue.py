"""Every recipe that computes something by itself, by name; `core.launch.recipes` adds the one that starts others."""

from __future__ import annotations

from core.errors import UnknownNameError
from core.experiments.spec import Recipe

RECIPES: dict[str, Recipe] = {
    "vit_scratch": Recipe(
        name="vit_scratch",
        title="ViT from scratch",
        summary="ViT or Differential ViT from scratch on small images",
        module="core.experiments.vit_scratch",
    ),
    "cnn_scratch": Recipe(
        name="cnn_scratch",
        title="CNN from scratch",
        summary="A small residual CNN from scratch on small images",
        module="core.experiments.cnn_scratch",
    ),
    "mixer_scratch": Recipe(
        name="mixer_scratch",
        title="Token mixer from scratch",
        summary="One small network with convolution, attention or a mixture of both between its patches",
        module="core.experiments.mixer_scratch",
    ),
    "clip_contrastive": Recipe(
        name="clip_contrastive",
        title="Small CLIP",
        summary="Images and captions in one space, from scratch: CLIP's or SigLIP's loss",
        module="core.experiments.clip_contrastive",
    ),
    "text_to_image": Recipe(
        name="text_to_image",
        title="Text to image",
        summary="A small latent diffusion model that draws from prompts, and classifies by denoising",
        module="core.experiments.text_to_image",
    ),
    "vae": Recipe(
        name="vae",
        title="VAE",
        summary="A variational autoencoder on small images: what its latents say, and which of them collapse",
        module="core.experiments.vae",
        score="val_elbo",
        # Densities of grey values and chances of black and white are no bounds of the same thing.
        incomparable=("dataset", "model.likelihood", "model.binarise"),
    ),
    "transfer": Recipe(
        name="transfer",
        title="Transfer",
        summary="A pretrained network on another data set: new head, last block, everything, or from random weights",
        module="core.experiments.transfer",
    ),
    "stress": Recipe(
        name="stress",
        title="Stress test",
        summary="Any models on the same labelled images, as they are and manipulated: what they rely on",
        module="core.experiments.stress",
    ),
    "domain_shift": Recipe(
        name="domain_shift",
        title="Domain shift",
        summary="What frozen features are worth in a domain that they were not probed in, and on other classes",
        module="core.experiments.domain_shift",
    ),
    "linear_probe": Recipe(
        name="linear_probe",
        title="Linear probe",
        summary="What a network's frozen features know about another data set",
        module="core.experiments.linear_probe",
    ),
    "frozen_heads": Recipe(
        name="frozen_heads",
        title="Frozen backbones",
        summary="A new head for each of several frozen networks on several data sets, beside zero-shot",
        module="core.experiments.frozen_heads",
    ),
    "zero_shot": Recipe(
        name="zero_shot",
        title="Zero-shot",
        summary="How many images a model of images and texts names right, untrained, by the names of their classes",
        module="core.experiments.zero_shot",
    ),
    "diffusion_zero_shot": Recipe(
        name="diffusion_zero_shot",
        title="Zero-shot by diffusion",
        summary="How many images a text-to-image model names right by denoising them under the name of every class",
        module="core.experiments.diffusion_zero_shot",
    ),
    "stylise": Recipe(
        name="stylise",
        title="Stylised images",
        summary="A new data set: images of another, painted in the style of a picture",
        module="core.experiments.stylise",
    ),
}


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`."""
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
