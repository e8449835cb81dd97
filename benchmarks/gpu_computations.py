"""What every page and every recipe computes, as functions of where: the list that `benchmarks.gpu` and the tests of
placement go through.

A computation takes the name of a device and returns arrays by name; the same ones, up to rounding, on every device.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from core.configs import parse_overrides
from core.data.arrays import save_arrays
from core.data.examples import EXAMPLES, load_example
from core.data.image_sets import view_set
from core.data.paintings import paint
from core.data.samples import Sample
from core.data.transforms import to_batch
from core.experiments.catalogue import RECIPES
from core.methods.accuracy.batched_answers import ask_about
from core.methods.accuracy.classify import classify_samples
from core.methods.accuracy.predictions import predict_logits
from core.methods.accuracy.same_images import answers
from core.methods.accuracy.targets import Target, pick_target
from core.methods.anatomy.anatomy import anatomy
from core.methods.attention.attention import attention_maps
from core.methods.attention.explanations import explanations_for
from core.methods.attention.rollout import rollout_batch
from core.methods.clip.image_text_relevance import image_text_relevance
from core.methods.clip.zero_shot import Scale, embed_images, text_classifier, zero_shot_scores
from core.methods.diffusion.denoising_view import advantage_map, denoising_view
from core.methods.diffusion.diffusion_batch import fitting_batch
from core.methods.diffusion.diffusion_classifier import classify
from core.methods.diffusion.sampling_plan import Plan
from core.methods.embeddings.features import extract_features
from core.methods.embeddings.layer_features import Readout, extract_layers, find_readouts
from core.methods.latent.drawing import draw, manifold, traverse
from core.methods.latent.pictures import own_pictures
from core.methods.latent.reencoding import reencode
from core.methods.latent.statistics import latent_statistics
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.manipulated import manipulated
from core.methods.manipulations.photo import ask_about_photo, photo_square, photo_versions
from core.methods.manipulations.steps import Step
from core.methods.masking.faithfulness import faithfulness
from core.methods.masking.masking import masked_responses, masking_curve, random_band
from core.methods.masking.orders import masking_order
from core.methods.modality_gap.modality_gap_pairs import embed_halves
from core.methods.operators.layer import run_layer
from core.methods.operators.learned_layer import learned_layer
from core.methods.patch_features.patch_features import patch_similarity, patch_tokens
from core.methods.precision.memory_profile import memory_profile
from core.methods.precision.precision import FORMATS, forward, logits_in
from core.methods.precision.precision import cast as cast_format
from core.methods.style_transfer.networks import feature_network
from core.methods.style_transfer.pictures import fit_pictures
from core.methods.style_transfer.transfer import STEPPERS, StyleSettings, transfer_style
from core.models.catalogue import MODELS
from core.models.diffusion import LatentDiffusion
from core.models.mixer import MixerNetwork
from core.models.spec import LoadedModel
from core.models.weights import availability, load
from core.paths import data_root
from core.reports import Progress, finish
from core.runs.store import RunSpec, create_run

Arrays = dict[str, np.ndarray]
Load = Callable[[str, str], LoadedModel]  # (name, device); the caller decides whether models are kept

GRID = (8, 8)
LABELS = ("cat", "dog", "cup of coffee", "rocket", "motorcycle", "flower")
PROMPTS = ("a photo of a cat.", "a photo of a dog.", "a photo of a ship.")
_PRETRAINED = ("vit_s14_saliency", "efficientnet_lite0")
TOY = "gpu_toy"


@dataclass(frozen=True, kw_only=True)
class Computation:
    """One thing that a page or a recipe computes.

    Attributes:
        page: which page asks for it; "train" for recipes.
        name: what it is.
        run: from where to compute and how to load a model to arrays.
        tolerance: largest difference of two devices, as a share of the largest magnitude in an array.
        twice: whether a second run is timed; trainings are timed as a whole.
    """

    page: str
    name: str
    run: Callable[[str, Load], Arrays]
    # Convolutions on a GPU are in TF32 by default, whose mantissa has 10 bits.
    tolerance: float = 5e-3
    twice: bool = True


def _batch(model: LoadedModel, count: int = 1) -> torch.Tensor:
    photos = [load_example(name) for name in list(EXAMPLES)[:count]]
    return to_batch(photos, model.network.preprocessing)


def _attention(name: str, device: str, load_model: Load) -> Arrays:
    model = load_model(name, device)
    module, batch = model.module, _batch(model)
    found: Arrays = {"logits": predict_logits(module, batch)} if not model.spec.lacks("classifier") else {}
    if not model.spec.lacks("attention"):
        found["maps"] = attention_maps(module, batch).weights
        found["rollout_batch"] = rollout_batch(module, _batch(model, 3))
    target = pick_target(module, batch, classifier=not model.spec.lacks("classifier"))
    for method in explanations_for(model.spec):
        found[method.name] = method.explain(module, batch, target)
    return found


def _patch_features(name: str, device: str, load_model: Load) -> Arrays:
    model = load_model(name, device)
    found = patch_tokens(model.module, _batch(model, 2))
    return {"tokens": found.tokens, "likeness": patch_similarity(found.tokens[-1], 0, 3)}


def _masking(name: str, device: str, load_model: Load) -> Arrays:
    model = load_model(name, device)
    module, batch = model.module, _batch(model)
    classifier = not model.spec.lacks("classifier")
    target = pick_target(module, batch, classifier=classifier)
    options: dict[str, Any] = {"grid": GRID, "steps": 4, "normalisation": model.network.preprocessing.normalisation}
    found: Arrays = {}
    for fill in ("mean", "blur", "black", "noise"):
        order = masking_order("centre", GRID)
        found[fill] = masking_curve(module, batch, target, order, fill=fill, **options).confidence
    found["band"] = random_band(module, batch, target, orders=2, **options).curves
    # The order of all patches by a fixed map: near ties in a map of its own would be rounding's to decide.
    scores = {"ramp": np.linspace(0, 1, GRID[0] * GRID[1]).reshape(GRID)}
    curves = faithfulness(module, batch, target, scores, random_orders=2, **options)
    found["deletion"], found["insertion"] = curves.methods["ramp"].deletion, curves.methods["ramp"].insertion
    if hasattr(module, "embed"):
        likeness = pick_target(module, batch, classifier=False)
        found["likeness"] = masked_responses(
            module, batch, likeness, np.ones((1, *GRID), dtype=bool), normalisation=options["normalisation"]
        ).confidence
    return found


def _anatomy(name: str, device: str, load_model: Load) -> Arrays:
    model = load_model(name, device)
    found = {"parameters": np.array([float(anatomy(model.module).total)], dtype=np.float64)}
    if not model.spec.lacks("positions"):
        table, _, _ = model.module.positions()  # type: ignore[operator]
        if table is not None:
            found["positions"] = table.detach().float().cpu().numpy()
    return found


def _clip(name: str, device: str, load_model: Load) -> Arrays:
    model = load_model(name, device)
    module = cast(Any, model.module)
    weights = text_classifier(module, LABELS, ("a photo of a {}.", "a drawing of a {}."))
    images = embed_images(module, _batch(model, 3))
    found = {
        "weights": weights,
        "images": images,
        "probabilities": zero_shot_scores(images, weights, LABELS, Scale.of(module)).probabilities,
        "pictures": ask_about(
            [partial(load_example, example) for example in list(EXAMPLES)[:3]],
            model.network.preprocessing,
            module.embed,
        ).values,
    }
    if hasattr(module, "trace_pair"):
        relevance = image_text_relevance(module, _batch(model), "a photo of a cat.", ("a photo of a dog.",))
        found |= {"patches": relevance.patches, "words": relevance.word_relevance}
    reference = torch.from_numpy(weights[0])
    found["hidden"] = masked_responses(
        module,
        _batch(model),
        Target(reference=reference),
        np.ones((1, *GRID), dtype=bool),
        normalisation=model.network.preprocessing.normalisation,
    ).confidence
    return found


def _against_imagenet(device: str, load_model: Load) -> Arrays:
    model = load_model("cnn_small", device)
    openers = [partial(load_example, example) for example in list(EXAMPLES)[:3]]
    return {"logits": ask_about(openers, model.network.preprocessing, model.module).values}


def _diffusion(name: str, device: str, load_model: Load) -> Arrays:
    model = load_model(name, device)
    pipeline = cast(LatentDiffusion, model.module)
    with torch.inference_mode():
        latent = pipeline.encode(_batch(model))[0]
        prompts = pipeline.embed_prompts(PROMPTS)
    denoise = pipeline.denoiser(prompts)
    assert fitting_batch(denoise, latent, most=8) >= 1
    plan = Plan(samples=4, pruning="none", sampling="even")
    classification = finish(classify(denoise, latent, len(PROMPTS), pipeline.alphas_cumprod, plan, batch_size=8))
    view = denoising_view(pipeline, latent, prompts, 400)
    return {
        "latent": latent.float().cpu().numpy(),
        "prompts": prompts.float().cpu().numpy(),
        "noise_error": classification.noise_error,
        "reconstruction_error": classification.reconstruction_error,
        "view_error": view.error,
        "advantage": advantage_map(pipeline, latent, prompts[:2]),
    }


def _other_answers(device: str, load_model: Load) -> Arrays:
    """What an evaluation by denoising lets CLIP and a classifier say about the same images."""
    random = np.random.default_rng(5)
    pictures = random.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    classes = load_model("cnn_small", device).classes
    said = {}
    for name in ("clip_small", "cnn_small"):
        model = load_model(name, device)
        said[name] = finish(answers(model, cast(Any, pictures), classes, classes, "a photo of a {}."))
    return {name: np.asarray(each).shape[0] * np.ones(1) for name, each in said.items()}


def _embeddings(name: str, device: str, load_model: Load) -> Arrays:
    model = load_model(name, device)
    photos = [(each, load_example(each)) for each in list(EXAMPLES)[:2]]
    views = finish(view_set(photos, 3, seed=0, name="views", title="Views"))
    size, normalisation = model.network.preprocessing.size, model.network.preprocessing.normalisation
    known = find_readouts(model.module, size)
    pooling = known.poolings[0]
    cuts = tuple(Readout(layer=layer, pooling=pooling) for layer in {0, known.at("early"), len(known.layers)})
    options: dict[str, Any] = {"model": name, "size": size, "normalisation": normalisation, "lock": model.lock}
    layers = finish(extract_layers(model.module, views.source(size), cuts=cuts, known=known, **options))
    found = {f"layer {cut.layer}": each.vectors for cut, each in layers.items()}
    features = finish(extract_features(model.module, views.source(size), **options))
    return found | {str(each): value.vectors for each, value in features.items()}


def _modality_gap(device: str, load_model: Load) -> Arrays:
    halves = finish(embed_halves(load_model("clip_small", device), "examples", ("a photo of a {}.",)))
    return {"images": halves.held_out.images, "captions": halves.held_out.captions}


def _precision(name: str, device: str, load_model: Load) -> Arrays:
    model = load_model(name, device)
    place = torch.device(device)
    found = {}
    for each in ("fp32", "bf16"):
        copied = cast_format(model.module, FORMATS[each], place)
        found[each] = logits_in(copied, _batch(model), FORMATS[each])
        profile = memory_profile(copied, forward(copied, _batch(model), FORMATS[each]), place)
        assert len(profile.modules)
    found["bf16"] = np.argsort(-found["bf16"])[:, :1].astype(np.float64)
    return found


def save_noise(sizes: Mapping[str, int]) -> Path:
    """A data set of coloured noise in CIFAR-10's classes, for one step of a recipe."""
    random = np.random.default_rng(7)
    folder = data_root() / TOY
    classes = list(load("cnn_small", "cpu").classes)
    for split, count in sizes.items():
        labels = np.arange(count) % len(classes)
        images = random.integers(0, 120, (count, 32, 32, 3)) + 12 * labels[:, None, None, None]
        save_arrays(folder, split, images.astype(np.uint8), labels)
    card = {
        "name": TOY, "title": "Noise", "classes": classes, "storage": "arrays", "image_size": [32, 32],
        "splits": dict(sizes),
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


_STEP = ("training.epochs=1", "training.batch_size=40", "training.precision=fp32", f"dataset={TOY}")
_SMALL_VIT = ("model.embed_dim=32", "model.depth=2", "model.num_heads=2")
_SMALL_CLIP = (
    "start=", "transfer=", "model.image_size=32", "model.width=32", "model.depth=2", "model.num_heads=2",
    "model.text_width=32", "model.text_depth=1", "model.text_heads=2", "model.embed_dim=16",
)  # fmt: skip
_SMALL_PIPELINE = ("model.width=32", "model.inner_width=32", "model.text_width=32", "model.text_depth=1")
# Name → (recipe, overrides): at least one row for every recipe that computes.
RECIPE_STEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ViT": ("vit_scratch", (*_STEP, *_SMALL_VIT)),
    "Differential ViT": ("vit_scratch", (*_STEP, *_SMALL_VIT, "family=differential_vit", "model.num_heads=1")),
    "CNN": ("cnn_scratch", (*_STEP, "model.width=8")),
    "mixer": ("mixer_scratch", (*_STEP, "model.embed_dim=20", "model.depth=1")),
    "VAE": ("vae", (*_STEP, "model.channels=3", "model.image_size=32", "model.hidden_dim=16", "model.latent_dim=4")),
    "small CLIP": ("clip_contrastive", (*_STEP[:3], *_SMALL_CLIP, f"datasets={TOY}")),
    "text to image": ("text_to_image", (*_STEP, *_SMALL_PIPELINE, "val_images=10")),
    "transfer, probe": ("transfer", (*_STEP, "backbone=cnn_small", "mode=linear_probe")),
    "transfer, full": ("transfer", (*_STEP, "backbone=vit_small_p8", "mode=full")),
    "linear probe": ("linear_probe", ("backbone=cnn_small", f"dataset={TOY}")),
    "zero-shot": ("zero_shot", ("model=clip_small", f"dataset={TOY}")),
    "stylise": ("stylise", (f"dataset={TOY}", "images=2", "size=32", "transfer.steps=2")),
    "stress test": (
        "stress",
        (f"dataset={TOY}", 'models=["clip_small", "diffusion_small"]', 'conditions=["scramble:2"]', "max_images=4",
         "diffusion_images=1", "diffusion_samples=2"),
    ),
    "domain shift": ("domain_shift", ('models=["cnn_small"]', "dataset=", f'semantic=["{TOY}"]')),
    "frozen backbones": ("frozen_heads", ('models=["clip_small"]', f'datasets=["{TOY}"]')),
    "zero-shot by diffusion": (
        "diffusion_zero_shot",
        (f"dataset={TOY}", "images=2", "plan.samples=4", "plan.pruning=none", "plan.sampling=even"),
    ),
}  # fmt: skip
# A sweep computes nothing itself: its trials are runs of the recipes above.
WITHOUT_STEPS = ("sweep",)
_WATCHED = ("train_loss", "val_loss", "loss")


