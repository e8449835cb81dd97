"""Sweeps: the same seed draws the same trials, workers share them, and nothing that ends is lost or done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.configs import parse_overrides
from core.errors import ConfigError, CoreError, RunFailedError
from core.experiments.catalogue import RECIPES
from core.experiments.space import usual_space
from core.launch import sweep
from core.launch.execute import execute
from core.models.checkpoint import read_card
from core.paths import CHECKOUT
from core.reports import Progress
from core.runs.status import read_state
from core.runs.store import RunFolder, RunSpec, create_run, find_run, list_runs
from core.runs.studies import list_studies, parameter_importance, read_study
from tests.experiments import toy_recipe
from tests.toy import save_toy

SPACE = ("training.learning_rate=float:0..0.5", "model.embed_dim=int:16..64/16", "model.head_dim=choice:4,8")


@pytest.fixture(autouse=True)
def _toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.setitem(RECIPES, "toy", toy_recipe.TOY)


def begin(name: str, **settings: Any) -> RunFolder:
    config = sweep.Config(**{"recipe": "toy", "space": SPACE, "trials": 6, "epochs": 2, "pruner": "none", **settings})
    return create_run(name, RunSpec.of("sweep", config, device="cpu"))


def drawn(name: str) -> list[dict[str, Any]]:
    return [dict(trial.params) for trial in read_study(name).trials]


def reports(folder: RunFolder) -> list[sweep.TrialReport]:
    return [report for report in execute(folder) if not isinstance(report, Progress)]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_seed_draws_the_same_trials(sampler: str) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        reports(begin(name, sampler=sampler, seed=seed))
    assert drawn("one") == drawn("two") != drawn("other")
    assert len({json.dumps(params) for params in drawn("one")}) == 6


def test_every_trial_is_a_run_and_the_best_one_is_written_down() -> None:
    folder = begin("study", base=("gate=",))
    told = reports(folder)
    assert [report.step for report in told] == [1, 2, 3, 4, 5, 6]
    summary = read_study("study")
    assert {trial.status for trial in summary.trials} == {"finished"}
    for trial in summary.trials:
        run = find_run(trial.run)
        spec = run.read_spec()
        assert (spec.study, spec.config["evaluate_test"], spec.config["training"]["epochs"]) == ("study", False, 2)
        assert spec.config["model"]["num_heads"] * trial.params["model.head_dim"] == trial.params["model.embed_dim"]
        assert read_state(run).status == "finished"
        assert [line["val_accuracy"] for line in run.history()] == [value for _, value in trial.epochs]
    best = json.loads((folder.path / "best.json").read_text(encoding="utf-8"))
    assert best["val_accuracy"] == max(trial.value for trial in summary.trials if trial.value is not None)
    assert told[-1].best_value == best["val_accuracy"]
    winner = parse_overrides(toy_recipe.Config, best["overrides"])
    assert winner.training.learning_rate == best["params"]["training.learning_rate"]
    assert winner.evaluate_test
    assert winner.training.epochs == toy_recipe.Config().training.epochs
    assert all(pair in best["command"] for pair in best["overrides"])


def test_a_trial_below_the_median_is_pruned_and_says_why() -> None:
    lines = ("training.learning_rate=float:0..0.5",)
    reports(begin("study", space=lines, trials=12, epochs=4, pruner="median", startup_trials=3, sampler="random"))
    summary = read_study("study")
    pruned, finished = summary.having("pruned"), summary.having("finished")
    assert len(pruned) >= 2
    assert len(pruned) + len(finished) == 12
    assert len(finished) >= 3
    for trial in pruned:
        # One epoch is always granted, and the rule strikes at the first chance.
        assert len(trial.epochs) == 2
        state = read_state(find_run(trial.run))
        assert state.status == "stopped"
        assert state.cause == trial.reason
        assert trial.reason.startswith("pruned at epoch 2: ")
        assert trial.value is not None
        assert finished[0].value is not None


def test_combinations_that_are_no_model_fail_and_the_sweep_goes_on() -> None:
    lines = ("model.num_heads=choice:1,7", "model.embed_dim=int:16..64/16")
    reports(begin("study", space=lines, trials=8, sampler="random"))
    summary = read_study("study")
    assert summary.done == 8
    assert summary.best is not None
    failed = summary.having("failed")
    assert {trial.params["model.num_heads"] for trial in failed} == {7}
    assert all("does not split into 7 heads" in trial.reason for trial in failed)


def test_a_reason_that_all_trials_share_ends_the_sweep() -> None:
    folder = begin("study", base=("broken=true",))
    with pytest.raises(RunFailedError, match="The toy is broken"):
        reports(folder)
    assert len(read_study("study").trials) == sweep.HOPELESS
    assert read_state(folder).status == "failed"


def test_a_stopped_sweep_continues_as_if_it_had_never_stopped() -> None:
    reports(begin("whole", seed=5))
    folder = begin("cut", seed=5)
    started = execute(folder)
    for report in started:
        if "trial 3 of 6, epoch 1" in getattr(report, "text", ""):
            break
    started.close()  # type: ignore[attr-defined]
    assert read_state(folder).status == "stopped"
    assert [trial.status for trial in read_study("cut").trials] == ["finished", "finished", "stopped"]
    assert read_state(find_run("cut-t003")).status == "stopped"
    reports(folder)
    assert drawn("cut") == drawn("whole")
    assert [trial.epochs for trial in read_study("cut").trials] == [t.epochs for t in read_study("whole").trials]
    assert [line["trial"] for line in folder.history()] == [1, 2, 3, 4, 5, 6]


def test_a_signal_in_the_middle_of_a_trial_stops_the_whole_sweep() -> None:
    folder = begin("study")
    for report in execute(folder):
        if "trial 2 of 6, epoch 1" in getattr(report, "text", ""):
            os.kill(os.getpid(), signal.SIGTERM)
    assert read_state(folder).status == "stopped"
    assert [trial.status for trial in read_study("study").trials] == ["finished", "stopped"]


def test_a_trial_that_is_stopped_by_hand_is_not_continued() -> None:
    folder = begin("study", trials=3)
    for report in execute(folder):
        if "trial 2 of 3, step 1" in getattr(report, "text", ""):
            find_run("study-t002").stop.touch()
            time.sleep(0.3)  # a run looks for the file a few times a second
    assert [trial.status for trial in read_study("study").trials] == ["finished", "pruned", "finished"]
    assert "stopped by hand" in read_study("study").trials[1].reason


def worker(folder: RunFolder) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.experiments.toy_recipe", str(folder.path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_two_workers_share_a_study_and_one_takes_over_what_the_other_left_when_killed(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = begin("study", trials=6, base=(f"gate={gate}",))
    second = begin("helper", trials=6, base=(f"gate={gate}",), study="study")
    processes = [worker(first), worker(second)]
    try:
        wait_for(lambda: len(waiting_trials()) == 2)
        processes[0].kill()
        processes[0].wait()
        gate.touch()
        assert processes[1].wait(timeout=180) == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()
    summary = read_study("study")
    assert [trial.status for trial in summary.trials] == ["finished"] * 6
    assert len({json.dumps(dict(trial.params)) for trial in summary.trials}) == 6
    assert len({trial.run for trial in summary.trials}) == 6
    for trial in summary.trials:
        assert [line["epoch"] for line in find_run(trial.run).history()] == [1, 2]
    assert read_state(first).status == "interrupted"
    # The killed worker has nothing left to do, and says what there is to know.
    assert [report.trial for report in reports(first)] == list(range(1, 7))
    assert len(read_study("study").trials) == 6


@pytest.mark.slow
def test_a_killed_worker_resumes_its_trial(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    folder = begin("study", trials=3, base=(f"gate={gate}",))
    process = worker(folder)
    try:
        wait_for(lambda: len(waiting_trials()) == 1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [trial.status for trial in read_study("study").trials] == ["stopped"]
    gate.touch()
    reports(folder)
    assert [trial.status for trial in read_study("study").trials] == ["finished"] * 3
    assert [line["epoch"] for line in find_run("study-t001").history()] == [1, 2]
    reports(begin("unhurt", trials=3))
    assert drawn("study") == drawn("unhurt")


def waiting_trials() -> list[str]:
    """The trials of the study that have saved their first epoch and wait for the second."""
    return [run.name for run in list_runs() if run.read_spec().study == "study" and run.checkpoint.is_file()]


def test_a_study_keeps_what_it_was_begun_with() -> None:
    reports(begin("study", trials=2))
    with pytest.raises(RunFailedError, match="begun with epochs 2, and this sweep has 3"):
        reports(begin("later", study="study", epochs=3))
    # More trials are welcome.
    reports(begin("more", study="study", trials=4))
    assert read_study("study").budget == len(read_study("study").trials) == 4


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"recipe": "sweep"}, "cannot sweep sweeps"),
        ({"recipe": "toi"}, "no recipe named 'toi'"),
        ({"space": ("training.epochs=int:1..3",)}, "same for all trials"),
        ({"space": ("training.learning_rate=float:0..3",)}, "between 0 and 1"),
        ({"space": ()}, "empty"),
        ({"base": ("depth=3",)}, "depth"),
        ({"study": "../x"}, "cannot name a study"),
    ],
)
def test_a_sweep_that_cannot_work_is_refused_before_it_begins(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CoreError, match=complaint):
        sweep.Config(**{"recipe": "toy", "space": SPACE, **settings})


def test_an_estimate_leaves_no_study_behind(tmp_path: Path) -> None:
    config = sweep.Config(recipe="toy", space=SPACE)
    with pytest.raises(ConfigError, match="depends on what it tries"):
        next(sweep.run(config, RunFolder(tmp_path / "elsewhere" / "estimate")))
    assert list_studies() == []


def test_importance_needs_trials_and_finds_what_matters() -> None:
    reports(begin("few", trials=3))
    assert "so far there are 3" in parameter_importance("few").missing
    reports(begin("many", trials=12, epochs=1, sampler="random"))
    importance = parameter_importance("many")
    assert sum(importance.shares.values()) == pytest.approx(1)
    assert max(importance.shares, key=lambda key: importance.shares[key]) == "training.learning_rate"
    assert importance.shares["training.learning_rate"] > 0.6
    assert "12 finished trials" in importance.method


@pytest.mark.parametrize("family", ["vit", "differential_vit"])
def test_trials_of_a_real_recipe_do_without_a_test_split(family: str) -> None:
    save_toy({"train": 40}, name="tiny")
    shape = ("model.image_size=8", "model.classes=2", "model.patch_size=4", "training.batch_size=8")
    lines = (
        "model.embed_dim=int:16..32/16",
        "model.head_dim=choice:4,8",
        "model.depth=int:1..2",
        "training.learning_rate=log:1e-3..1e-2",
    )
    base = ("dataset=tiny", f"family={family}", "training.precision=fp32", *shape)
    reports(begin("study", recipe="vit_scratch", base=base, space=lines, trials=2, epochs=2, max_images=24))
    summary = read_study("study")
    assert [trial.status for trial in summary.trials] == ["finished"] * 2
    assert all(trial.value is not None and 0 <= trial.value <= 1 for trial in summary.trials)
    measured = read_card(find_run("study-t001").model).metrics
    assert "test_accuracy" not in measured


def test_a_sweep_over_beta_compares_bounds_and_not_accuracies() -> None:
    save_toy({"train": 40}, name="tiny")
    base = (
        "dataset=tiny", "model.image_size=8", "model.channels=3", "model.hidden_dim=8", "model.latent_dim=2",
        "training.batch_size=8", "bound_images=2", "bound_draws=2",
    )  # fmt: skip
    settings: dict[str, Any] = {"recipe": "vae", "base": base, "trials": 3, "epochs": 2, "max_images": 24}
    folder = begin("betas", space=("objective.beta=log:0.1..100",), **settings)
    told = reports(folder)
    summary = read_study("betas")
    assert summary.score == "val_elbo"
    assert [trial.status for trial in summary.trials] == ["finished"] * 3
    for trial in summary.trials:
        assert [value for _, value in trial.epochs] == [line["val_elbo"] for line in find_run(trial.run).history()]
    values = [trial.value for trial in summary.trials if trial.value is not None]
    assert max(values) < 0  # the one that comes nearest to 0 is the best
    assert summary.best is not None
    assert summary.best.value == max(values) == told[-1].best_value
    assert json.loads((folder.path / "best.json").read_text(encoding="utf-8"))["val_elbo"] == max(values)
    assert summary.say(-742.531) == "-742.53"
    with pytest.raises(ConfigError, match=r"another model.likelihood cannot be compared: val_elbo"):
        sweep.Config(space=("model.likelihood=choice:gaussian,bernoulli",), **settings)


def test_the_recipes_that_train_from_scratch_can_be_swept() -> None:
    names = sweep.sweepable()
    assert {"vit_scratch", "toy"} <= set(names)
    assert "sweep" not in names
    for name in names:
        sweep.Config(recipe=name, space=usual_space(RECIPES[name].config()))
