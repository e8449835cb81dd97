"""Every export is what is on the screen, page by page: each control reaches it, and its recipe makes it again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.modality_gap.modality_gap_panel import STOPS
from tests.clip_toy import save_tiny_clip
from tests.diffusion_toy import save_tiny_pipeline
from tests.pages.exports import check_controls, data_of, exported, keep_exports, run_recipe
from tests.pages.harness import open_page
from tests.pages.test_condition_panels import save_tiny_classifier
from tests.toy import save_toy

# Every control of every page is changed, one after the other.
pytestmark = pytest.mark.slow

# What every page has and no export depends on.
SHARED = {
    "own_*": "a form that adds a model; adding it is another choice of model",
    "*_upload": "files",
    "export": "the menu itself",
    "image_*": "the image's picker, whose choice is an address; test_another_picture_… changes that",
    "images_*": "the pictures' picker",
    "set_*": "the set's picker, whose choice is an address; test_another_picture_… changes that",
    "model_choice": "toy pages have the one model that the test made",
    "encoder_choice": "the bundled networks take long one after another; test_another_picture_… changes it",
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"folder:{save_tiny_clip(tmp_path_factory.mktemp('clip') / 'tiny')}"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    keep_exports(monkeypatch)


def opener(stem: str, **query: str) -> Callable[[], AppTest]:
    return lambda: open_page(stem, **query)


def test_embeddings() -> None:
    base = {"set": "views:3/0", "encoder": "vit_p4", "planes": "One plane"}
    for method, extra in (
        ("PCA", {"plane_seed": "the seed of a randomised solver, which few pictures do without"}),
        ("t-SNE", {}),
    ):
        check_controls(
            opener("embeddings", **base, plane_method=method, perplexity="5"),
            excused={**SHARED, **extra},
            values={"depth_choice": 2},
        )


@pytest.mark.parametrize(
    ("stem", "query", "other"),
    [
        ("clip", {"labels": "ship, horse"}, {"image": "example:cat"}),
        ("precision", {"model": "vit_p4", "formats": "bf16"}, {"image": "example:cat"}),
        ("embeddings", {"set": "views:3/0", "encoder": "vit_p4", "plane_method": "PCA"}, {"set": "views:4/0"}),
        ("embeddings", {"set": "views:3/0", "encoder": "vit_p4", "plane_method": "PCA"}, {"encoder": "cnn_small"}),
    ],
    ids=["clip", "precision", "set", "encoder"],
)
def test_another_picture_set_or_model_is_another_export(
    stem: str, query: dict[str, str], other: dict[str, str], clip: str
) -> None:
    query = {"model": clip, **query}
    before, after = (exported(open_page(stem, **each)) for each in (query, {**query, **other}))
    assert before.recipe != after.recipe
    assert data_of(before) != data_of(after)


def test_the_recipe_of_a_film_lays_its_planes_where_the_page_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    app = open_page(
        "embeddings", set="views:3/0", encoder="vit_p4", planes="Layer by layer", plane_method="t-SNE", perplexity="5"
    )
    export = exported(app)
    assert {"plane_1", "plane_4", "plane_1_neighbours_with_its_label", "depths"} <= set(export.figures)
    run_recipe(export.recipe, capsys)
    assert export.table is not None
    for number, name in enumerate(("pixels", "early", "middle", "late"), 1):
        [x] = [column for column in export.table if column.startswith(name) and column.endswith(": x")]
        np.testing.assert_allclose(np.load(f"plane_{number}.npy")[:, 0], export.table[x], atol=1e-4)


def test_modality_gap(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_toy({"train": 120, "test": 110})
    why = "which stop or plane is drawn; the recipe makes all that they are drawn of"
    shown = dict.fromkeys(("gap_plane", "gap_colours"), why)
    check_controls(
        opener("modality_gap", model=clip),
        excused={**SHARED, "apart": "two classes cannot be divided by classes"},
        data_alone=shown,
        values={"align": ("index", 0), "pair_count": 100},
    )
    app = open_page("modality_gap", model=clip, align="raw_scaled", way="rotated")
    export = exported(app)
    assert export.facts["shown"]["rotated"] == STOPS["rotated"][1]  # type: ignore[index]
    printed = run_recipe(export.recipe, capsys)
    assert str(export.facts["finding"]) in printed
    for _, row in export.table.iterrows():  # type: ignore[union-attr]
        assert re.search(
            rf"{re.escape(row['alignment'])} +gap {row['gap']:.3f}  cosine {row['cosine']:.3f}  "
            rf"accuracy {row['accuracy']:.1%} ",
            printed,
        )


def test_one_image_against_labels(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_controls(
        opener("clip", model=clip, labels="ship, horse, deer"),
        excused={
            **SHARED,
            "view": "another view with an export of its own",
            "labels_long": "a list that is used on a click",
            "where": "map or photo; the map is exported in any case",
        },
    )
    export = exported(open_page("clip", model=clip, labels="ship, horse, deer"))
    printed = run_recipe(export.recipe, capsys)
    for _, row in export.table.iterrows():  # type: ignore[union-attr]
        assert re.search(rf"{row['label']} +{row['probability']:6.1%}  cosine {row['cosine']:.4f}", printed)


@pytest.mark.parametrize("measure", ["cosine", "texts", "images"])
def test_images_against_texts(clip: str, measure: str, capsys: pytest.CaptureFixture[str]) -> None:
    view = {"view": "Images × texts", "images": "example:cat,example:coffee", "texts": "a cat\na dog\na ship"}
    if measure == "cosine":
        check_controls(
            opener("clip", model=clip, **view),
            excused={**SHARED, "view": "another view with an export of its own"},
            values={"texts": "a cat\na horse"},
        )
    app = open_page("clip", model=clip, **view)
    app.segmented_control(key="measure").set_value(measure).run()
    export = exported(app)
    printed = [
        [float(number) for number in line.partition("best:")[0].split()]
        for line in run_recipe(export.recipe, capsys).splitlines()
        if "best:" in line
    ]
    np.testing.assert_allclose(printed, export.table.iloc[:, 1:].to_numpy(float), atol=6e-4)  # type: ignore[union-attr]


def test_precision(clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_toy({"train": 40, "test": 40})
    # Latencies are others at every measurement, so that only the recipe can tell.
    check_controls(
        opener("precision", model="vit_p4", formats="bf16", compared="toy/test", count="32"),
        excused={
            **SHARED,
            "differences": "which format's differences are shown below; all are exported",
            "looked_at": "which images are explained below; all are exported",
        },
        values={"formats": ["bf16_autocast"], "count": 64},
    )
    export = exported(open_page("precision", model="vit_p4", formats="bf16", compared="toy/test", count="32"))
    printed = run_recipe(export.recipe, capsys)
    table = export.table.set_index("format")  # type: ignore[union-attr]
    for title in ("bf16",):
        same = table.loc[title, "same answer"].partition(" (")[0]
        assert f"same answer on {same}," in next(line for line in printed.splitlines() if line.startswith(title))
        assert f"largest |Δp| {table.loc[title, 'max |Δp|']:.2g}" in printed


def test_anatomy(capsys: pytest.CaptureFixture[str]) -> None:
    tabs = {"anatomy_tabs": "another tab with an export of its own"}
    check_controls(opener("anatomy", model="vit_p4"), excused={**SHARED, **tabs})
    whole = exported(open_page("anatomy", model="vit_p4"))
    printed = run_recipe(whole.recipe, capsys)
    for role, count in whole.facts["roles"].items():  # type: ignore[attr-defined]
        assert re.search(rf"{re.escape(role)} +{count:,}\n", printed)

    def positions() -> AppTest:
        app = open_page("anatomy", model="vit_p4")
        app.session_state["anatomy_tabs"] = "Positions"
        app.run()
        return app

    assert "measure" in check_controls(positions, excused={**SHARED, **tabs})
    shown = exported(positions())
    assert run_recipe(shown.recipe, capsys).splitlines()[1].endswith(f"{shown.table['similarity'][1]:.4f}")  # type: ignore[index]

    def compared() -> AppTest:
        app = open_page("anatomy", model="vit_p4")
        app.session_state["anatomy_tabs"] = "Two models"
        app.run()
        return app

    check_controls(compared, excused={**SHARED, **tabs}, values={})
    both = exported(compared())
    printed = run_recipe(both.recipe, capsys)
    for sentence in both.facts["differences"]:  # type: ignore[attr-defined]
        assert sentence in printed


def panel(name: str, model: str, **query: str) -> Callable[[], AppTest]:
    """A view of the CLIP page, alone, with the menu's export kept."""
    script = (
        "import streamlit as st\n"
        f"from pages.clip import {name}\n"
        "from pages.shared.errors import guard\n"
        "from pages.shared.export import export_popover\n"
        f"{name}.panel({model!r})\n"
        f"export_popover(lambda: {name}.export({model!r}), key='export')\n"
    )

    def open_it() -> AppTest:
        app = AppTest.from_string(script, default_timeout=600)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return open_it


