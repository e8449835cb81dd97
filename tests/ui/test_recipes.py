"""The recipes that pages hand out are run, not admired."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages.shared.view_recipes import attention_recipe, masking_recipe

from core.models.checkpoint import read_card
from core.paths import BUNDLED, CHECKOUT
from pages.shared.recipes import anatomy_recipe, runs_recipe
from pages.shared.views import AttentionView, MaskingView

CAT = {"model": "vit_p4", "image": "example:cat"}

RECIPES = {
    "attention": (attention_recipe(AttentionView(**CAT, tab="Explanations")), "explanation_rollout (8, 8)"),
    "masking": (
        masking_recipe(MaskingView(**CAT, method="rollout", steps=4), grid=(8, 8), methods=("rollout",)),
        "AreaComparison(",
    ),
    "anatomy": (anatomy_recipe("vit_p4"), "MLP"),
}


def run_script(recipe: str, folder: Path) -> str:
    """What a recipe prints when somebody runs it somewhere else."""
    done = subprocess.run(
        [sys.executable, "-c", recipe],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "VITRINE_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_runs(name: str, tmp_path: Path) -> None:
    recipe, expected = RECIPES[name]
    printed = run_script(recipe, tmp_path)
    assert expected in printed


def test_recipes_name_the_image_they_were_made_from() -> None:
    def recipe(image: str) -> str:
        return attention_recipe(AttentionView(model="vit_p4", image=image))

    assert "load_example('flower')" in recipe("example:flower")
    assert "sample_images('cifar10', 'test', 12, 3)[5][0]" in recipe("data:cifar10/test/3/5")
    assert "decode_image" in recipe("upload:0123")


def test_the_recipe_of_runs_draws_the_curves_of_bundled_models(tmp_path: Path) -> None:
    recipe = runs_recipe([("bundled:vit_p4", "python -m core train vit_scratch --name vit_p4")])
    printed = run_script(recipe, tmp_path)
    epochs = len(read_card(BUNDLED / "vit_p4").history)
    assert f"{epochs} reports" in printed
    assert "# python -m core train vit_scratch --name vit_p4" in recipe
    assert (tmp_path / "accuracy.html").stat().st_size > 10_000
