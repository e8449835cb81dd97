"""A stop is obeyed within one step, whatever a recipe is doing: looked for at every report, and reports come often."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

import core.reports
from core.experiments import (
    clip_contrastive,
    diffusion_zero_shot,
    domain_shift,
    frozen_heads,
    linear_probe,
    stress,
    stylise,
    text_to_image,
    transfer,
    vae,
    vit_scratch,
    zero_shot,
)
from core.experiments.catalogue import RECIPES
from core.launch import recipes, sweep
from core.launch.execute import execute
from core.methods.diffusion.sampling_plan import Plan
from core.methods.style_transfer.transfer import StyleSettings
from core.models.catalogue import find_model
from core.models.checkpoint import ModelCard, build, save_model
from core.models.small_clip import SmallCLIPConfig
from core.models.small_diffusion import SmallDiffusionConfig
from core.models.vae import VAEConfig
from core.models.vit import ViTConfig
from core.paths import cache_root
from core.reports import Progress, watched
from core.runs.status import read_state
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from tests.clip_toy import save_tiny_clip
from tests.diffusion_toy import save_tiny_pipeline
from tests.experiments import toy_recipe
from tests.toy import save_toy

# Between two reports: a step of training or a batch of images, with what a recipe asks besides (a decoder, texts).
MOST_PASSES = 6
TRAINING = TrainingConfig(epochs=2, batch_size=256, precision="fp32")
CNN = {"image_size": 16, "width": 8, "stages": 2, "classes": 2}


@pytest.fixture(autouse=True)
def _toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More test images than a recipe may read between two reports."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.setitem(RECIPES, "toy", toy_recipe.TOY)
    save_toy({"train": 300, "test": 2600})
    save_toy({"train": 40, "test": 24}, name="few")


def _vit(_: Path) -> Any:
    model = ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=1, num_heads=2, classes=2)
    return vit_scratch.Config(dataset="toy", model=model, training=TRAINING)


def _vae(_: Path) -> Any:
    model = VAEConfig(image_size=8, channels=3, hidden_dim=8, latent_dim=2)
    return vae.Config(dataset="toy", model=model, training=TRAINING, bound_images=4, bound_draws=2)


def _old(folder: Path) -> str:
    card = ModelCard(
        family="small_cnn", title="Old", config=CNN, classes=("a", "b"), mean=(0.5,) * 3, std=(0.2,) * 3,
        dataset="none", recipe="", command="", date="",
    )  # fmt: skip
    torch.manual_seed(0)
    save_model(folder / "old", build("small_cnn", CNN), card)
    return f"folder:{folder / 'old'}"


def _head(folder: Path) -> Any:
    return transfer.Config(backbone=_old(folder), mode="linear_probe", dataset="toy", training=TRAINING)


def _full(folder: Path) -> Any:
    return transfer.Config(backbone=_old(folder), mode="full", dataset="toy", training=TRAINING)


def _probe(folder: Path) -> Any:
    return linear_probe.Config(backbone=_old(folder), dataset="toy", max_iterations=20, batch_size=256)


def _clip(_: Path) -> Any:
    model = SmallCLIPConfig(
        image_size=16, patch_size=8, width=16, depth=1, num_heads=2, text_width=16, text_depth=1, text_heads=2,
        embed_dim=12,
    )  # fmt: skip
    save_toy({"train": 40, "test": 2600}, name="cats", classes=("airplane", "cat"))
    return clip_contrastive.Config(datasets="cats", start="", transfer="", model=model, training=TRAINING)


def _added(folder: Path) -> str:
    """A folder as somebody has added it: what its model can do was tried then, in passes of their own."""
    name = f"folder:{folder}"
    find_model(name)
    return name


def _zero_shot(folder: Path) -> Any:
    return zero_shot.Config(model=_added(save_tiny_clip(folder / "clip")), dataset="few", batch_size=8)


def _pipeline(_: Path) -> Any:
    shape = {"image_size": 8, "halvings": 1, "latent_channels": 4, "width": 32, "inner_width": 32, "text_width": 32}
    model = SmallDiffusionConfig(**shape, text_depth=1)
    training = TrainingConfig(epochs=1, batch_size=16, precision="fp32")
    return text_to_image.Config(dataset="few", model=model, training=training, val_images=4)


def _classifications(folder: Path) -> Any:
    save_tiny_pipeline(folder / "pipeline")
    plan = Plan(pruning="t_test", samples=24, least_samples=4, look_every=4, threshold=0.2)
    return diffusion_zero_shot.Config(
        model=f"folder:{folder / 'pipeline'}", dataset="few", images=3, compare_with=(), plan=plan, batch_size=16
    )


def _stylise(_: Path) -> Any:
    return stylise.Config(dataset="few", images=4, size=32, batch_size=2, transfer=StyleSettings(steps=6))


def _sweep(_: Path) -> Any:
    space = ("training.learning_rate=float:0..0.5",)
    return sweep.Config(recipe="toy", space=space, trials=3, epochs=2, pruner="none")


def _stress(folder: Path) -> Any:
    models = _added(save_tiny_clip(folder / "clip")), _added(save_tiny_pipeline(folder / "pipeline"))
    # A step is an image here: as many passes as a forecast has looks.
    return stress.Config(
        models=models, dataset="few", conditions=("grey:100",), max_images=40, batch_size=8, diffusion_images=3,
        diffusion_samples=8,
    )  # fmt: skip


def _shift(folder: Path) -> Any:
    save_toy({"one": 30, "other": 30}, name="domains")
    return domain_shift.Config(models=(_old(folder),), dataset="domains", semantic=("toy",), max_iterations=20)


def _heads(folder: Path) -> Any:
    return frozen_heads.Config(models=(_added(save_tiny_clip(folder / "clip")),), datasets=("toy",), epochs=2)


CASES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "stress": ("stress", _stress),
    "shift": ("domain_shift", _shift),
    "heads": ("frozen_heads", _heads),
    "vit": ("vit_scratch", _vit),
    "head": ("transfer", _head),
    "full": ("transfer", _full),
    "probe": ("linear_probe", _probe),
    "clip": ("clip_contrastive", _clip),
    "zero_shot": ("zero_shot", _zero_shot),
    "pipeline": ("text_to_image", _pipeline),
    "classifications": ("diffusion_zero_shot", _classifications),
    "stylise": ("stylise", _stylise),
    "sweep": ("sweep", _sweep),
    "vae": ("vae", _vae),
}


@contextmanager
def counted_passes() -> Iterator[list[int]]:
    """How many networks were asked so far, in whatever thread; what a network asks inside counts with it."""
    passes, depth = [0], threading.local()

    def enter(*_: object) -> None:
        depth.now = getattr(depth, "now", 0) + 1
        passes[0] += depth.now == 1

    def leave(*_: object) -> None:
        depth.now -= 1

    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()


def run_of(name: str, case: str, tmp_path: Path) -> RunFolder:
    recipe, make = CASES[case]
    return create_run(name, RunSpec.of(recipe, make(tmp_path), device="cpu"))


# Those have networks of other libraries, or many, which take seconds.
LARGE = ("pipeline", "classifications", "clip", "stress", "stylise")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case in LARGE else case for case in CASES]
)
def test_no_stretch_is_longer_than_a_step_and_a_stop_ends_it_there(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.reports, "EVERY_S", 60)  # else a slow moment makes more reports than the next run has
    between = []
    run = run_of("whole", case, tmp_path)
    with counted_passes() as passes:
        for _ in execute(run):
            between.append(passes[0])
            passes[0] = 0
    reports = len(between)
    if case not in ("pipeline", "vae"):  # pictures are drawn and bounds taken in a thread, beside which they report
        assert max([*between, passes[0]]) <= MOST_PASSES
    for number, place in enumerate({1, reports // 2, reports - 1}):
        run = run_of(f"stopped-{number}", case, tmp_path)
        shutil.rmtree(cache_root(), ignore_errors=True)  # features that are there already make a run shorter
        seen = 0
        for _ in execute(run):
            seen += 1
            if seen == place:
                run.stop.touch()
        assert seen <= place + 1
        assert read_state(run).status == "stopped"
        assert not (run.path / "result.json").exists()
        assert not (run.model / "card.json").exists()


def test_every_recipe_has_a_case() -> None:
    # The scratch recipes share their loop.
    assert {recipe for recipe, _ in CASES.values()} | {"cnn_scratch", "mixer_scratch", "toy"} == set(recipes.RECIPES)


def test_what_cannot_report_is_left_alone_when_somebody_stops() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def deaf() -> int:
        begun.set()
        go_on.wait(60)
        return 7

    said = Progress(step=3, steps=9, text="fitting")
    work = watched(deaf, said)
    assert next(work) == said
    assert next(work) == said
    work.close()  # returns although `deaf` does not
    assert begun.is_set()
    go_on.set()


def test_what_fails_beside_fails_here() -> None:
    def broken() -> int:
        raise ZeroDivisionError("in a thread")

    with pytest.raises(ZeroDivisionError, match="in a thread"):
        list(watched(broken, Progress(step=0, steps=1)))
