"""Hyperparameter sweeps: many short trainings, each an ordinary run, chosen by what the earlier ones reached.

python -m core sweep vit_scratch --name wide --trials 20
python -m core sweep vit_scratch --name wide --trials 20 --workers 2 --background

The sampler is the tree-structured Parzen estimator (Bergstra et al. 2011), bad trials are stopped by the median rule
(Golovin et al. 2017), both as in Optuna. All that is known stands in the study's journal, so any number of workers may
share a study, and a worker that was stopped or killed leaves a trial that the next one continues.

Choices are made on the validation split: trials never read the test split.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import statistics
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from core.configs import check_options, option, parse_overrides
from core.errors import ConfigError, CoreError, RunFailedError
from core.experiments.catalogue import RECIPES, find_recipe
from core.experiments.space import (
    DEFAULT_SPACE,
    Parameter,
    Value,
    check_space,
    overrides_for,
    parse_space,
    setting_names,
)
from core.experiments.spec import Recipe
from core.files import write_json
from core.launch.supervise import supervise
from core.paths import runs_root
from core.reports import Progress
from core.runs.owner import OwnedElsewhereError
from core.runs.status import read_state, stored_state, write_state
from core.runs.store import RunFolder, RunSpec, create_run
from core.runs.studies import StudySummary, is_abandoned, journal_file, read_study, score_text, storage

if TYPE_CHECKING:
    import optuna

# How recipes call what every trial gets the same of.
EPOCHS, IMAGES, READS_TEST = ("training.epochs", "epochs"), ("max_images",), ("evaluate_test",)
# A trial that takes its worker down with it every time is not tried for ever.
ATTEMPTS = 3
# So many trials in a row that fail with the same words say that it is not the trials.
HOPELESS = 5


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is varied, how often, and how short each training is."""

    recipe: str = option("vit_scratch", "Recipe", "What every trial trains.")
    base: tuple[str, ...] = option((), "Settings of every trial", "key=value, as after --set.")
    space: tuple[str, ...] = option(DEFAULT_SPACE, "Search space", "One line for each setting that is varied.")
    trials: int = option(20, "Trials", "Of the whole study, whoever runs them.", minimum=1, maximum=10_000)
    epochs: int = option(3, "Epochs per trial", minimum=1, maximum=2000)
    max_images: int = option(
        5000, "Training images", "A fixed random part of the training split.", minimum=0, zero="all images"
    )
    sampler: Literal["tpe", "random"] = option("tpe", "Sampler", "TPE learns from earlier trials.")
    seed: int = option(0, "Sampler seed", "A single worker draws the same trials again.", minimum=0)
    pruner: Literal["median", "none"] = option("median", "Pruner", "Stop trials that are below the median.")
    startup_trials: int = option(5, "Unpruned trials", "Finished trials before any is pruned.", minimum=1)
    warmup_epochs: int = option(1, "Unpruned epochs", "Epochs that every trial gets.", minimum=0)
    study: str = option("", "Study", "Workers of one study share its trials; empty: the name of the run.")

    def __post_init__(self) -> None:
        check_options(self)
        for name in ("base", "space"):
            if not all(isinstance(line, str) for line in getattr(self, name)):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected a list of texts.")
        if self.study:
            journal_file(self.study)
        check_space(parse_space(self.space), base_config(self))


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """One trial that ended; `value` is its score (of the recipe, mostly validation accuracy) after its last epoch.

    Attributes:
        step: trials of the study that have ended.
        steps: trials in all.
        trial: its number, from 1.
        run: the name of its run.
        status: how it ended.
        value: None if it failed before its first epoch was over.
        best_value: of all finished trials of the study so far.
        best_trial: which that was.
        params: what was varied.
        reason: why it was pruned or failed.
    """

    step: int
    steps: int
    trial: int
    run: str
    status: str
    value: float | None
    best_value: float | None
    best_trial: int | None
    params: dict[str, Value]
    reason: str


def base_config(config: Config) -> Any:
    """The recipe's config that all trials start from.

    Raises:
        ConfigError: the recipe cannot be swept, or refuses the settings.
        UnknownNameError: there is no such recipe or setting.
    """
    recipe = _recipe(config.recipe)
    names = setting_names(recipe.config())
    fixed: list[str] = []
    for keys, value in ((EPOCHS, config.epochs), (IMAGES, config.max_images), (READS_TEST, False)):
        known = next((key for key in keys if key in names), None)
        if known is None:
            raise ConfigError(
                f"{recipe.title} cannot be swept: it has no setting {keys[0]}.",
                "A sweep shortens every trial and keeps the test split out of it.",
            )
        fixed.append(f"{known}={json.dumps(value)}")
    varied = {line.partition("=")[0].strip() for line in config.space}
    if clash := varied & set(recipe.incomparable):
        raise ConfigError(
            f"Trials with another {clash.pop()} cannot be compared: {recipe.score} does not mean the same then.",
            "Take it out of the search space, and begin a sweep for each of its values.",
        )
    if clash := varied & {pair.partition("=")[0] for pair in fixed}:
        raise ConfigError(f"{clash.pop()} is the same for all trials of a sweep.", "Take it out of the search space.")
    return parse_overrides(recipe.config, [*config.base, *fixed])