def test_conditions(clip: str) -> None:
    save_toy({"test": 20})
    changed = check_controls(
        panel("conditions", clip, conditions_made_data="Toy", conditions_count="3"),
        excused={**SHARED},
        values={
            "conditions_from": ("options", ["Data set"]),
            "conditions_strategy": ("index", 1),
            "conditions_reference": "50, 60",
        },
        data_alone={},
    )
    assert {"conditions_count", "conditions_reference", "conditions_strategy"} <= changed


def test_clip_against_imagenet(clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classifier = save_tiny_classifier(tmp_path / "tiny")
    for name, levels in (("n02123045", 40), ("golden_retriever", 90), ("espresso", 150)):
        for number in range(6):
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (levels + 7 * number, 30, 60)).save(tmp_path / "photos" / name / f"{number}.png")
    query = {"classifier": classifier, "disagreements_data": "Folder on this machine"}

    def opened() -> AppTest:
        app = panel("disagreements", clip, **query)()
        app.text_input(key="disagreements_folder").set_value(str(tmp_path / "photos")).run()
        app.number_input(key="disagreements_count").set_value(10).run()
        app.number_input(key="disagreements_top").set_value(20).run()
        return app

    changed = check_controls(
        opened,
        excused={
            **SHARED,
            "classifier_choice": "the test made one classifier",
            "disagreements_closer": "the picture that is looked at; all are in the table",
            "disagreements_folder": "other pictures are in test_condition_panels",
        },
        values={"disagreements_count": 12, "disagreements_data": ("index", 0), "disagreements_strategy": ("index", 1)},
    )
    assert {"disagreements_count", "disagreements_strategy", "disagreements_top"} <= changed
    export = exported(opened())
    assert export.table is not None
    assert len(export.table) == 10
    printed = run_recipe(export.recipe, capsys).splitlines()[4:]
    rows = [
        f"{row['named by'].replace(' ', '_')} {row['picture']} {row['class']} {row['place for CLIP']} "
        f"{row['place for the classifier']}"
        for _, row in export.table.iterrows()
    ]
    assert printed == rows


