"""What a sweep has tried so far, read from the journal that all its workers append to.

Optuna keeps a study (Akiba et al. 2019, arXiv:1907.10902); every trial is an ordinary run besides. Writing is
`core.launch.sweep`'s; this file only reads, and needs no more than the journal. One study comes with Vitrine, without
its runs, and is looked at like those of this machine, of which none may have been begun yet.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from core.errors import CoreError, UnknownNameError
from core.paths import BUNDLED_STUDIES, runs_root, studies_root
from core.runs.status import STARTING_S, read_state
from core.runs.store import RunFolder

if TYPE_CHECKING:
    import optuna

Kind = TypeVar("Kind")
Value = int | float | str | bool
TrialStatus = Literal["running", "stopped", "finished", "pruned", "failed"]

# Fewer finished trials than this and a forest would rank noise.
ENOUGH_FOR_IMPORTANCE = 8


@dataclass(frozen=True, kw_only=True)
class StudyTrial:
    """One trial of a study.

    Attributes:
        number: counted from 1, in the order in which the trials were begun.
        status: "stopped" is a trial that nobody works on now and that the next worker continues.
        value: the study's score after the last epoch so far.
        epochs: (epoch, score) of every epoch so far.
        params: what was varied, by dotted key.
        overrides: the `key=value` texts that make it again, head numbers worked out.
        run: the name of its run.
        reason: why it was pruned or failed.
        started: ISO 8601, local time.
        seconds: how long it took; None while it is unfinished.
    """

    number: int
    status: TrialStatus
    value: float | None = None
    epochs: tuple[tuple[int, float], ...] = ()
    params: Mapping[str, Value] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    run: str = ""
    reason: str = ""
    started: str = ""
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """A study as it stands.

    Attributes:
        name: of the study and its journal.
        recipe: what every trial trains.
        base: `key=value` texts that all trials share.
        space: what is varied, one line a setting.
        epochs: of every trial that is not pruned.
        max_images: training images of every trial; 0 means all.
        budget: how many trials were asked for.
        trials: in the order in which they were begun.
        score: the quantity of the reports by which trials are compared, the higher the better.
    """

    name: str
    recipe: str
    base: tuple[str, ...]
    space: tuple[str, ...]
    epochs: int
    max_images: int
    budget: int
    trials: tuple[StudyTrial, ...]
    score: str = "val_accuracy"

    @property
    def is_share(self) -> bool:
        """Whether scores are fractions in [0, 1], to be shown in per cent."""
        return self.score.endswith("accuracy")

    @property
    def score_words(self) -> str:
        """What the score is called, with its unit."""
        return {"val_elbo": "validation ELBO (nats per image)"}.get(
            self.score, self.score.replace("val_", "validation ").replace("_", " ")
        )

    def say(self, value: float) -> str:
        """A score for people."""
        return score_text(self.score, value)

    @property
    def best(self) -> StudyTrial | None:
        """The finished trial with the highest value, the earliest of equals."""
        return max(self.having("finished"), key=lambda trial: (_value(trial), -trial.number), default=None)

    @property
    def done(self) -> int:
        """How many trials have ended, in whatever way."""
        return len(self.having("finished", "pruned", "failed"))

    def having(self, *statuses: TrialStatus) -> list[StudyTrial]:
        """The trials with one of these statuses."""
        return [trial for trial in self.trials if trial.status in statuses]

    @property
    def log_scaled(self) -> frozenset[str]:
        """The keys that are drawn uniformly in their logarithm."""
        return frozenset(line.partition("=")[0] for line in self.space if "=log:" in line)

    def overrides(self, trial: StudyTrial) -> tuple[str, ...]:
        """What makes `trial` an ordinary training on all images: base and varied settings."""
        varied = {text.partition("=")[0] for text in trial.overrides}
        return (*(text for text in self.base if text.partition("=")[0] not in varied), *trial.overrides)

    def command(self, trial: StudyTrial, name: str = "") -> str:
        """The command line that trains `trial`'s configuration on all images for the recipe's usual epochs."""
        pairs = "".join(f" --set {shlex.quote(pair)}" for pair in self.overrides(trial))
        return f"python -m core train {self.recipe} --name {shlex.quote(name or f'{self.name}-best')}{pairs}"


@dataclass(frozen=True, kw_only=True)
class Importance:
    """How much of the variance of the value each parameter explains, summing to 1; or why that is not known."""

    method: str
    shares: Mapping[str, float] = field(default_factory=dict)
    missing: str = ""


def journal_file(name: str) -> Path:
    """Where the study called `name` is kept.

    Raises:
        CoreError: the name cannot be a file's.
    """
    # Trials are named after their study, and names of runs end at 80 characters.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,69}", name):
        raise CoreError(
            f"{name!r} cannot name a study.",
            "Use up to 70 letters, digits, dots, hyphens or underscores, a letter first.",
        )
    return studies_root() / f"{name}.journal"


def list_studies() -> list[str]:
    """The names of all studies of this machine, the most recently written first."""
    found = []
    for path in studies_root().glob("*.journal"):
        with suppress(OSError, CoreError):  # gone meanwhile, or a name that none of ours has
            found.append((journal_file(path.stem).stat().st_mtime, path.stem))
    return [name for _, name in sorted(found, reverse=True)]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a study that comes with Vitrine was made.

    Attributes:
        date: ISO 8601.
        data: the data set, for people.
        val_count: validation images behind every score.
        command: what made it.
    """

    date: str
    data: str
    val_count: int
    command: str


