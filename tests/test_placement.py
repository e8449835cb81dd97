"""A model lives on one device: everything that is computed with it goes there, and nobody moves it.

On a device of its own kind (`tests/standin.py`) a tensor and a module that disagree fail as on a GPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.gpu_computations import RECIPE_STEPS, WITHOUT_STEPS, computations
from core.device import as_input_of, choose_device, device_of, known_devices, pick_device, weights_dtype, wished_device
from core.errors import ConfigError
from core.launch.recipes import RECIPES
from core.paths import CHECKOUT

PAGES = {path.parent.name for path in (CHECKOUT / "pages").glob("*/page.py")}


def asks_a_model(page: str) -> bool:
    """Whether a file of the page's folder takes models from where pages share them."""
    files = (CHECKOUT / "pages" / page).glob("*.py")
    return any("pages.shared.cache" in each.read_text(encoding="utf-8") for each in files)


def on_standin(*arguments: str) -> dict[str, str]:
    """What went wrong, by name of what was computed."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.on_standin", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    rows = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"name"')]
    assert ran.returncode == 0, ran.stderr[-3000:]
    return {row["name"]: row["wrong"] for row in rows}


@pytest.mark.slow
def test_everything_is_computed_where_the_model_is() -> None:
    found = on_standin("computations")
    assert len(found) == len(computations())
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.slow
def test_pages_open_on_another_device_and_leave_the_models_there() -> None:
    found = on_standin("pages", *sorted(PAGES))
    assert found.keys() == PAGES
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_every_page_and_every_recipe_has_a_computation() -> None:
    assert {each.page for each in computations()} == {
        *filter(asks_a_model, PAGES),
        "train",
    }  # whose computations are recipes
    assert {recipe for recipe, _ in RECIPE_STEPS.values()} == RECIPES.keys() - set(WITHOUT_STEPS)


def test_inputs_go_where_the_weights_are_and_in_their_format() -> None:
    half = nn.Linear(2, 2).to(torch.bfloat16)
    assert as_input_of(half, torch.zeros(1, 2)).dtype == torch.bfloat16
    assert as_input_of(half, torch.zeros(1, 2, dtype=torch.int64)).dtype == torch.int64
    meta = nn.Linear(2, 2, device="meta")
    assert (device_of(meta).type, as_input_of(meta, torch.zeros(1, 2)).device.type) == ("meta", "meta")
    assert device_of(nn.ReLU()) == torch.device("cpu")


def test_only_large_models_on_a_gpu_are_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.device.LARGE_PARAMETERS", 10)
    large, small = nn.Linear(4, 4), nn.Linear(2, 2)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert weights_dtype(large, gpu) == torch.float16
    assert weights_dtype(small, gpu) == weights_dtype(large, cpu) == torch.float32


def test_the_environment_decides_before_what_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DEVICE", raising=False)
    assert wished_device() == "auto"
    choose_device("cpu")
    assert (wished_device(), pick_device()) == ("cpu", torch.device("cpu"))
    monkeypatch.setenv("VITRINE_DEVICE", "meta")
    assert pick_device() == torch.device("meta")
    assert pick_device("cpu") == torch.device("cpu")
    assert known_devices()[-1] == "cpu"


def test_devices_that_are_not_here_are_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    for name in ("cuda:99", "warp drive"):
        with pytest.raises(ConfigError, match=r"auto, .*cpu"):
            pick_device(name)
        with pytest.raises(ConfigError):
            choose_device(name)
    # A settings file that was brought from another machine, or damaged, is no obstacle.
    for text in ('{"device": "cuda:99"}', "[]", "\x00", '{"device": 3}'):
        (tmp_path / "settings.json").write_text(text, encoding="utf-8")
        monkeypatch.delenv("VITRINE_DEVICE", raising=False)
        assert wished_device() == "auto"