def sweepable() -> dict[str, Recipe]:
    """The recipes whose trainings can be shortened and kept away from the test split, by name."""
    found = {}
    for name, recipe in RECIPES.items():
        names = setting_names(recipe.config())
        if all(any(key in names for key in keys) for keys in (EPOCHS, IMAGES, READS_TEST)):
            found[name] = recipe
    return found


def run(config: Config, folder: RunFolder) -> Iterator[Progress | TrialReport]:
    """Run trials until the study has enough of them, beginning with one that another worker left behind.

    Raises:
        CoreError: the study was begun with other settings, or its trials fail one after the other.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("A sweep is one process.", "Start several workers of the same study instead.")
    if folder.path.parent.resolve() != runs_root().resolve():
        # Whoever tries a recipe out in a folder of its own would leave a study and its trials behind.
        raise ConfigError(
            "How long a sweep takes depends on what it tries.",
            f"Estimate one training of {config.recipe}, and multiply that by the number of trials.",
        )
    name = config.study or folder.name
    study = attach(config, name)
    worker = "" if folder.name == name else folder.name
    # The worker's own state knows which of several GPUs it was given.
    device = stored_state(folder).device or folder.read_spec().device
    told: list[int] = []
    yield from _news(read_study(name), config.trials, told)
    while (trial := _next_trial(study, config, worker)) is not None:
        title = f"trial {trial.number + 1} of {config.trials}"
        yield Progress(step=len(told), steps=config.trials, text=title)
        try:
            for progress in _train(trial, config, name, device):
                yield Progress(step=len(told), steps=config.trials, text=f"{title}, {progress}")
        except OwnedElsewhereError:
            continue  # another worker was faster to continue it
        summary = read_study(name)
        yield from _news(summary, config.trials, told)
        _write_best(folder, summary)
        _give_up_if_hopeless(summary)
    summary = read_study(name)
    yield from _news(summary, config.trials, told)
    if summary.best is None and not summary.having("running"):
        raise RunFailedError(
            f"None of the {summary.done} trials finished; the last: {summary.trials[-1].reason}",
            "Mend the settings that all trials share, and begin a study of another name.",
        )
    _write_best(folder, summary)


def _recipe(name: str) -> Recipe:
    if name == "sweep":
        raise ConfigError("A sweep cannot sweep sweeps.", "Choose a recipe that trains a model.")
    return find_recipe(name)


def attach(config: Config, name: str) -> optuna.Study:
    """The study called `name`, begun if there is none.

    Raises:
        ConfigError: it was begun with another recipe, base or search space.
    """
    import optuna

    study = optuna.create_study(
        study_name=name, storage=storage(name), direction="maximize", load_if_exists=True, pruner=_pruner(config)
    )
    space = [parameter.text for parameter in parse_space(config.space)]
    wanted = {
        "recipe": config.recipe,
        "base": list(config.base),
        "space": space,
        "epochs": config.epochs,
        "max_images": config.max_images,
        "score": _recipe(config.recipe).score,
    }
    known = study.user_attrs
    for key, value in wanted.items():
        if known.get(key, value) != value:
            raise ConfigError(
                f"The study {name!r} was begun with {key} {known[key]!r}, and this sweep has {value!r}.",
                "Choose another name for the study: its trials would not be comparable.",
            )
        if key not in known:
            study.set_user_attr(key, value)
    if known.get("trials", 0) < config.trials:
        study.set_user_attr("trials", config.trials)
    return study


def _pruner(config: Config) -> optuna.pruners.BasePruner:
    import optuna

    if config.pruner == "none":
        return optuna.pruners.NopPruner()
    # Epochs count from 1, and Optuna prunes at the step that it is given here.
    return optuna.pruners.MedianPruner(n_startup_trials=config.startup_trials, n_warmup_steps=config.warmup_epochs + 1)


def _next_trial(study: optuna.Study, config: Config, worker: str) -> optuna.Trial | None:
    """A trial to work on: one that nobody works on any more, else a new one; None when there are enough."""
    import optuna

    for frozen in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if is_abandoned(frozen):
            return optuna.Trial(study, frozen._trial_id)
    counted = [trial.number for trial in study.get_trials(deepcopy=False) if not trial.user_attrs.get("surplus")]
    if len(counted) >= config.trials:
        return None
    # Seeded anew for every trial: a resumed worker draws what it would have drawn, two workers never the same.
    study.sampler = _sampler(config, f"{config.seed}/{worker}/{len(counted)}")
    trial = study.ask()
    # Another worker may have asked since. The journal has put both in an order, so exactly one of them is too late.
    earlier = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
    if sum(not other.user_attrs.get("surplus") for other in earlier) < config.trials:
        return trial
    trial.set_user_attr("surplus", True)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return None


def _sampler(config: Config, seed_text: str) -> optuna.samplers.BaseSampler:
    import optuna

    seed = int.from_bytes(hashlib.sha256(seed_text.encode()).digest()[:4])
    if config.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # A third of a short study is drawn at random, where Optuna's own default would be half or all of it.
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, max(4, config.trials // 3)))


def _suggest(trial: optuna.Trial, parameter: Parameter) -> Value:
    if parameter.kind == "choice":
        chosen = trial.suggest_categorical(parameter.key, parameter.choices)
        return cast(Value, chosen)  # Optuna would also choose None, which no search space offers
    if parameter.kind == "int":
        low, high, step = int(parameter.low), int(parameter.high), int(parameter.step or 1)
        return trial.suggest_int(parameter.key, low, high, step=step)
    if parameter.kind == "log":
        return trial.suggest_float(parameter.key, parameter.low, parameter.high, log=True)
    return trial.suggest_float(parameter.key, parameter.low, parameter.high, step=parameter.step)


def _train(trial: optuna.Trial, config: Config, name: str, device: str) -> Iterator[str]:
    """Run `trial` to one of its ends and tell the study; stopped from outside, it is left for the next worker.

    Yields what is going on.
    """
    values = {parameter.key: _suggest(trial, parameter) for parameter in parse_space(config.space)}
    try:
        folder = _run_of(trial, values, config, name, device)
        if read_state(folder).status != "finished" and not trial.user_attrs.get("reason"):
            yield from _epochs(trial, folder, config)
            if _was_signalled(trial, folder):
                # The inner run took the signal; the sweep that it was meant for hears it now and closes this.
                signal.raise_signal(signal.SIGTERM)
                yield "stopping"
                return
        _tell(trial, folder, _recipe(config.recipe).score)
    except OwnedElsewhereError:
        raise
    except CoreError as error:
        _fail(trial, error.cause)


def _run_of(trial: optuna.Trial, values: dict[str, Value], config: Config, name: str, device: str) -> RunFolder:
    """The run of `trial`: created, or the one that an earlier worker left."""
    attempts = trial.user_attrs.get("attempts", 0) + 1
    trial.set_user_attr("attempts", attempts)
    if attempts > ATTEMPTS:
        raise RunFailedError(f"Its worker died {ATTEMPTS} times while it trained this.")
    base = base_config(config)
    overrides = overrides_for(values, base)
    trial_config = parse_overrides(type(base), list(overrides), base)
    folder = RunFolder(runs_root() / f"{name}-t{trial.number + 1:03d}")
    if trial.user_attrs.get("run") != folder.name or not folder.spec.is_file():
        spec = RunSpec.of(config.recipe, trial_config, device=device, study=name)
        folder = create_run(folder.name, spec)
        trial.set_user_attr("overrides", list(overrides))
        trial.set_user_attr("run", folder.name)
    return folder


def _epochs(trial: optuna.Trial, folder: RunFolder, config: Config) -> Iterator[str]:
    """Train, telling the study of every epoch, until the end or until the pruner has seen enough."""
    known, score = set(_frozen(trial).intermediate_values), _recipe(config.recipe).score
    run_reports = cast(Generator[Any, None, None], supervise(folder, find_recipe))
    with closing(run_reports) as reports:
        for report in reports:
            value = getattr(report, score, None)
            value = getattr(report, "extras", {}).get(score) if value is None else value
            if value is None or math.isnan(value):
                yield getattr(report, "text", "") or f"step {report.step} of {report.steps}"
                continue
            epoch = getattr(report, "epoch", 0) or len(folder.history())
            if epoch not in known:  # a continued run computes an epoch again that it had not saved
                trial.report(value, epoch)
            yield f"epoch {epoch}: {score_text(score, value)}"
            if epoch < config.epochs and trial.should_prune():
                trial.set_user_attr("reason", _why_pruned(trial, epoch, score))
                break


def _frozen(trial: optuna.Trial) -> optuna.trial.FrozenTrial:
    """What the journal says about `trial` now."""
    return next(other for other in trial.study.get_trials(deepcopy=False) if other.number == trial.number)


def _was_signalled(trial: optuna.Trial, folder: RunFolder) -> bool:
    """Whether the run ended by a signal to this process: neither pruned, nor stopped by its own STOP file."""
    stopped = read_state(folder).status == "stopped"
    return stopped and not trial.user_attrs.get("reason") and not folder.stop.exists()


def _why_pruned(trial: optuna.Trial, epoch: int, score: str) -> str:
    """What the median rule saw: the best epoch so far against the middle of the finished trials."""
    best = max(_frozen(trial).intermediate_values.values())
    finished = [other for other in trial.study.get_trials(deepcopy=False) if other.state.name == "COMPLETE"]
    median = statistics.median(
        other.intermediate_values[epoch] for other in finished if epoch in other.intermediate_values
    )
    reached, middle = score_text(score, best), score_text(score, median)
    return f"pruned at epoch {epoch}: {reached} at best, where half of the finished trials had {middle} or more"


def _tell(trial: optuna.Trial, folder: RunFolder, score: str) -> None:
    """Close `trial` in the study as its run ended."""
    import optuna

    state = read_state(folder)
    values = [line[score] for line in folder.history() if line.get(score) is not None]
    reason = trial.user_attrs.get("reason", "")
    if reason:
        remedy = "Resume trains it to its end, outside of the study."
        write_state(folder, replace(state, status="stopped", cause=reason, remedy=remedy))
        trial.study.tell(trial, state=optuna.trial.TrialState.PRUNED, skip_if_finished=True)
    elif state.status == "finished" and values:
        trial.study.tell(trial, values[-1], skip_if_finished=True)
    elif state.status == "stopped":
        trial.set_user_attr("reason", f"stopped by hand after {len(values)} epochs")
        trial.study.tell(trial, state=optuna.trial.TrialState.PRUNED, skip_if_finished=True)
    else:
        _fail(trial, state.cause or f"It reported no {score}.")


def _fail(trial: optuna.Trial, reason: str) -> None:
    import optuna

    trial.set_user_attr("reason", reason)
    trial.study.tell(trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)


def _news(summary: StudySummary, trials: int, told: list[int]) -> Iterator[TrialReport]:
    """A report of every trial that has ended, whoever ran it, and is not among those `told`; they are then."""
    for trial in summary.having("finished", "pruned", "failed"):
        if trial.number in told:
            continue
        told.append(trial.number)
        so_far = [other for other in summary.having("finished") if other.number in told]
        best = max(so_far, key=lambda other: cast(float, other.value), default=None)
        yield TrialReport(
            step=min(len(told), trials),
            steps=trials,
            trial=trial.number,
            run=trial.run,
            status=trial.status,
            value=trial.value,
            best_value=best.value if best else None,
            best_trial=best.number if best else None,
            params=dict(trial.params),
            reason=trial.reason,
        )


def _write_best(folder: RunFolder, summary: StudySummary) -> None:
    """`best.json`: the best configuration so far and the command that trains it on all images."""
    best = summary.best
    if best is None:
        return
    values = {
        "study": summary.name,
        "recipe": summary.recipe,
        "trial": best.number,
        "run": best.run,
        summary.score: best.value,
        "params": dict(best.params),
        "overrides": list(summary.overrides(best)),
        "command": summary.command(best),
        "epochs_per_trial": summary.epochs,
        "max_images": summary.max_images,
        "trials": {
            status: len(summary.having(status)) for status in ("finished", "pruned", "failed", "running", "stopped")
        },
    }
    write_json(folder.path / "best.json", values)


def _give_up_if_hopeless(summary: StudySummary) -> None:
    """A setting that all trials share, or the machine, is wrong if they all fail for one reason."""
    last = summary.having("finished", "pruned", "failed")[-HOPELESS:]
    reasons = {(trial.status, trial.reason) for trial in last}
    # One impossible combination may be drawn again and again from a small space.
    different = {json.dumps(dict(trial.params), sort_keys=True) for trial in last}
    if len(different) == HOPELESS and len(reasons) == 1 and last[0].status == "failed":
        raise RunFailedError(
            f"The last {HOPELESS} trials failed for the same reason: {last[-1].reason}",
            "Remove the reason and resume the sweep; or mend the settings and begin a study of another name.",
        )
