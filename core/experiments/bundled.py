"""The models in `checkpoints/`, as recipes: which run each one is, so that anybody can make it again.

    python -m core bundle --list
    python -m core bundle vit_p4 --install
    python -m core bundle --all --set training.epochs=50        on a GPU, where that takes minutes

Two ViTs of 192 channels, one with differential attention, are there to be looked into; they share budget and seed, and
`benchmarks/seeds.py` compares the two kinds over several seeds. The small ones, 96 wide, differ from each other in one
thing each, at the same budget: a comparison that a laptop can repeat. The mixers are one network with six operators
between its patches, equal in parameters and budget.

The VAEs share network, data and budget too. `benchmarks/vae_collapse.py` repeats the collapse over several seeds.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.configs import differences, parse_overrides
from core.errors import CoreError, UnknownNameError
from core.experiments.catalogue import find_recipe
from core.files import write_json
from core.paths import BUNDLED, INSTALLED
from core.runs.store import RunFolder, RunSpec, create_run, list_runs


@dataclass(frozen=True, kw_only=True)
class BundledRun:
    """One folder of `checkpoints/`: its name, the recipe, and what differs from the recipe's defaults."""

    name: str
    recipe: str
    overrides: tuple[str, ...]


_MUON = ("training.optimizer=muon", "training.learning_rate=0.002", "training.compile=true")
# Sixteen epochs of crops and flips were learned by heart from the twelfth on: 79.7 % of the test images, now 82.6 %;
# with differential attention 76.3 and 79.9 %.
_LONGER = (*_MUON, "training.epochs=30", "training.augmentation=randaugment", "training.precision=bf16")
_SMALL = (*_MUON, "training.epochs=8", "model.embed_dim=96", "model.num_heads=4")
_VAE = ("training.epochs=80", "training.batch_size=256", "training.learning_rate=0.002")
_WARMUP = ("objective.warmup=linear", "objective.warmup_epochs=10", "objective.free_bits=0.05")
# Small enough for hours on one core of a CPU, where `benchmarks/mixers.py` trains them with three seeds each; the rate
# is the best of 0.002, 0.005, 0.01 and 0.02 on validation after 4 epochs of 5000 images.
_MIXER = (
    "training.epochs=8",
    "training.batch_size=128",
    "training.learning_rate=0.02",
    "training.precision=bf16",
    "max_images=15000",
    "model.embed_dim=64",
    "model.depth=3",
    "model.num_heads=4",
)

BUNDLED_RUNS = (
    BundledRun(name="vit_p4", recipe="vit_scratch", overrides=_LONGER),
    BundledRun(
        name="differential_vit_p4",
        recipe="vit_scratch",
        overrides=(*_LONGER, "family=differential_vit", "model.num_heads=3"),
    ),
    BundledRun(name="vit_small_p4", recipe="vit_scratch", overrides=_SMALL),
    BundledRun(name="vit_small_p2", recipe="vit_scratch", overrides=(*_SMALL, "model.patch_size=2")),
    BundledRun(name="vit_small_p8", recipe="vit_scratch", overrides=(*_SMALL, "model.patch_size=8")),
    BundledRun(name="vit_small_no_positions", recipe="vit_scratch", overrides=(*_SMALL, "model.positional=none")),
    BundledRun(name="vit_small_learned_2d", recipe="vit_scratch", overrides=(*_SMALL, "model.positional=learned_2d")),
    BundledRun(name="vit_small_sinusoidal", recipe="vit_scratch", overrides=(*_SMALL, "model.positional=sinusoidal")),
    BundledRun(
        name="cnn_small",
        recipe="cnn_scratch",
        overrides=("model.width=48", "training.epochs=20"),
    ),
    BundledRun(
        name="clip_small",
        recipe="clip_contrastive",
        overrides=("datasets=cifar10+tiny_imagenet*2", "training.compile=true", "training.epochs=5"),
    ),
    *(
        BundledRun(name=name, recipe="mixer_scratch", overrides=(*_MIXER, f"model.operator={operator}"))
        for name, operator in (
            ("mixer_conv", "convolution"),
            ("mixer_attention", "attention"),
            ("mixer_post", "post"),
            ("mixer_pre", "pre"),
            ("mixer_modulated_conv", "attention_modulated_convolution"),
            ("mixer_modulated_attention", "convolution_modulated_attention"),
        )
    ),
    BundledRun(name="diffusion_small", recipe="text_to_image", overrides=("training.epochs=26",)),
    BundledRun(name="vae_collapsed", recipe="vae", overrides=_VAE),
    BundledRun(name="vae_warmup", recipe="vae", overrides=(*_VAE, *_WARMUP)),
    BundledRun(
        name="vae_bernoulli",
        recipe="vae",
        overrides=(*_VAE, *_WARMUP, "model.likelihood=bernoulli", "model.binarise=true"),
    ),
    BundledRun(
        name="vae_2d",
        recipe="vae",
        overrides=(*_VAE, "model.latent_dim=2", "model.likelihood=bernoulli", "model.binarise=true"),
    ),
)