def bundled_studies() -> dict[str, Provenance]:
    """The studies that come with Vitrine, by name; without those that this machine has another of."""
    taken = list_studies()
    return {
        path.stem: Provenance(**json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(BUNDLED_STUDIES.glob("*.json"))
        if path.stem not in taken
    }


def load_study(name: str) -> optuna.Study:
    """The study as Optuna knows it.

    Raises:
        UnknownNameError: there is none.
        CoreError: its journal is damaged.
    """
    import optuna

    own, bundled = list_studies(), bundled_studies()
    if name not in own and name not in bundled:
        raise UnknownNameError("study", name, [*own, *bundled])
    file = journal_file(name) if name in own else BUNDLED_STUDIES / f"{name}.journal"
    try:
        # The sampler is none of a reader's business, but the default one would be built anew at every look.
        return optuna.load_study(study_name=name, storage=_storage(file), sampler=optuna.samplers.RandomSampler())
    except Exception as error:  # what lies in the journal is replayed unchecked, and fails in every way there is
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> CoreError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return CoreError(
        f"The journal of the study {name!r} is damaged ({reason}).", f"Delete {journal_file(name)} and start again."
    )


def storage(name: str) -> optuna.storages.JournalStorage:
    """The journal of this machine's study called `name`; the file is made if there is none."""
    file = journal_file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    return _storage(file)


def _storage(file: Path) -> optuna.storages.JournalStorage:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    # Its workers report every trial themselves, in the words of this project.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.storages.JournalStorage(JournalFileBackend(str(file)))


def read_study(name: str) -> StudySummary:
    """The study called `name` as it stands.

    Raises:
        UnknownNameError: there is none.
        CoreError: its journal is damaged.
    """
    study = load_study(name)
    try:
        about = study.user_attrs
        counted = [trial for trial in study.get_trials(deepcopy=False) if not trial.user_attrs.get("surplus")]
        return StudySummary(
            name=name,
            recipe=_of(str, about.get("recipe", "")),
            base=_texts(about.get("base", ())),
            space=_texts(about.get("space", ())),
            epochs=_of(int, about.get("epochs", 0)),
            max_images=_of(int, about.get("max_images", 0)),
            budget=_of(int, about.get("trials", 0)),
            trials=tuple(map(_read_trial, counted)),
            score=_of(str, about.get("score", "val_accuracy")),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise _damaged(name, error) from error


def parameter_importance(name: str) -> Importance:
    """fANOVA over the finished trials of the study called `name`.

    A forest is fitted to value against parameters, and the variance that each parameter alone explains is read from
    it, with a fixed seed. Pruned trials are left out: their values are of earlier epochs.

    Source: Hutter, Hoos & Leyton-Brown 2014, "An Efficient Approach for Assessing Hyperparameter Importance", as in
        Optuna.
    """
    import optuna

    study = load_study(name)
    finished = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    method = f"fANOVA over {len(finished)} finished trials"
    if len(finished) < ENOUGH_FOR_IMPORTANCE:
        missing = (
            f"It takes {ENOUGH_FOR_IMPORTANCE} finished trials to rank parameters; so far there are {len(finished)}."
        )
        return Importance(method=method, missing=missing)
    if len({trial.value for trial in finished}) == 1:
        return Importance(method=method, missing="All finished trials have the same value.")
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return Importance(method=method, shares={key: float(share) for key, share in shares.items()})


def score_text(score: str, value: float) -> str:
    """A value of the quantity called `score` for people: a fraction in per cent, anything else in five digits."""
    return f"{value:.1%}" if score.endswith("accuracy") else f"{value:.5g}"


def short_value(value: Value) -> str:
    """A parameter's value for people: three digits of a float."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def is_abandoned(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether nobody works on an unfinished trial: its worker was stopped or killed, and any worker may continue it."""
    if trial.state.is_finished():
        return False
    folder = RunFolder(runs_root() / _of(str, trial.user_attrs.get("run", "")))
    if trial.user_attrs.get("run") and folder.spec.is_file():
        return read_state(folder).status != "running"
    # Between the two lines that begin a trial and create its run there are milliseconds.
    return trial.datetime_start is None or (datetime.now() - trial.datetime_start).total_seconds() > STARTING_S


def _value(trial: StudyTrial) -> float:
    """What trials are ordered by: scores may be negative, so that one without a score is not at 0."""
    return -math.inf if trial.value is None else trial.value


def _of(kind: type[Kind], value: object) -> Kind:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _texts(values: object) -> tuple[str, ...]:
    return tuple(_of(str, value) for value in _of(list, values or []))


def _read_trial(trial: optuna.trial.FrozenTrial) -> StudyTrial:
    about = trial.user_attrs
    unfinished: TrialStatus = "stopped" if is_abandoned(trial) else "running"
    statuses: dict[str, TrialStatus] = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}
    epochs = tuple(sorted(trial.intermediate_values.items()))
    ended = trial.datetime_complete
    return StudyTrial(
        number=trial.number + 1,
        status=statuses.get(trial.state.name, unfinished),
        value=trial.value if trial.value is not None else (epochs[-1][1] if epochs else None),
        epochs=epochs,
        params=dict(trial.params),
        overrides=_texts(about.get("overrides", ())),
        run=_of(str, about.get("run", "")),
        reason=_of(str, about.get("reason", "")),
        started=trial.datetime_start.isoformat(timespec="seconds") if trial.datetime_start else "",
        seconds=(ended - trial.datetime_start).total_seconds() if ended and trial.datetime_start else None,
    )