def _latent(name: str, device: str, load_model: Load) -> Arrays:
    model: Any = load_model(name, device).module
    images = own_pictures(model, 6, 0).images
    statistics = latent_statistics(model, images)
    again = reencode(model, images, 2)
    return {
        "means": statistics.means,
        "pictures": again.pictures,
        "map": manifold(model, 5).pictures if model.config.latent_dim == 2 else again.latents,
        "walk": traverse(model, statistics.means[0], [0], steps=3).pictures,
        "drawn": draw(model, "laplace", 4).pictures,
    }


def _operators(device: str, load_model: Load) -> Arrays:
    """Single layers are computed where the page is; a trained head is read from its network."""
    found: Arrays = {}
    for name in ("mixer_pre", "mixer_modulated_attention"):
        model = load_model(name, device)
        result = run_layer(learned_layer(cast(MixerNetwork, model.module), _batch(model), block=1, head=0))
        found |= {f"{name} output": result.output, f"{name} field": result.field.gradient}
    return found


def _style(name: str, device: str, load_model: Load) -> Arrays:
    """A few steps: the way of hundreds parts with rounding."""
    network = feature_network(load_model(name, device))
    content, style = fit_pictures(load_example("cat"), paint("mosaic"), 64)
    found: Arrays = {}
    for optimiser in STEPPERS:
        settings = StyleSettings(steps=3, optimiser=optimiser)  # type: ignore[arg-type]
        now = finish(transfer_style(network, content[None], style, settings))
        found |= {f"{optimiser} losses": now.total, f"{optimiser} picture": now.images.cpu().numpy()}
    return found


