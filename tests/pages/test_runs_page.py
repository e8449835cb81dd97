"""The Runs page and what it reads: filled on a fresh machine, honest about every state, alive while files grow."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from core.cli.main import app as command_line
from core.configs import parse_overrides
from core.launch.recipes import RECIPES
from core.paths import CHECKOUT
from core.runs.owner import this_host, this_process, write_owner
from core.runs.status import RunState, read_state, write_state
from core.runs.store import RunFolder, RunSpec, create_run, list_runs
from pages.runs.run_panel import missing_sentence
from pages.shared.run_views import _Tails, age, bundled_views, comparable, differing, flat_config, view_of
from tests.pages.exports import exported, keep_exports
from tests.pages.harness import open_page, text_of


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


def epoch(number: int, accuracy: float = 0.5, epochs: int = 4) -> dict[str, Any]:
    return {
        "epoch": number, "epochs": epochs, "step": number * 10, "steps": epochs * 10, "train_loss": 2.0 / number,
        "val_loss": 1.9 / number, "train_accuracy": accuracy, "val_accuracy": accuracy + number / 100,
        "learning_rate": 1e-3, "images_per_second": 640.0,
    }  # fmt: skip


def prepare(name: str, status: Any, *overrides: str, epochs: int = 2, **state: Any) -> RunFolder:
    """A run folder in any state, without a process."""
    config: Any = parse_overrides(RECIPES["vit_scratch"].config, list(overrides))
    folder = create_run(name, RunSpec.of("vit_scratch", config, device="cpu"))
    for number in range(1, epochs + 1):
        folder.append_metrics(epoch(number))
    write_state(folder, RunState(status=status, step=epochs * 10, steps=40, heartbeat=time.time(), **state))
    return folder


def pretend_to_work_on(folder: RunFolder) -> None:
    """Make this test the live process of the run."""
    write_owner(folder, this_process())


def button(app: AppTest, label: str) -> Any:
    return next(each for each in app.button if each.label == label)


def test_a_fresh_machine_shows_the_bundled_trainings() -> None:
    app = open_page("runs")
    assert {view.title for view in bundled_views()} <= set(app.dataframe[0].value["run"])
    assert "bundled model, read-only" in text_of(app)
    first = next(view for view in bundled_views() if view.title == app.dataframe[0].value["run"].iloc[0])
    assert f"{max(line['val_accuracy'] for line in first.history):.1%}" in text_of(app)
    assert not [each for each in app.button if each.label in ("Stop", "Resume", "Delete for good")]


def test_a_run_in_its_first_epoch_has_a_curve_already() -> None:
    folder = prepare("new", "running", "training.epochs=4", epochs=0)
    pretend_to_work_on(folder)
    write_state(folder, RunState(status="running", step=8, steps=40, heartbeat=time.time()))
    lines = [{"step": step, "steps": 40, "loss": 2.5 - step / 20} for step in (2, 4, 6, 4, 6, 8)]  # resumed after 4
    folder.losses.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    view = view_of(folder)
    assert view is not None
    assert view.losses == ((2, 2.4), (4, 2.3), (6, 2.2), (8, 2.1))
    assert view.curve().steps_per_epoch == 10
    app = open_page("runs")
    assert "Accuracy begins when the first epoch has ended" in text_of(app)
    shown = [each for each in app.get("plotly_chart") if "step loss" in each.proto.spec]
    assert len(shown) == 1


def test_bundled_trainings_know_the_settings_they_had() -> None:
    plain = next(view for view in bundled_views() if view.key == "bundled:vit_p4")
    assert plain.settings["model.depth"] == 6
    assert plain.settings["training.epochs"] == plain.history[-1]["epochs"]
    assert plain.settings["dataset"] == "cifar10"
    seconds = [line["seconds"] for line in plain.history]
    assert seconds == sorted(seconds)
    assert seconds[0] == pytest.approx(plain.history[0]["step"] * 128 / plain.history[0]["images_per_second"])


@pytest.mark.parametrize(
    ("status", "offered", "refused"),
    [
        ("stopped", {"Resume", "Clone", "Delete for good"}, {"Stop", "Attention"}),
        ("failed", {"Resume", "Clone", "Delete for good"}, {"Stop", "Attention"}),
        ("interrupted", {"Resume", "Clone", "Delete for good"}, {"Stop", "Attention"}),
    ],
)
def test_what_can_be_done_follows_from_the_state(status: Any, offered: set[str], refused: set[str]) -> None:
    prepare("mine", status, cause="The loss became nan at step 20.", remedy="Lower the learning rate.")
    app = open_page("runs", runs="mine")
    labels = {each.label for each in app.button}
    assert offered <= labels
    assert not refused & labels
    said = " ".join(element.value for element in [*app.error, *app.info])
    assert "The loss became nan at step 20. Lower the learning rate." in said.replace("&#46;", ".")


def test_a_running_run_says_how_far_it_is_and_stops_when_asked() -> None:
    folder = prepare("live", "running", device="cpu", seconds_per_step=3.0, host=this_host(), text="epoch 3 of 4")
    pretend_to_work_on(folder)
    app = open_page("runs")
    assert app.session_state["runs"] == "live"
    row = app.dataframe[0].value.iloc[0]
    assert (row["run"], row["progress"], row["left"]) == ("live", 0.5, "60 s")
    assert row["best val"] == pytest.approx(0.52)
    button(app, "Stop").click().run()
    assert folder.stop.exists()
    assert button(app, "Stopping …").disabled
    assert not app.exception
    # One word for it in the table, beside the name, and on the command line.
    assert app.dataframe[0].value.iloc[0]["status"] == "▶ stopping"
    assert "stopping · on cpu" in text_of(app)
    assert "running" not in text_of(app)
    listed = CliRunner().invoke(command_line, ["runs", "list"]).output
    assert "stopping" in listed
    assert "running" not in listed


def test_what_changes_by_itself_keeps_to_its_line() -> None:
    """Else the buttons of the runs below slide under the pointer when the first report makes a sentence longer."""
    pretend_to_work_on(prepare("live", "running", epochs=0))
    prepare("ended", "stopped")
    app = open_page("runs", runs="live,ended")
    live, ended = (
        next(each.value for each in app.markdown if f"**{name}**" in each.value) for name in ("live", "ended")
    )
    assert "white-space:nowrap" in live
    assert "white-space:nowrap" not in ended


def test_accuracies_of_everything_measured_and_their_export(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_exports(monkeypatch)
    folder = create_run("probed", RunSpec.of("linear_probe", RECIPES["linear_probe"].config(), device="cpu"))
    rows = [
        {"probe": "linear", "pooling": pooling, "test_accuracy": right, "test_low": 0.1, "test_high": 0.9,
         "test_count": 50, "train_count": 10}
        for pooling, right in (("class_token", 0.5), ("mean", 0.6))
    ]  # fmt: skip
    result = {"title": "Tiny *ViT*", "dataset": "My set", "test": "test", "probes": rows}
    (folder.path / "result.json").write_text(json.dumps(result), encoding="utf-8")
    write_state(folder, RunState(status="finished", step=1, steps=1))
    app = open_page("runs", show="Accuracy")
    assert "everything that has been measured" in text_of(app)
    [measured] = [each.value for each in app.dataframe if "measured by" in each.value]
    mine = measured[measured["measured by"] == "probed"]
    assert list(mine["accuracy"]) == [0.5, 0.6]
    assert list(mine["images"]) == [50, 50]
    for picker in app.selectbox:  # there where probes of several data sets are known
        if picker.key == "probes_on":
            picker.set_value("My set").run()
    export = exported(app)
    assert "Tiny *ViT* · linear probe on class token" in export.recipe
    assert [list(bar.y) for bar in export.figures["probes"].data] == [[0.5], [0.6]]
    [heat] = export.figures["accuracies"].data
    assert any("<b>Tiny *ViT* · linear probe on mean of the patches</b>" in line[0] for line in heat.customdata)
    assert export.table is not None
    assert len(export.table) == len(measured)
    assert not app.exception


def test_a_run_whose_process_is_dead_reads_as_interrupted() -> None:
    folder = prepare("dead", "running", host=this_host())
    write_owner(folder, this_process())
    values = json.loads(folder.proc.read_text(encoding="utf-8"))
    folder.proc.write_text(json.dumps({**values, "birth": "another"}), encoding="utf-8")
    app = open_page("runs", runs="dead")
    assert "interrupted" in app.dataframe[0].value["status"].iloc[0]
    assert "Resume" in {each.label for each in app.button}
    assert json.loads(folder.state.read_text(encoding="utf-8"))["status"] == "interrupted"  # and it is written down


def test_several_runs_show_only_the_settings_in_which_they_differ() -> None:
    prepare("deep", "stopped", "model.depth=8")
    prepare("slow", "stopped", "training.learning_rate=0.0001")
    app = open_page("runs", runs="deep,slow")
    table = app.dataframe[-1].value.set_index("setting")
    assert set(table.index) == {"model.depth", "training.learning_rate"}
    assert list(table.loc["model.depth"]) == ["8", "6"]
    assert not app.code
    app.session_state["run_commands"] = True
    app.run()
    for name, code in zip(("deep", "slow"), app.code, strict=True):
        assert f"--name {name}" in code.value
    views = [view for folder in list_runs() if (view := view_of(folder))]
    assert differing(views[:1]) == {}


def test_a_run_in_the_address_that_is_gone_costs_a_sentence() -> None:
    prepare("here", "stopped")
    app = open_page("runs", runs="here,gone")
    assert "'gone' is not on this machine" in app.warning[0].value
    assert "**here**" in text_of(app)
    assert missing_sentence(["here"], [view for folder in list_runs() if (view := view_of(folder))]) == ""


def test_the_short_address_of_one_run() -> None:
    prepare("one", "stopped")
    prepare("two", "stopped")
    app = open_page("runs", run="one")
    assert app.session_state["runs"] == "one"
    assert app.query_params["runs"] == "one"
    assert "run" not in app.query_params


def test_deleting_asks_first_and_leaves_the_others() -> None:
    prepare("keep", "stopped")
    folder = prepare("throw", "stopped")
    app = open_page("runs", runs="throw,keep")
    deletes = [each for each in app.button if each.label == "Delete for good"]
    deletes[0].click().run()
    assert not folder.path.exists()
    assert app.session_state["runs"] == "keep"
    assert not app.exception
    assert not app.warning


def test_a_run_that_vanishes_while_it_is_watched() -> None:
    folder = prepare("watched", "stopped")
    app = open_page("runs", runs="watched")
    folder.path.rename(folder.path.with_name(".elsewhere"))
    app.run()
    assert not app.exception
    assert "'watched' is not on this machine" in app.warning[0].value


def test_an_unreadable_specification_is_a_row_not_a_crash() -> None:
    folder = prepare("damaged", "stopped")
    folder.spec.write_text("{", encoding="utf-8")
    app = open_page("runs", runs="damaged")
    assert not app.exception
    assert "failed" in app.dataframe[0].value["status"].iloc[0]
    assert "no readable spec.json" in " ".join(error.value for error in app.error).replace("&#46;", ".")


def test_names_are_shown_as_they_are() -> None:
    prepare("a_b_c", "stopped", cause="Not <b>bold</b>, not `code`.")
    app = open_page("runs", runs="a_b_c")
    said = " ".join(element.value for element in app.info)
    assert r"Not \<b>bold\</b>, not \`code\`." in said


def test_cloning_opens_train_with_the_settings_of_the_run() -> None:
    prepare("origin", "stopped", "model.depth=3", "training.epochs=7")
    app = open_page("runs", runs="origin")
    button(app, "Clone").click().run()
    assert not app.exception
    values = {str(each.key).rpartition("-")[2]: each.value for each in app.number_input}
    assert (values["depth"], values["epochs"]) == (3, 7)
    assert "Settings of origin" in text_of(app)
    assert app.query_params["parent"] == "origin"


def test_another_page_opens_from_a_view_that_is_kept_in_the_address() -> None:
    app = open_page("runs", show="Accuracy")
    app.button(key="measure_heads").click().run()
    assert not app.exception
    assert app.selectbox(key="recipe").value == "frozen_heads"
    assert "show" not in app.query_params


def test_every_page_is_opened_in_one_way() -> None:
    """Streamlit's own way refuses to empty an address that keeps a choice."""
    files = (CHECKOUT / "pages").rglob("*.py")
    users = [file for file in files if "st.switch_page(" in file.read_text(encoding="utf-8")]
    assert [file.name for file in users] == ["layout.py"]


