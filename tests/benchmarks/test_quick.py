"""Every benchmark runs to its end with --quick and writes what it measured, so that none rots between its uses."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from core.experiments.catalogue import RECIPES
from core.paths import BUNDLED, CHECKOUT
from core.runs.store import RunSpec, create_run
from tests.clip_toy import save_tiny_clip
from tests.diffusion_toy import save_tiny_pipeline
from tests.toy import save_toy

TINY_MIXER = ("dataset=toy", "model.image_size=8", "model.classes=2", "training.batch_size=16")
TINY_VIT = (
    "dataset=toy", "model.image_size=8", "model.classes=2", "model.patch_size=4", "model.embed_dim=16",
    "model.depth=1", "model.num_heads=2", "training.epochs=1", "training.batch_size=16", "max_images=0",
)  # fmt: skip
TINY_VAE = ("model.image_size=8", "model.channels=3", "max_images=0", "training.batch_size=16", "bound_images=4")


def _sets(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


def _nothing(folder: Path) -> list[str]:
    return []


def _of_toy(folder: Path) -> list[str]:
    return ["--model", "vit_p4", "--dataset", "toy"]


def _seeds(folder: Path) -> list[str]:
    """Two runs on each side: their cards are all that is read."""
    card = json.loads((BUNDLED / "vit_p4" / "card.json").read_text(encoding="utf-8"))
    for name, accuracy in {"a0": 0.5, "a1": 0.6, "b0": 0.7, "b1": 0.9}.items():
        run = create_run(name, RunSpec.of("vit_scratch", RECIPES["vit_scratch"].config(), device="cpu"))
        run.model.mkdir(exist_ok=True)
        card["metrics"]["test_accuracy"] = accuracy
        (run.model / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return ["--name", "toy", "--runs", "a=a0,a1", "--runs", "b=b0,b1"]


def _biases(folder: Path) -> list[str]:
    """The table of CIFAR-10 alone, on two classes of its names; the other tables need data that no test has."""
    save_toy({"test": 30}, name="cifar10", classes=("airplane", "cat"))
    model = f"folder:{save_tiny_clip(folder / 'clip')}"
    return ["--models", model, "--large", "", "--tables", "locality,ratios"]


def _frozen_heads(folder: Path) -> list[str]:
    clip = f"folder:{save_tiny_clip(folder / 'clip')}"
    return ["--models", clip, "--probed", clip, "--datasets", "toy", "--probe-on", "toy"]


CASES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "augmentations": (lambda folder: _sets(*TINY_VIT), "regimes"),
    "biases": (_biases, "tables"),
    "diffusion_classifier": (
        lambda folder: ["--model", f"folder:{save_tiny_pipeline(folder / 'pipeline')}", "--dataset", "toy"],
        "times_faster_than_plain_loop",
    ),
    "embedding": (_nothing, "planes"),
    "faithfulness": (_of_toy, "tracks"),
    "frozen_heads": (_frozen_heads, "probes"),
    "imports": (_nothing, "catalogues"),
    "latent_map": (_nothing, "decoding"),
    "manipulations": (_nothing, "results"),
    "masking": (_nothing, "visits"),
    "masking_visitors": (_nothing, "seconds"),
    "mixers": (lambda folder: _sets(*TINY_MIXER), "operators"),
    "operators": (_nothing, "operators"),
    "precision": (_nothing, "models"),
    "rollout": (_nothing, "speedup_over_hook_loop"),
    "seeds": (_seeds, "differences"),
    "stops": (_nothing, "longest_step_ms"),
    "stress": (
        lambda folder: ["--models", f"folder:{save_tiny_clip(folder / 'clip')}", "--dataset", "toy"],
        "share_of_bare_wall_and_processor",
    ),
    "style": (lambda folder: ["--dataset", "toy"], "sets"),
    "time_to_accuracy": (_nothing, "models"),
    "two_epochs": (_nothing, "recipe_over_bare_fp32"),
    "vae_collapse": (lambda folder: ["--dataset", "toy", *_sets(*TINY_VAE)], "summary"),
    "vae_training": (lambda folder: ["--device", "cpu"], "recipe_over_bare"),
    "zero_shot": (
        lambda folder: ["--model", f"folder:{save_tiny_clip(folder / 'clip')}", "--dataset", "toy"],
        "same_answer_as_plain_loop",
    ),
}
FAST = ("manipulations", "masking", "operators", "seeds", "time_to_accuracy", "vae_training")
# These have a browser; training has a test of its own, and gpu needs one (`tests/test_placement.py` runs its rows).
IN_A_BROWSER = {
    "first_paint": "pages",
    "image_plane": "gestures",
    "latency": "key_to_picture_ms",
    "memory": "growth",
    "operators_browser": "sides_px",
    "stops_clicked": "milliseconds",
}
ELSEWHERE = {"training", "gpu"}


def quick(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    """What a benchmark writes."""
    monkeypatch.setattr(report, "RESULTS", folder / "results")
    importlib.import_module(f"benchmarks.{name}").main(["--quick", *words])
    [written] = (folder / "results").glob("*_quick.json")
    found: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return found


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def test_every_benchmark_is_run_by_a_test() -> None:
    files = {path.stem for path in (CHECKOUT / "benchmarks").glob("*.py") if "def main(" in path.read_text("utf-8")}
    assert files == CASES.keys() | IN_A_BROWSER.keys() | ELSEWHERE


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_it_runs_to_its_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_toy({"train": 120, "test": 40})
    prepare, key = CASES[name]
    assert quick(name, prepare(tmp_path), monkeypatch, tmp_path)[key]


@pytest.mark.e2e
@pytest.mark.parametrize("name", IN_A_BROWSER)
def test_it_runs_to_its_end_in_a_browser(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright")
    if not shutil.which("chromium"):
        pytest.skip("needs chromium")
    assert quick(name, [], monkeypatch, tmp_path)[IN_A_BROWSER[name]]


def test_without_a_gpu_nothing_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("benchmarks.gpu").main(["--quick", "--device", "cpu"])
    assert "nothing was compared" in capsys.readouterr().out