def find_bundled(name: str) -> BundledRun:
    """The bundled model called `name`."""
    known = {row.name: row for row in BUNDLED_RUNS}
    if name not in known:
        raise UnknownNameError("bundled model", name, known)
    return known[name]


def bundled_run(name: str, overrides: tuple[str, ...] = ()) -> RunFolder:
    """The run that trains a bundled model: a new one, or the one begun earlier under the same settings.

    Raises:
        CoreError: a run of that name has other settings.
    """
    row = find_bundled(name)
    recipe = find_recipe(row.recipe)
    config: Any = parse_overrides(recipe.config, [*row.overrides, *overrides])
    spec = RunSpec(recipe=row.recipe, config=asdict(config), overrides=tuple(differences(config)))
    existing = next((run for run in list_runs() if run.name == name), None)
    if existing is None:
        return create_run(name, spec)
    if existing.read_spec().overrides != spec.overrides:
        raise CoreError(f"The run {name!r} has other settings.", "Delete it first: python -m core runs delete.")
    return existing


def _only_in_a_checkout(checkpoints: Path) -> None:
    if INSTALLED and checkpoints == BUNDLED:
        raise CoreError(
            "What pip has installed is not written to.",
            "Use a checkout; every picker has finished runs anyway.",
        )


def install(run: RunFolder, checkpoints: Path = BUNDLED) -> Path:
    """Put a finished run's model where the catalogue looks; returns the folder.

    Raises:
        CoreError: the run is not finished, or `checkpoints` belongs to an installed wheel.
    """
    _only_in_a_checkout(checkpoints)
    if not (run.model / "card.json").is_file():
        raise CoreError(f"The run {run.name!r} has no finished model.", f"Train it: python -m core bundle {run.name}")
    target = checkpoints / run.name
    shutil.copytree(run.model, target, dirs_exist_ok=True)
    return target


def record_evaluation(run: RunFolder, checkpoints: Path = BUNDLED) -> Path:
    """Write what a finished `diffusion_zero_shot` run measured into the card of the bundled pipeline it was of.

    A pipeline is trained and measured in two runs: evaluations on test images take long, and are read once.

    Raises:
        CoreError: the run has no result, is of another model, or of other images than those held out for testing.
    """
    from core.experiments.evaluation import RESULT, read_summary

    _only_in_a_checkout(checkpoints)
    spec = run.read_spec()
    file = checkpoints / str(spec.config.get("model")) / "card.json"
    if spec.recipe != "diffusion_zero_shot" or not file.is_file():
        raise CoreError(
            f"The run {run.name!r} did not evaluate a bundled pipeline.",
            "Evaluate it: python -m core train diffusion_zero_shot --set model=diffusion_small",
        )
    if not (run.path / RESULT).is_file():
        raise CoreError(f"The run {run.name!r} has no result.", f"Let it finish: {spec.command(run.name)}")
    found = read_summary(run)
    if found["split"] != "test":
        raise CoreError(f"The run {run.name!r} is of {found['split']} images; a card reports test images.")
    card = json.loads(file.read_text(encoding="utf-8"))
    compared = ("model", "accuracy", "low", "high", "only_first", "only_second", "p_value")
    card["metrics"] |= {
        "test_accuracy": found["test"]["accuracy"],
        "test_interval_95": [found["test"]["low"], found["test"]["high"]],
        "test_count": found["test"]["count"],
        "test_protocol": f"elimination, {found['plan_words']}",
        "test_plan": found["plan"],
        "test_seed": found["seed"],
        "test_calls": found["calls"]["mean"],
        "test_compared": [{key: row[key] for key in compared} for row in found["others"]],
        "test_command": spec.command(run.name),
    }
    write_json(file, card)
    return file