def _biases(device: str, load_model: Load) -> Arrays:
    """Manipulations where the images are, and what is said of a photo; bytes that rounding may move are averaged."""
    photo = photo_square(load_example("cat"), 64)
    pixels = torch.from_numpy(photo).permute(2, 0, 1)[None].float().div(255).to(torch.device(device))
    steps = {name: Step(name, row.usual) for name, row in MANIPULATIONS.items()}
    found: Arrays = {}
    for name, step in steps.items():
        picture = manipulated(pixels, [step], seed=0, keys=[0])
        assert picture.device.type == pixels.device.type
        found[name] = (picture.mean(dim=(2, 3)) if name in ("silhouette", "jpeg") else picture).cpu().numpy()
    versions = photo_versions(photo, [[steps["grey"]], [steps["scramble"], steps["noise"]]], seed=0)
    for name, labels in (("vit_p4", ()), ("clip_small", LABELS)):
        found[f"{name} says"] = ask_about_photo(load_model(name, device), photo, versions, labels=labels).probabilities
    return found


def _classifiers(device: str, load_model: Load) -> Arrays:
    """The five likeliest classes of three photos, by a classifier and by a model of images and texts."""
    samples = [Sample(title=name, names=(), open=partial(load_example, name)) for name in list(EXAMPLES)[:3]]
    found: Arrays = {}
    for name, labels in (("vit_p4", ()), ("clip_small", LABELS)):
        answers_given = classify_samples(load_model(name, device), samples, labels=labels)
        found[name] = np.array([[each.probability for each in answer.top] for answer in answers_given])
    return found