def test_log_samples_and_any_metric() -> None:
    folder = prepare("full", "stopped")
    folder.log.write_text("first line\nlast words\n", encoding="utf-8")
    app = open_page("runs", runs="full")
    part = next(each for each in app.get("button_group") if each.key == "run_detail")
    part.set_value("Log").run()
    assert any("last words" in code.value for code in app.code)
    part = next(each for each in app.get("button_group") if each.key == "run_detail")
    part.set_value("Samples").run()
    assert any("draw no samples" in info.value for info in app.info)
    part = next(each for each in app.get("button_group") if each.key == "run_detail")
    part.set_value("Metrics").run()
    assert app.selectbox(key="quantity").value == "learning_rate"
    assert not app.exception


def test_only_new_bytes_are_read_and_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    folder = prepare("growing", "stopped", epochs=2)
    tails = _Tails()
    first = tails.lines(folder.metrics)
    assert [line["epoch"] for line in first] == [1, 2]
    with folder.metrics.open("a", encoding="utf-8") as file:
        file.write(json.dumps(epoch(3)) + "\n" + '{"step": 40, "half')
    assert [line["epoch"] for line in tails.lines(folder.metrics)] == [1, 2, 3]
    assert tails.lines(folder.metrics)[0] is first[0]  # not parsed again
    folder.truncate_metrics(10)
    assert [line["epoch"] for line in tails.lines(folder.metrics)] == [1]
    folder.metrics.unlink()
    assert tails.lines(folder.metrics) == ()


def test_the_most_similar_training_is_found() -> None:
    config = parse_overrides(RECIPES["vit_scratch"].config, ["family=differential_vit", "model.num_heads=3"])
    found = comparable("vit_scratch", flat_config(config), list(bundled_views()))
    assert found is not None
    assert found.key == "bundled:differential_vit_p4"
    assert comparable("no_such", {}, list(bundled_views())) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s ago"), (600, "10 min ago"), (12_000, "3 h 20 min ago"), (200_000, "2 days ago")]
)
def test_ages_in_words(seconds: float, words: str) -> None:
    assert age(time.time() - seconds) == words
    assert age(None) == ""


def test_resuming_puts_the_run_back_into_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.launch.queue.devices", lambda: ())  # nothing is free, so it waits
    folder = prepare("again", "stopped", cause="")
    app = open_page("runs", runs="again")
    button(app, "Resume").click().run()
    assert not app.exception
    assert read_state(folder).status in ("queued", "failed")
