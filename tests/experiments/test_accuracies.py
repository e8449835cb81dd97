"""The table of everything that was measured: which runs fill which field, what is left out, and how it is drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.experiments.accuracies import accuracy_table, card_accuracies, result_accuracies
from core.figures.accuracies import plot_accuracies, plot_probes, sentence
from core.launch.recipes import RECIPES
from core.models.checkpoint import read_card
from core.paths import BUNDLED
from core.runs.status import RunState, write_state
from core.runs.store import RunFolder, RunSpec, create_run, find_run


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)


def finished(name: str, recipe: str, result: Any, ended: float = 1.0) -> RunFolder:
    """A run of `recipe` that ended with this result."""
    folder = create_run(name, RunSpec.of(recipe, RECIPES[recipe].config(), device="cpu"))
    write_state(folder, RunState(status="finished", step=1, steps=1, ended=ended))
    (folder.path / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


def probes(*values: tuple[str, float, int], title: str = "Tiny ViT") -> dict[str, Any]:
    """`result.json` of a linear probe, with neighbours that are no linear probe."""
    rows = [
        {"probe": kind, "pooling": pooling, "test_accuracy": right, "test_low": right - 0.1, "test_high": right + 0.1,
         "test_count": count, "train_count": 60}
        for pooling, right, count in values
        for kind in ("linear", "neighbours")
    ]  # fmt: skip
    return {"title": title, "dataset": "Toy", "test": "test", "probes": rows}


def test_a_field_shows_the_measurement_on_the_most_images_and_of_equals_the_newest() -> None:
    finished("old", "linear_probe", probes(("class_token", 0.5, 100), ("mean", 0.6, 100)), ended=1)
    finished("new", "linear_probe", probes(("class_token", 0.7, 100), ("mean", 0.8, 50)), ended=2)
    finished("unfinished", "linear_probe", probes(("class_token", 0.1, 900)))
    write_state(
        create_run("none", RunSpec.of("frozen_heads", RECIPES["frozen_heads"].config(), device="cpu")),
        RunState(status="stopped"),
    )
    write_state(find_run("unfinished"), RunState(status="running", step=1, steps=2))
    table = accuracy_table()
    token, mean = (
        table.cells[f"Tiny ViT · linear probe on {words}", "Toy"] for words in ("class token", "mean of the patches")
    )
    assert (token.accuracy, token.source) == (0.7, "new")
    assert (mean.accuracy, mean.source) == (0.6, "old")
    assert {each.source for each in table.found if each.dataset == "Toy"} == {"old", "new"}
    assert not table.unreadable


def test_a_damaged_result_is_named_and_the_others_stay() -> None:
    finished("good", "linear_probe", probes(("mean", 0.6, 100)))
    finished("impossible", "linear_probe", probes(("mean", 0.95, 100)))  # an interval that ends above 1
    finished("other", "stress", {"models": []})
    (finished("cut", "zero_shot", {}).path / "result.json").write_text('{"test', encoding="utf-8")
    table = accuracy_table()
    assert set(table.unreadable) == {"impossible", "other", "cut"}
    assert "good" in {each.source for each in table.found}


def test_every_evaluating_recipe_is_read() -> None:
    right = {"correct": 3, "count": 4}
    plain = {"model_title": "M", "dataset_title": "Toy", "split": "test", "test": right}
    [one] = result_accuracies("zero_shot", plain, "run")
    assert (one.accuracy, one.count, one.protocol) == (0.75, 4, "zero-shot")
    assert one.low < 0.75 < one.high
    stress = {
        "models": [{"title": "A"}, {"title": "B"}], "dataset_title": "Toy", "split": "test",
        "table": [{"model": model, "condition": condition, "correct": 1 + model, "count": 4}
                  for condition in (0, 1) for model in (0, 1)],
    }  # fmt: skip
    assert [(each.model, each.accuracy) for each in result_accuracies("stress", stress, "run")] == [
        ("A", 0.25), ("B", 0.5),
    ]  # fmt: skip
    report = {"test_accuracy": 0.5, "test_low": 0.4, "test_high": 0.6, "test_count": 90, "train_count": 10}
    shift = {
        "models": [{"name": "a", "title": "A"}], "dataset_title": "PACS", "semantic": [{"name": "toy", "title": "Toy"}],
        "shifts": [{"shift": "covariate", "place": "sketch", "model": "a", **report},
                   {"shift": "semantic", "place": "toy", "model": "a", **report}],
    }  # fmt: skip
    assert [each.dataset for each in result_accuracies("domain_shift", shift, "run")] == ["PACS, sketch unseen", "Toy"]


def test_cards_of_every_kind_are_read() -> None:
    [vit] = card_accuracies(read_card(BUNDLED / "vit_p4"), "ViT", "bundled vit_p4")
    assert (vit.row, vit.dataset, vit.count) == ("ViT · trained", "CIFAR-10 (JPEG copy)", 10_000)
    clip = {
        each.dataset: each for each in card_accuracies(read_card(BUNDLED / "clip_small"), "CLIP", "bundled clip_small")
    }
    # The copy of CIFAR-10 is called as the card calls it; PACS is all of its domains together.
    assert list(clip) == ["CIFAR-10 (JPEG copy)", "Tiny-ImageNet", "PACS", "CIFAR-10G"]
    assert (clip["PACS"].count, round(clip["PACS"].accuracy * 1120)) == (1120, 47 + 46 + 83 + 40)
    [drawn] = card_accuracies(read_card(BUNDLED / "diffusion_small"), "Small (mine)", "run mine")
    assert (drawn.protocol, drawn.count) == ("zero-shot", 500)
    assert drawn.row == "Small (mine) · zero-shot"


def test_the_heat_map_leaves_empty_what_was_not_measured() -> None:
    table = accuracy_table()
    figure = plot_accuracies(table.cells)
    [heat] = figure.data
    rows = figure.layout.yaxis.ticktext
    values = {(row, dataset): heat.z[at][place] for at, row in enumerate(rows) for place, dataset in enumerate(heat.x)}
    known = read_card(BUNDLED / "vit_p4").metrics
    assert values["ViT on CIFAR-10 · trained", "CIFAR-10 (JPEG copy)"] == known["test_accuracy"]
    assert values["ViT on CIFAR-10 · trained", "PACS"] is None
    assert len(rows) * len(heat.x) > len([value for value in values.values() if value is not None])
    at = rows.index("ViT on CIFAR-10 · trained")
    low, high = known["test_interval_95"]
    assert f"10,000 images (95 % {low:.1%} to {high:.1%})" in heat.customdata[at][0]
    assert heat.customdata[at][1].endswith("not measured")


def test_bars_pair_class_token_and_mean_with_their_intervals() -> None:
    finished("a", "linear_probe", probes(("class_token", 0.5, 100), ("mean", 0.6, 100), title="A"))
    finished("b", "linear_probe", probes(("embedding", 0.7, 100), title="B"))
    toy = [each for each in accuracy_table().probes if each.dataset == "Toy"]
    figure = plot_probes(toy, {"ViT-L": {"class_token": 0.974, "mean": 0.972}})
    bars = {bar.name: bar for bar in figure.data}
    assert (list(bars["class token"].x), list(bars["class token"].y)) == (["A"], [0.5])
    assert (list(bars["embedding"].x), list(bars["embedding"].y)) == (["B"], [0.7])
    np.testing.assert_allclose(bars["mean of the patches"].error_y.array, [0.1])
    assert list(bars["class token, published"].y) == [0.974]
    assert sentence(toy[0]).endswith("learned from 60; a") or sentence(toy[0]).endswith("learned from 60; b")


def test_rows_whose_shortened_names_are_equal_stay_two() -> None:
    long = "A network whose name is longer than any axis has room for"
    for name, right in (("first", 0.2), ("second", 0.6)):
        finished(name, "linear_probe", probes(("mean", right, 100), title=f"{long} {name}"))
    [heat] = plot_accuracies({key: each for key, each in accuracy_table().cells.items() if key[1] == "Toy"}).data
    assert [list(line) for line in heat.z] == [[0.6], [0.2]]
    assert len(set(heat.y)) == 2