def _recipe(recipe: str, overrides: tuple[str, ...], device: str, load_model: Load) -> Arrays:
    """All reports of one run of a recipe, those that are figures."""
    found = RECIPES[recipe]
    config: Any = parse_overrides(found.config, list(overrides))
    name = f"{recipe}-{device}-{blake2b(repr(overrides).encode(), digest_size=4).hexdigest()}".replace(":", "-")
    folder = create_run(name, RunSpec.of(recipe, config, device=device))
    # Without those of progress: how often a loss is looked at depends on the device.
    told = cast(Generator[Any, None, None], found.run(config, folder))
    reports = [asdict(report) for report in told if not isinstance(report, Progress)]
    losses = [value for report in reports for key, value in report.items() if key in _WATCHED and value is not None]
    assert reports
    return {"losses": np.array(losses or [0.0], dtype=np.float64)}


def computations() -> list[Computation]:
    """All of them, page by page; models that are not on this machine are left out."""
    ready = [name for name in _PRETRAINED if availability(MODELS[name]).state == "ready"]
    eyes = ["vit_p4", "differential_vit_p4", "cnn_small", *ready]
    listed = [Computation(page="attention", name=name, run=partial(_attention, name)) for name in eyes]
    listed += [
        Computation(page="patch_features", name=name, run=partial(_patch_features, name))
        for name in ("vit_p4", "differential_vit_p4")
    ]
    listed.append(Computation(page="classifiers", name="three photos", run=_classifiers))
    listed += [Computation(page="masking", name=name, run=partial(_masking, name)) for name in eyes]
    listed += [Computation(page="anatomy", name=name, run=partial(_anatomy, name)) for name in ("vit_p4", "clip_small")]
    listed += [
        Computation(page="clip", name="one image, hiding, pictures", run=partial(_clip, "clip_small")),
        Computation(page="clip", name="against ImageNet", run=_against_imagenet),
        # Errors of a chain of convolutions, attention and a difference of two nearly equal sums.
        Computation(
            page="diffusion",
            name="classification, view, map",
            run=partial(_diffusion, "diffusion_small"),
            tolerance=2e-2,
        ),
        Computation(page="diffusion", name="the others' answers", run=_other_answers),
    ]
    listed += [
        Computation(page="embeddings", name=name, run=partial(_embeddings, name))
        for name in ("vit_p4", "cnn_small", "clip_small")
    ]
    listed += [
        Computation(page="modality_gap", name="clip_small", run=_modality_gap),
        Computation(page="latent", name="vae_2d", run=partial(_latent, "vae_2d")),
        Computation(page="latent", name="vae_warmup", run=partial(_latent, "vae_warmup")),
        Computation(page="operators", name="trained heads", run=_operators),
        Computation(page="biases", name="every manipulation, answers on a photo", run=_biases),
        Computation(page="style", name="cnn_small", run=partial(_style, "cnn_small"), tolerance=2e-2),
        Computation(page="precision", name="cnn_small", run=partial(_precision, "cnn_small")),
        Computation(page="precision", name="vit_p4", run=partial(_precision, "vit_p4")),
    ]
    listed += [
        Computation(page="train", name=name, run=partial(_recipe, *row), tolerance=2e-2, twice=False)
        for name, row in RECIPE_STEPS.items()
    ]
    return listed


def differences(first: Arrays, second: Arrays) -> dict[str, float]:
    """Largest difference of each array, as a share of the first's largest magnitude; infinite where shapes differ."""
    found = {}
    for key in first.keys() | second.keys():
        one, other = first.get(key), second.get(key)
        if one is None or other is None or one.shape != other.shape:
            found[key] = float("inf")
            continue
        both = np.abs(one.astype(np.float64) - other.astype(np.float64))
        scale = float(np.nanmax(np.abs(one.astype(np.float64)))) if one.size else 1.0
        found[key] = float(np.nanmax(both)) / max(scale, 1e-6) if one.size else 0.0
        if not np.isfinite(one).all() or not np.isfinite(other).all():
            found[key] = float("inf")
    return found