@pytest.mark.parametrize(("pruning", "control"), [("Forecast", "error_rate"), ("t-test", "threshold")])
def test_a_classification(
    pruning: str, control: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    model = f"folder:{save_tiny_pipeline(tmp_path_factory.mktemp('diffusion') / 'tiny')}"
    query = {"model": model, "samples": "24", "diffusion_labels": "ship, horse, deer, dog", "pruning": pruning}
    query |= {"least_samples": "8"} if pruning == "t-test" else {}
    changed = check_controls(
        opener("diffusion", **query),
        excused={**SHARED, "diffusion_view": "another view with an export of its own"},
        data_alone={
            "denoising_view": "what stands beside the classification",
            "noise": "what stands beside the classification",
            "also_show": "what stands beside the classification",
        },
        values={"diffusion_template": "a drawing of a {}.", "sampling": ("index", 1), "pruning": ("index", 2)},
    )
    assert {"noise", "denoising_view", "also_show", "objective", "distance", "sampling", control} <= changed
    export = exported(open_page("diffusion", **query))
    printed = run_recipe(export.recipe, capsys)
    assert export.table is not None
    assert f"{export.facts['calls']} calls," in printed
    for _, row in export.table.iterrows():
        assert re.search(
            rf"{row['label']} +[+-]?{row['above leader, %']:.2f}% ± .* after {row['samples']} samples", printed
        )
