"""The later views of page Biases: what comes with Vitrine first, then what was measured here; forms that refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.data.archives import import_archive
from core.data.arrays import save_arrays
from core.experiments import domain_shift, stress
from core.experiments.evaluation import read_evaluation
from core.launch.execute import execute
from core.models.checkpoint import ModelCard, build, save_model
from core.runs.store import RunSpec, create_run, list_runs
from pages.biases import measured
from tests.clip_toy import save_tiny_clip
from tests.pages.exports import data_of, exported, keep_exports, run_recipe
from tests.pages.harness import open_page, text_of
from tests.toy import save_toy

ACCURACY, CUES, DOMAINS = "Accuracy", "Cue conflict", "Domains"
CNN = {"image_size": 8, "channels": 3, "classes": 2, "width": 8, "stages": 2, "blocks": 1}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    keep_exports(monkeypatch)


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return f"folder:{save_tiny_clip(tmp_path / 'clip')}"


@pytest.fixture
def cnn(tmp_path: Path) -> str:
    card = ModelCard(
        family="small_cnn", title="Tiny", config=CNN, classes=("dark", "red"), mean=(0.5,) * 3, std=(0.2,) * 3,
        dataset="none", recipe="", command="", date="",
    )  # fmt: skip
    torch.manual_seed(0)
    save_model(tmp_path / "cnn", build("small_cnn", CNN), card)
    return f"folder:{tmp_path / 'cnn'}"


def view(name: str, **query: str) -> AppTest:
    return open_page("biases", biases_view=name, **query)


def run(recipe: str, config: Any, name: str) -> None:
    for _ in execute(create_run(name, RunSpec.of(recipe, config, device="cpu"))):
        pass


def stressed(cnn: str, clip: str, name: str = "mine", **settings: Any) -> None:
    save_toy({"train": 20, "test": 24})
    conditions = ("scramble:2", "scramble:4", "grey:100")
    run("stress", stress.Config(models=(cnn, clip), dataset="toy", conditions=conditions, **settings), name)


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        (ACCURACY, {"conditions", "strengths", "agreement"}),
        (CUES, {"shape_bias"}),
        (DOMAINS, {"domains", "other_classes"}),
    ],
)
def test_nothing_was_run_and_yet_there_is_a_picture_that_says_whence(name: str, figures: set[str]) -> None:
    app = view(name)
    assert not app.error
    assert "Comes with Vitrine" in text_of(app)
    assert "not on this machine" in text_of(app)
    export = exported(app)
    assert figures <= set(export.figures)
    assert export.table is not None
    assert "RECIPE = 'stress'" in export.recipe or "RECIPE = 'domain_shift'" in export.recipe
    assert "core train" not in export.recipe


@pytest.mark.parametrize("name", [ACCURACY, CUES, DOMAINS])
def test_where_nothing_was_ever_measured_the_page_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "RESULTS", Path("nowhere.json"))
    app = view(name)
    assert not app.error
    assert any("on this machine yet" in each.value for each in app.info)


def test_what_was_evaluated_here_is_shown_first_and_exported_as_shown(
    cnn: str, clip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stressed(cnn, clip)
    app = view(ACCURACY, stress="mine")
    assert not app.error
    assert "Comes with Vitrine" not in text_of(app)
    assert "Where the models differ" in text_of(app)
    before = exported(app)
    assert before.facts["shown"] == {"measure": "corrected", "manipulation": "scramble", "agreement": ""}
    app.segmented_control(key="stress_measure").set_value("accuracy").run()
    after = exported(app)
    assert after.facts["shown"]["measure"] == "accuracy"  # type: ignore[index]
    assert after.figures["conditions"].to_json() != before.figures["conditions"].to_json()
    assert after.table is not None
    assert len(after.table) == 8
    run_recipe(after.recipe, capsys)
    again = next(each for each in list_runs() if each.name == "mine-again")
    assert (read_evaluation(again).answers == after.arrays["answers"]).all()


def test_the_other_result_is_one_choice_away(cnn: str, clip: str) -> None:
    stressed(cnn, clip)
    app = view(ACCURACY)
    app.segmented_control(key="stress_source").set_value("bundled").run()
    assert not app.error
    assert "Comes with Vitrine" in text_of(app)


def test_cue_conflict_shows_runs_of_such_images_alone(cnn: str, clip: str, tmp_path: Path) -> None:
    stressed(cnn, clip)
    for name in ("bear1-cat2.png", "cat1-bear3.png", "cat2-clock1.png", "clock1-bear1.png"):
        file = tmp_path / "cues" / name
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (100, 100), (len(name) * 9, 20, ord(name[0]))).save(file)
    import_archive(tmp_path / "cues", "cues")
    app = view(CUES)
    assert "Comes with Vitrine" in text_of(app)
    run("stress", stress.Config(models=(clip,), dataset="cues", conditions=(), max_images=0), "conflict")
    app = view(CUES)
    assert not app.error
    assert "Comes with Vitrine" not in text_of(app)
    export = exported(app)
    assert export.table is not None
    app.segmented_control(key="stress_source").set_value("bundled").run()
    assert "Comes with Vitrine" in text_of(app)
    assert data_of(exported(app)) != data_of(export)
    app.segmented_control(key="stress_source").set_value("own").run()
    assert any("neither:" in each.proto.body for each in app.get("html")) or "goes by shape" in text_of(app)


def test_domains_of_this_machine_are_shown(cnn: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_toy({"one": 40, "two": 40}, name="domains")
    run("domain_shift", domain_shift.Config(models=(cnn,), dataset="domains", max_iterations=20), "moved")
    app = view(DOMAINS)
    assert not app.error
    assert "Comes with Vitrine" not in text_of(app)
    export = exported(app)
    assert set(export.figures) == {"domains"}
    assert export.table is not None
    assert export.table["place"].tolist() == ["one", "two"]
    accuracies = export.table["test_accuracy"].tolist()
    assert f"{cnn}, two': {accuracies[1]}" in run_recipe(export.recipe, capsys)
    app.segmented_control(key="shift_source").set_value("bundled").run()
    assert "Comes with Vitrine" in text_of(app)
    assert data_of(exported(app)) != data_of(export)


def test_a_damaged_result_is_a_sentence(cnn: str, clip: str) -> None:
    stressed(cnn, clip)
    run_folder = next(each for each in list_runs() if each.name == "mine")
    summary = json.loads((run_folder.path / "result.json").read_text(encoding="utf-8"))
    del summary["table"][1]["against_as_they_are" if "against_as_they_are" in summary["table"][1] else "correct"]
    (run_folder.path / "result.json").write_text(json.dumps(summary), encoding="utf-8")
    app = view(ACCURACY)
    assert any("cannot be read" in each.value for each in app.error)


def test_what_cannot_be_evaluated_is_a_sentence_before_anything_runs() -> None:
    folder = save_toy({"test": 8}, name="lone")
    card = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    (folder / "dataset.json").write_text(json.dumps({**card, "classes": ["red"]}), encoding="utf-8")
    save_arrays(folder, "test", torch.zeros(8, 8, 8, 3).byte().numpy(), torch.zeros(8).numpy())
    app = view(ACCURACY)
    assert any("one class" in each.value for each in app.error)
    assert app.button(key="evaluate").disabled
    save_toy({"test": 8}, name="alone")
    app.run()
    app.selectbox(key="stress_data").set_value("alone").run()
    app.text_area(key="stress_steps").set_value("scrumble:4").run()
    assert any("scrumble" in each.value for each in app.error)


def test_images_without_cues_in_their_names_are_refused_before_anything_runs(tmp_path: Path) -> None:
    for name in ("a/one.png", "b/two.png"):
        file = tmp_path / "plain" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (120, 110)).save(file)
    import_archive(tmp_path / "plain", "plain")
    app = view(CUES)
    assert any("shapeN-textureM" in each.value for each in app.error)
    assert app.button(key="evaluate").disabled


def test_the_form_launches_what_it_says(cnn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr("pages.shared.evaluation.runs.submit", lambda folder: started.append(folder.name))
    save_toy({"test": 8})
    app = view(ACCURACY, stress_models=cnn)
    assert not app.error
    app.text_area(key="stress_steps").set_value("grey\nscramble:4+grey:50").run()
    app.button(key="evaluate").click().run()
    [name] = started
    spec = next(each for each in list_runs() if each.name == name).read_spec()
    assert spec.recipe == "stress"
    assert spec.config["conditions"] == ["grey:100", "scramble:4+grey:50"]
    assert spec.config["models"] == [cnn]
