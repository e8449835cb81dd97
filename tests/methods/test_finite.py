"""No public function of core.methods answers on numbers that are none: it names them, or says what is missing.

The contract walks every public function; one that takes arrays or networks and is neither asked nor excused here fails.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import core.methods
from core.data.arrays import ArrayDataset
from core.data.transforms import HALF_NORMALISATION, Preprocessing
from core.errors import NotFiniteError
from core.finite import require_finite
from core.methods.accuracy import batched_answers, confusion, predictions, targets
from core.methods.anatomy import positional
from core.methods.attention import attention, gradcam, integrated_gradients, randomisation, relevance, rollout
from core.methods.clip import disagreements, image_text_relevance, synset_variety, zero_shot
from core.methods.diffusion import denoising_view, diffusion_classifier, elimination, forecast, sampling_plan
from core.methods.embeddings import embedding, embedding_quality, features, layer_features, probes, search
from core.methods.embeddings.features import Features
from core.methods.latent import bounds, drawing, passes
from core.methods.latent.pictures import as_bytes
from core.methods.manipulations import manipulated
from core.methods.manipulations.steps import Step
from core.methods.masking import faithfulness, masking, orders
from core.methods.modality_gap import alignment, alignment_steps, modality_gap, procrustes, side_planes
from core.methods.operators import identity_trap, learned_layer, picture, receptive_field, single_layer, trap_curves
from core.methods.patch_features import patch_features
from core.methods.precision import agreement
from core.methods.style_transfer import networks, transfer
from core.models.differential import DifferentialViT
from core.models.mixer import MixerConfig, MixerNetwork
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.vae import VAE, VAEConfig
from core.models.vit import ViT, ViTConfig
from core.reports import finish
from tests.methods.style_transfer.toy_network import toy_model

# What an argument or a parameter of a network's kind is called in a signature.
NUMBERS = re.compile(
    r"ndarray|Tensor|Module|Features|Pairs|AttentionMaps|Similarity|Encoder|LatentDiffusion|LoadedModel|Trace"
)
EXCUSED = {
    "losses.content_losses": "asked by transfer.transfer_style, which refuses such maps and gradients",
    "losses.gram_matrices": "asked by transfer.transfer_style, which refuses such maps and gradients",
    "losses.style_layer_losses": "asked by transfer.transfer_style, which refuses such maps and gradients",
    "losses.total_variations": "asked by transfer.transfer_style, which refuses such maps and gradients",
    "optimisers.adam_step": "asked by transfer.transfer_style, which refuses such gradients and pixels",
    "optimisers.lbfgs_step": "asked by transfer.transfer_style, which refuses such gradients and pixels",
    "networks.averaging": "replaces modules",
    "anatomy.anatomy": "counts parameters, whatever their values",
    "anatomy.describe_architecture": "reads the design, not the values",
    "anatomy.text_tensors": "names of parameters",
    "classify.classify_samples": "asks predictions.predict_logits, zero_shot.embed_images and text_classifier",
    "classify.answer": "sorts probabilities that classify_samples or a page has of zero_shot_scores or softmax",
    "collection.collected_classes": "bytes",
    "synset_variety.detail_in_the_middle": "bytes",
    "precision.parameter_count": "counts parameters, whatever their values",
    "conditions.accuracy_by_condition": "whole numbers",
    "conditions.tally": "whole numbers",
    "pictures.as_digit": "bytes",
    "confusion.accuracy": "whole numbers",
    "confusion.class_accuracies": "whole numbers",
    "confusion.classes_by_error": "whole numbers",
    "confusion.confusion_matrix": "whole numbers",
    "confusion.mistakes_sentence": "whole numbers",
    "confusion.most_confused": "whole numbers",
    "diffusion_batch.fitting_batch": "measures time alone",
    "diffusion_batch.pass_seconds": "measures time alone",
    "elimination.look": "NaN is who has left; classify refuses errors that are none",
    "elimination.ranking": "NaN is who has left; classify refuses errors that are none",
    "diffusion_classifier.replay": "NaN is what was not measured; it refuses to look there",
    "randomisation.randomised": "shuffles weights, whatever their values",
    "sampling_plan.reconstruction_weights": "whole numbers",
    "sampling_plan.usable_steps": "a comparison leaves NaN out, which is its answer",
    "embedding_quality.agreement": "whole numbers",
    "embedding_quality.neighbours_right": "whole numbers",
    "embedding_quality.shared": "whole numbers",
    "features.feature_poolings": "asks what a network offers",
    "layer_features.find_readouts": "shapes alone",
    "orders.keep_from_order": "whole numbers",
    "orders.keep_from_patches": "whole numbers",
    "orders.removal_keeps": "whole numbers",
    "memory_profile.memory_profile": "bytes alone",
    "memory_profile.parameter_bytes": "bytes alone",
    "modality_gap.split_pairs": "whole numbers",
    "modality_gap_pairs.embed_halves": "asks features.extract_features and zero_shot.embed_texts",
    "paired.paired": "whole numbers",
    "photo.ask_about_photo": "asks predictions.predict_logits and zero_shot.embed_images",
    "photo.photo_versions": "bytes",
    "precision.cast": "a copy in another format",
    "precision.forward": "what leaves its range there is what agreement.agreement reports",
    "precision.image_tower": "a part of a network",
    "precision.logits_in": "what leaves its range there is what agreement.agreement reports",
    "precision.measure_latencies": "measures time alone",
    "precision_probe.process_memory": "bytes alone",
    "draws.normal": "random numbers alone",
    "elimination_cost.budget_curve": "whole numbers",
    "elimination_cost.replay_all": "asks diffusion_classifier.replay",
    "same_images.answers": "asks class_matching.class_scorer",
    "class_matching.class_scorer": "asks predictions.predict_logits and zero_shot.embed_images",
    "class_matching.match_classes": "names of classes",
    "features.digest_weights": "bytes, whatever their values",
    "features.resized": "bytes",
    "shape_bias.shape_bias": "whole numbers",
    "stress_table.disputed_images": "whole numbers",
    "stress_table.model_pairs": "whole numbers",
    "stress_table.stress_table": "whole numbers",
    "targets.trace_score": "is differentiated; its callers look at the gradients",
} | dict.fromkeys(
    (
        "colours.add_noise", "colours.brighten", "colours.change_contrast", "colours.colour_digits",
        "colours.fade", "colours.noise_patch", "colours.reorder", "colours.rotate_hue", "colours.write_jpeg",
        "geometry.blur", "geometry.elastic", "geometry.pixelate", "geometry.scramble", "lines.edges",
        "lines.silhouette",
    ),
    "manipulated.manipulated looks at the images first",
)  # fmt: skip

RANDOM = np.random.default_rng(0)
SIZE = ViTConfig(image_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=2, classes=3)


def numbers(*shape: int, bad: bool) -> np.ndarray:
    """Finite, or with one NaN in the middle."""
    values = RANDOM.random(shape).astype(np.float32)
    if bad:
        values.flat[values.size // 2] = np.nan
    return values


def network(bad: bool, kind: type[nn.Module] = ViT) -> nn.Module:
    torch.manual_seed(0)
    cnn = SmallCNNConfig(image_size=16, width=8, stages=2, classes=3)
    module: nn.Module = SmallCNN(cnn) if kind is SmallCNN else kind(SIZE)
    module.eval()
    if bad:  # a training that diverged
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(float("nan"))
    return module


class Tiny(nn.Module):
    """An image-text encoder in three lines."""

    logit_scale, logit_bias, kind, context_length = 10.0, 0.0, "softmax", 4

    def __init__(self, bad: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 4), float("nan") if bad else 0.5))

    def embed(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3)) @ self.weight

    def tokenise(self, texts: Any) -> Any:
        return SimpleNamespace(ids=torch.ones(len(texts), 3), pieces=[("a",)] * len(texts))

    def embed_tokens(self, ids: Tensor) -> Tensor:
        return ids @ self.weight

    def trace_pair(self, images: Tensor, texts: Any) -> Any:
        image, words = (torch.full((1, 1, 5, 5), 0.2) * self.weight.mean() for _ in range(2))
        return SimpleNamespace(
            scores=(image.sum() + words.sum())[None, None], image_attention=(image,), text_attention=(words,),
            grid=(2, 2), prefix_tokens=1, image_pooling="class_token", text_read=torch.zeros(1, dtype=torch.int64),
        )  # fmt: skip


class Diffuser:
    """Predicts noise, or NaN."""

    alphas_cumprod = np.linspace(0.9, 0.1, 10)

    def __init__(self, bad: bool) -> None:
        self.bad = bad

    def denoiser(self, prompts: Tensor) -> Callable[..., Tensor]:
        return lambda latents, steps, which: latents * (float("nan") if self.bad else 0.5)

    def decode(self, latents: Tensor) -> Tensor:
        return latents.clamp(-1, 1)


def maps(bad: bool) -> attention.AttentionMaps:
    return attention.AttentionMaps(
        weights=numbers(2, 2, 5, 5, bad=bad), grid=(2, 2), prefix_tokens=1, pooling="class_token", signed=False,
        logits=None,
    )  # fmt: skip


def pairs(images: bool = False, captions: bool = False) -> modality_gap.Pairs:
    return modality_gap.Pairs(
        images=numbers(8, 4, bad=images), labels=np.arange(8) % 2, captions=numbers(2, 2, 4, bad=captions),
        chosen=np.zeros(8, np.int64),
    )  # fmt: skip


def split(bad: bool) -> Features:
    return Features(vectors=numbers(9, 4, bad=bad), labels=np.arange(9) % 3)


def photo(bad: bool = False) -> Tensor:
    return torch.from_numpy(numbers(1, 3, 16, 16, bad=bad))


def pixels() -> ArrayDataset:
    images = RANDOM.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    return ArrayDataset(name="toy", split="all", images=images, labels=np.zeros(5, np.int64), classes=("a",))


def masked(function: Callable[..., Any], *rest: Any, **options: Any) -> Callable[[bool], Any]:
    target = targets.Target(class_index=1)
    return lambda bad: function(
        network(bad), photo(), target, *rest, normalisation=HALF_NORMALISATION, **options
    )  # fmt: skip


def on_features(bad: bool) -> Any:
    module = network(bad)
    return finish(features.extract_features(module, pixels(), model="tiny", size=16, normalisation=HALF_NORMALISATION))


def on_layers(bad: bool) -> Any:
    module = network(bad)
    cut = layer_features.Readout(layer=1, pooling="mean")
    known = layer_features.find_readouts(module, 16)
    return finish(
        layer_features.extract_layers(
            module, pixels(), cuts=(cut,), known=known, model="tiny", size=16, normalisation=HALF_NORMALISATION,
        )
    )  # fmt: skip


def found_like(bad: bool) -> Any:
    module = network(bad)
    cut = layer_features.Readout(layer=1, pooling="mean")
    known = layer_features.find_readouts(module, 16)
    like = Image.new("RGB", (16, 16))
    return search.image_query(module, like, cut, known, size=16, normalisation=HALF_NORMALISATION)


def few_layers(bad: bool) -> Any:
    module = network(bad)
    cuts = (layer_features.Readout(layer=1, pooling="mean"),)
    known = layer_features.find_readouts(module, 16)
    few = np.zeros((2, 16, 16, 3), np.uint8)
    return layer_features.layer_vectors(module, few, cuts, known, size=16, normalisation=HALF_NORMALISATION)


def cached(bad: bool) -> Any:
    def read(images: Tensor, missing: list[str]) -> dict[str, Tensor]:
        return {name: images.mean(dim=(2, 3)) * (float("nan") if bad else 1) for name in missing}

    return finish(
        features.cached_vectors(
            network(False), pixels(), read, {"all": "all"}, model="tiny", size=16, normalisation=HALF_NORMALISATION,
        )
    )  # fmt: skip


def classification(bad: bool) -> Any:
    latent = torch.from_numpy(numbers(2, 4, 4, bad=bad))
    plan = sampling_plan.Plan(samples=4, pruning="none")
    return finish(
        diffusion_classifier.classify(lambda noised, *_: noised * 0.5, latent, 2, Diffuser.alphas_cumprod, plan)
    )


def shown(function: Callable[..., Any], *rest: Any) -> list[Callable[[bool], Any]]:
    return [
        lambda bad: function(Diffuser(bad), torch.rand(3, 4, 4), torch.zeros(2, 1, 1), *rest),
        lambda bad: function(
            Diffuser(False), torch.from_numpy(numbers(3, 4, 4, bad=bad)), torch.zeros(2, 1, 1), *rest
        ),
    ]  # fmt: skip


def both(function: Callable[..., Any], first: tuple[int, ...], second: tuple[int, ...]) -> list[Callable[[bool], Any]]:
    """A function of two arrays, either of which may be broken."""
    return [
        lambda bad: function(numbers(*first, bad=bad), numbers(*second, bad=False)),
        lambda bad: function(numbers(*first, bad=False), numbers(*second, bad=bad)),
    ]


SCALE = zero_shot.Scale(scale=10.0, bias=0.0, kind="softmax")
CENTRED = alignment.VARIANTS["centred"]
ASKED: dict[str, list[Callable[[bool], Any]]] = {
    "synset_variety.synset_variety": [
        lambda bad: synset_variety.synset_variety(np.zeros((5, 8, 8, 3), np.uint8), numbers(5, 3, bad=bad))
    ],
    "agreement.agreement": [lambda bad: agreement.agreement(numbers(4, 3, bad=bad), numbers(4, 3, bad=False))],
    "alignment.check_pairs": both(alignment.check_pairs, (5, 3), (5, 3)),
    "alignment.fit_alignment": both(lambda a, b: alignment.fit_alignment(a, b, CENTRED), (5, 3), (5, 3)),
    "attention.attention_distance": [lambda bad: attention.attention_distance(maps(bad), 8)],
    "attention.attention_entropy": [lambda bad: attention.attention_entropy(maps(bad))],
    "attention.attention_maps": [lambda bad: attention.attention_maps(network(bad), photo())],
    "attention.attention_mass": [lambda bad: attention.attention_mass(numbers(6, bad=bad), 0.5)],
    "attention.fuse_heads": [lambda bad: attention.fuse_heads(numbers(2, 4, 4, bad=bad), "max")],
    "attention.key_maps": [lambda bad: attention.key_maps(maps(bad), 1)],
    "attention.masses": [lambda bad: attention.masses(numbers(2, 3, 4, bad=bad), 0.5)],
    "attention.query_maps": [lambda bad: attention.query_maps(maps(bad), 1)],
    "attention.shown_map": [lambda bad: attention.shown_map(maps(bad), 0)],
    "rollout.rollout_maps": [lambda bad: rollout.rollout_maps(maps(bad))],
    "masking.masked_pixels": [
        lambda bad: masking.masked_pixels(
            photo(bad), np.ones((2, 2), dtype=bool), "mean", normalisation=HALF_NORMALISATION
        )
    ],
    "attention.readout_maps": [lambda bad: attention.readout_maps(maps(bad))],
    "confusion.surest_errors": [
        lambda bad: confusion.surest_errors(np.zeros(4, int), np.ones(4, int), numbers(4, bad=bad), 2)
    ],
    "denoising_view.advantage_map": shown(denoising_view.advantage_map),
    "denoising_view.denoising_view": shown(denoising_view.denoising_view, 5),
    "diffusion_classifier.classify": [classification],
    "elimination.paired_p_value": [lambda bad: elimination.paired_p_value(numbers(9, bad=bad))],
    "forecast.learn_covariance": [
        lambda bad: forecast.learn_covariance(
            numbers(2, 40, 3, bad=bad), np.tile(np.arange(0, 1000, 25), (2, 1)), 1000, ""
        )
    ],
    "forecast.smallest_chances": both(lambda a, b: forecast.smallest_chances(a, abs(b), 9.0), (4,), (4,)),
    "disagreements.find_disagreements": both(
        lambda a, b: disagreements.find_disagreements(a, b, np.zeros(3, int), 1), (3, 5), (3, 5)
    ),
    "embedding.align": both(embedding.align, (5, 2), (5, 2)),
    "embedding.given_plane": [lambda bad: embedding.given_plane(numbers(7, 2, bad=bad))],
    "embedding.place": [
        lambda bad: embedding.place(numbers(7, 3, bad=bad), embedding.PlaneConfig(method="pca")),
        lambda bad: embedding.place(
            numbers(7, 3, bad=False), embedding.PlaneConfig(method="pca"), start=numbers(7, 2, bad=bad)
        ),
    ],
    "embedding.place_once": [
        lambda bad: embedding.place_once(numbers(7, 3, bad=bad), embedding.PlaneConfig(method="pca"))
    ],
    "embedding.principal_components": [lambda bad: embedding.principal_components(numbers(7, 3, bad=bad), 2)],
    "embedding_quality.debiased_cka": both(embedding_quality.debiased_cka, (6, 3), (6, 3)),
    "embedding_quality.directions": [lambda bad: embedding_quality.directions(numbers(5, 3, bad=bad))],
    "embedding_quality.faithfulness": both(lambda a, b: embedding_quality.faithfulness(a, b, 2), (9, 3), (9, 2)),
    "embedding_quality.nearest": [lambda bad: embedding_quality.nearest(numbers(5, 2, bad=bad), 2)],
    "faithfulness.area": [lambda bad: faithfulness.area(np.linspace(0, 1, 4), numbers(4, bad=bad))],
    "faithfulness.faithfulness": [
        masked(faithfulness.faithfulness, {"a": numbers(2, 2, bad=False)}, grid=(2, 2), steps=2, random_orders=2),
        lambda bad: masked(
            faithfulness.faithfulness, {"a": numbers(2, 2, bad=bad)}, grid=(2, 2), steps=2, random_orders=2
        )(False),
    ],
    "features.cached_vectors": [cached],
    "features.extract_features": [on_features],
    "features.pool_last": [on_features],
    "gradcam.grad_cam": [
        lambda bad: gradcam.grad_cam(network(bad, SmallCNN), photo(), targets.Target(class_index=1)),
        lambda bad: gradcam.grad_cam(network(False, SmallCNN), photo(bad), targets.Target(class_index=1)),
    ],
    "image_text_relevance.image_text_relevance": [
        lambda bad: image_text_relevance.image_text_relevance(Tiny(bad), photo(), "a")
    ],
    "integrated_gradients.integrated_gradients": [
        lambda bad: integrated_gradients.integrated_gradients(network(bad), photo(), targets.Target(class_index=1)),
        lambda bad: integrated_gradients.integrated_gradients(
            network(False, SmallCNN), photo(bad), targets.Target(class_index=1)
        ),
    ],
    "layer_features.extract_layers": [on_layers],
    "layer_features.layer_vectors": [few_layers],
    "search.image_query": [found_like],
    "search.search": both(search.search, (3,), (5, 3)),
    "search.text_query": [lambda bad: search.text_query(Tiny(bad), "a")],
    "batched_answers.ask_about": [
        lambda bad: batched_answers.ask_about(
            [lambda: Image.new("RGB", (16, 16))], Preprocessing(size=16, normalisation=HALF_NORMALISATION), network(bad)
        )
    ],
    "manipulated.manipulated": [
        lambda bad, step=step: manipulated.manipulated(photo(bad), [step], seed=0, keys=[0])
        for step in (Step("grey", 100), Step("scramble", 2), Step("silhouette", 100), Step("blur", 0))
    ],
    "masking.mask_patches": [
        lambda bad: masking.mask_patches(
            photo(bad), torch.ones(1, 2, 2, dtype=torch.bool), "mean", normalisation=HALF_NORMALISATION
        )
    ],
    "masking.masked_responses": [masked(masking.masked_responses, np.ones((2, 2, 2), bool))],
    "masking.masking_curve": [masked(masking.masking_curve, np.arange(4), grid=(2, 2), steps=2)],
    "orders.masking_order": [lambda bad: orders.masking_order("most_attended", (2, 2), scores=numbers(2, 2, bad=bad))],
    "masking.random_band": [masked(masking.random_band, grid=(2, 2), steps=2, orders=2)],
    "orders.scores_on_grid": [lambda bad: orders.scores_on_grid(numbers(4, 4, bad=bad), (2, 2))],
    "modality_gap.accuracy_of": both(lambda a, b: modality_gap.accuracy_of(a, b, np.zeros(5, int)), (5, 3), (2, 2, 3)),
    "modality_gap.classify": both(modality_gap.classify, (5, 3), (2, 2, 3)),
    "modality_gap.compare_variants": [
        lambda bad: modality_gap.compare_variants(pairs(images=bad), pairs(), [CENTRED], shuffles=1)
    ],
    "modality_gap.measure": [lambda bad: modality_gap.measure(pairs(captions=bad), pairs(), CENTRED, shuffles=1)],
    "modality_gap.modality_gap": both(modality_gap.modality_gap, (5, 3), (5, 3)),
    "modality_gap.pair_budget": [lambda bad: modality_gap.pair_budget(pairs(), pairs(images=bad), CENTRED)],
    "alignment_steps.alignment_steps": [
        lambda bad: alignment_steps.alignment_steps(pairs(images=bad), pairs(), CENTRED, steps=2, shuffles=1)
    ],
    "positional.distance_profile": [
        lambda bad: positional.distance_profile(
            positional.PositionalSimilarity(
                matrix=numbers(4, 4, bad=bad), tiles=np.zeros((2, 2, 2, 2)), grid=(2, 2), measure="cosine"
            )
        )
    ],
    "positional.positional_similarity": [
        lambda bad: positional.positional_similarity(numbers(5, 3, bad=bad), (2, 2), 1)
    ],
    "predictions.predict_logits": [lambda bad: predictions.predict_logits(network(bad), photo())],
    "predictions.softmax": [lambda bad: predictions.softmax(numbers(3, bad=bad))],
    "predictions.top_predictions": [lambda bad: predictions.top_predictions(numbers(3, bad=bad), ("a", "b", "c"))],
    "probes.fit_linear": [lambda bad: probes.fit_linear(numbers(9, 3, bad=bad), np.arange(9) % 3, 1.0)],
    "probes.fit_probe": [lambda bad: finish(probes.fit_probe(split(bad), split(False)))],
    "probes.linear_probe": [lambda bad: finish(probes.linear_probe(split(False), split(False), split(bad)))],
    "probes.nearest_neighbours": [
        lambda bad: probes.nearest_neighbours(split(bad), split(False), neighbours=3),
        lambda bad: probes.nearest_neighbours(split(False), split(bad), neighbours=3),
    ],
    "side_planes.planes_beside": [lambda bad: side_planes.planes_beside(pairs(), pairs(images=bad), CENTRED)],
    "procrustes.best_rotation": both(procrustes.best_rotation, (5, 3), (5, 3)),
    "procrustes.unit_vectors": [lambda bad: procrustes.unit_vectors(numbers(5, 3, bad=bad))],
    "randomisation.map_similarity": both(randomisation.map_similarity, (3, 3), (3, 3)),
    "randomisation.sanity_similarities": [
        lambda bad: randomisation.sanity_similarities(
            network(bad), photo(), {"a": lambda *given: relevance.gradient_relevance(*given)[-1]}
        ),
        lambda bad: randomisation.sanity_similarities(
            network(False), photo(), {"a": lambda *_: numbers(2, 2, bad=bad)}
        ),
    ],
    "randomisation.summarise_sanity": [lambda bad: randomisation.summarise_sanity({"a": numbers(6, 2, bad=bad)})],
    "relevance.gradient_relevance": [
        lambda bad: relevance.gradient_relevance(network(bad), photo(), targets.Target(class_index=1))
    ],
    "rollout.attention_rollout": [lambda bad: rollout.attention_rollout(numbers(2, 2, 5, 5, bad=bad))],
    "rollout.mixing_matrices": [
        lambda bad: rollout.mixing_matrices(
            numbers(2, 2, 5, 5, bad=bad), fusion="mean", discard_ratio=0.0, residual=True, prefix_tokens=1
        )
    ],
    "rollout.rollout_to": [lambda bad: rollout.rollout_to(maps(bad), 0)],
    "rollout.rollout_batch": [
        lambda bad: rollout.rollout_batch(network(bad), photo()),
        # Signed maps lose what is negative before rows are normalised; NaN must not be lost with it.
        lambda bad: rollout.rollout_batch(network(bad, DifferentialViT), photo()),
    ],
    "targets.pick_target": [
        lambda bad: targets.pick_target(network(bad), photo()),
        lambda bad: targets.pick_target(network(bad), photo(), classifier=False),
    ],
    "targets.target_confidence": [
        lambda bad: targets.target_confidence(network(bad), photo(), targets.Target(class_index=1)),
        lambda bad: targets.target_confidence(network(bad), photo(), targets.Target(reference=torch.ones(16))),
    ],
    "zero_shot.class_weights": [lambda bad: zero_shot.class_weights(numbers(2, 2, 4, bad=bad))],
    "zero_shot.embed_images": [lambda bad: zero_shot.embed_images(Tiny(bad), photo())],  # type: ignore[arg-type]
    "zero_shot.embed_texts": [lambda bad: zero_shot.embed_texts(Tiny(bad), ["a"])],  # type: ignore[arg-type]
    "zero_shot.probabilities": [
        lambda bad: zero_shot.probabilities(numbers(3, bad=bad), "softmax"),
        lambda bad: zero_shot.probabilities(numbers(3, bad=bad), "sigmoid"),
    ],
    "zero_shot.similarity_matrix": both(zero_shot.similarity_matrix, (2, 4), (3, 4)),
    "zero_shot.template_scores": both(lambda a, b: zero_shot.template_scores(a, b, SCALE), (4,), (2, 2, 4)),
    "zero_shot.text_classifier": [
        lambda bad: zero_shot.text_classifier(Tiny(bad), ["a", "b"], ["{}."])  # type: ignore[arg-type]
    ],
    "zero_shot.unit": [lambda bad: zero_shot.unit(numbers(5, 3, bad=bad))],
    "zero_shot.zero_shot_scores": both(
        lambda a, b: zero_shot.zero_shot_scores(a, b, ["a", "b"], SCALE), (3, 4), (2, 4)
    ),
}


def vae() -> VAE:
    return VAE(VAEConfig(image_size=8, channels=1, hidden_dim=8, latent_dim=2)).eval()


def mixer() -> MixerNetwork:
    return MixerNetwork(MixerConfig(image_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=2, classes=3)).eval()


def broken_vae() -> VAE:
    """One weight of its decoder is no number."""
    model = vae()
    with torch.no_grad():
        next(model.decoder.parameters())[0] = float("nan")
    return model


def paint(bad: bool) -> object:
    model = toy_model()
    if bad:
        with torch.no_grad():
            next(model.module.parameters()).fill_(float("nan"))
    pixels = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    network = networks.feature_network(model)
    return finish(transfer.transfer_style(network, pixels, pixels[0], transfer.StyleSettings(steps=1)))


SHARES = np.linspace(0, 1, 3, dtype=np.float32)
ASKED |= {
    "networks.feature_network": [paint],
    "transfer.transfer_style": [paint],
    "patch_features.components": [lambda bad: patch_features.components(numbers(6, 4, bad=bad), 3)],
    "patch_features.nearest_patches": [lambda bad: patch_features.nearest_patches(numbers(2, 4, bad=bad), 0)],
    "patch_features.patch_colours": [lambda bad: patch_features.patch_colours(numbers(2, 4, 3, bad=bad), (2, 2))],
    "patch_features.patch_similarity": [lambda bad: patch_features.patch_similarity(numbers(2, 4, 3, bad=bad), 0, 0)],
    "patch_features.patch_tokens": [lambda bad: patch_features.patch_tokens(network(bad), photo())],
    "bounds.standard_error": [lambda bad: bounds.standard_error(numbers(4, bad=bad))],
    "drawing.interpolate": [lambda bad: drawing.interpolate(vae(), numbers(2, bad=bad), numbers(2, bad=False))],
    "drawing.linear": [lambda bad: drawing.linear(numbers(2, bad=bad), numbers(2, bad=False), SHARES)],
    "drawing.manifold": [
        lambda bad: drawing.manifold(vae(), 2, dimensions=(0, 1)) if not bad else drawing.manifold(broken_vae(), 2)
    ],
    "drawing.spherical": [lambda bad: drawing.spherical(numbers(2, bad=bad), numbers(2, bad=False), SHARES)],
    "drawing.traverse": [lambda bad: drawing.traverse(vae(), numbers(2, bad=bad), [0])],
    "pictures.as_bytes": [lambda bad: as_bytes(numbers(2, bad=bad))],
    "passes.decoded": [lambda bad: passes.decoded(vae(), numbers(3, 2, bad=bad))],
    "identity_trap.identity_trap": [
        lambda bad: identity_trap.identity_trap(torch.from_numpy(numbers(1, 2, 3, 3, bad=bad)), [1.0])
    ],
    "identity_trap.normalise_positions": [
        lambda bad: identity_trap.normalise_positions(torch.from_numpy(numbers(1, 2, 3, 3, bad=bad)))
    ],
    "receptive_field.gradient_field": [
        lambda bad: receptive_field.gradient_field(
            lambda x: x * 2, torch.from_numpy(numbers(1, 2, 3, 3, bad=bad)), (1, 1)
        )
    ],
    "receptive_field.network_receptive_field": [
        lambda bad: receptive_field.network_receptive_field(mixer(), torch.from_numpy(numbers(1, 3, 8, 8, bad=bad)))
    ],
    "learned_layer.learned_layer": [
        lambda bad: learned_layer.learned_layer(
            mixer(), torch.from_numpy(numbers(1, 3, 8, 8, bad=bad)), block=0, head=0
        )
    ],
    "picture.colour_readout": [
        lambda bad: picture.colour_readout(numbers(2, 3, 3, bad=bad), numbers(3, 3, 3, bad=False)),
        lambda bad: picture.colour_readout(numbers(2, 3, 3, bad=False), numbers(3, 3, 3, bad=bad)),
    ],
    "picture.picture_contrast": [lambda bad: picture.picture_contrast(numbers(3, 3, 3, bad=bad))],
    "picture.read_colours": [
        lambda bad: picture.read_colours(numbers(2, 3, 3, bad=bad), np.ones((3, 2)), numbers(3, 3, 3, bad=False))
    ],
    "trap_curves.trap_curves": [
        lambda bad: trap_curves.trap_curves([], [1.0], picture=numbers(8, 8, 3, bad=bad)),
    ],
    "single_layer.patch_map": [lambda bad: single_layer.patch_map(numbers(4, 4, 3, bad=bad))],
    "single_layer.random_layers": [
        lambda bad: single_layer.random_layers(
            np.clip(numbers(4, 4, 3, bad=bad), 0, 1), single_layer.OperatorSettings()
        )
    ],
    "single_layer.single_layer": [
        lambda bad: single_layer.single_layer(
            np.clip(numbers(4, 4, 3, bad=bad), 0, 1), "attention", single_layer.OperatorSettings()
        )
    ],
}  # fmt: skip


def public_functions() -> dict[str, Callable[..., Any]]:
    """Every public function of core.methods whose signature holds numbers, by module and name."""
    found = {}
    for info in pkgutil.walk_packages(core.methods.__path__, "core.methods."):
        module = importlib.import_module(info.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("_") or function.__module__ != module.__name__:
                continue
            annotations = [str(each.annotation) for each in inspect.signature(function).parameters.values()]
            if any(NUMBERS.search(each) for each in annotations):
                found[f"{info.name.rsplit('.', 1)[1]}.{name}"] = function
    return found


def test_every_public_function_that_takes_numbers_is_asked_or_excused() -> None:
    walked = set(public_functions())
    assert walked >= {"zero_shot.zero_shot_scores", "rollout.attention_rollout", "probes.linear_probe"}
    unknown = walked - set(ASKED) - set(EXCUSED)
    assert not unknown, f"Feed these a NaN in ASKED, or say in EXCUSED why not: {sorted(unknown)}"
    assert not set(ASKED) & set(EXCUSED)
    assert not (set(ASKED) | set(EXCUSED)) - walked - {"features.pool_last"}, "There is no such function."


@pytest.mark.parametrize("name", ASKED)
def test_no_answer_is_given_on_numbers_that_are_none(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    for ask in ASKED[name]:
        ask(False)
        with pytest.raises(NotFiniteError, match="not numbers") as caught:
            ask(True)
        assert caught.value.remedy


def test_in_half_precision_what_is_no_number_is_the_finding() -> None:
    reference, reduced = numbers(4, 3, bad=False), numbers(4, 3, bad=True)
    found = agreement.agreement(reference, reduced)
    assert found.finite.tolist() == [True, True, False, True]
    assert not found.same_answer[2]
    with pytest.raises(NotFiniteError, match=r"The fp32 logits of shape \(4, 3\): 1 of 12 .* first at \[2, 0\]"):
        agreement.agreement(reduced, reference)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_error_names_the_array_the_place_and_the_remedy(value: float) -> None:
    values = np.ones((2, 3))
    require_finite("The logits", values)
    require_finite("The logits", torch.ones(2, 3))
    require_finite("Labels", np.arange(3))
    values[1, 2] = value
    for each in (values, torch.from_numpy(copy.deepcopy(values))):
        with pytest.raises(NotFiniteError) as caught:
            require_finite("The logits", each)
        assert caught.value.cause == (
            "The logits of shape (2, 3): 1 of 6 are not numbers (NaN or infinite), the first at [1, 2]."
        )
        assert "fp32" in caught.value.remedy
