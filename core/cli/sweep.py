"""Sweeps: starting one, and what has come of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from core.cli.foreground import train_here
from core.errors import CoreError


class _StartsByDefault(TyperGroup):
    """`sweep RECIPE ...` means `sweep start RECIPE ...`."""

    def resolve_command(self, context: Any, words: list[str]) -> Any:
        """The command that `words` begin with, or `start`."""
        is_command = not words or words[0] in self.commands or words[0].startswith("-")
        return super().resolve_command(context, words if is_command else ["start", *words])


app = typer.Typer(
    cls=_StartsByDefault,
    no_args_is_help=True,
    help="Search for settings: python -m core sweep RECIPE --name NAME [--trials 20 ...]; see sweep start --help.",
)


@app.command("start")
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
        train_here(folders[0])
        show_sweep(study or name)


@app.command("list")
def show_sweeps() -> None:
    """Every study, the one that comes with Vitrine last: how many trials have ended, and the best value."""
    from core.runs.studies import bundled_studies, list_studies, read_study

    for name in (*list_studies(), *bundled_studies()):
        try:
            summary = read_study(name)
        except CoreError as error:
            typer.echo(f"{name:32} {error}")
            continue
        best = f"best val {summary.say(summary.best.value)}" if summary.best and summary.best.value is not None else ""
        typer.echo(f"{name:32} {summary.recipe:16} {summary.done}/{summary.budget} trials  {best}".rstrip())


@app.command("show")
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
