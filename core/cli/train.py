"""Training here or in the background, and how long it would take."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from core.cli.foreground import train_here
from core.errors import CoreError


class RecipeCommand(TyperCommand):
    """A command whose first word is a recipe: `train RECIPE --help` lists that recipe's settings."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """Parse `args`, unless they ask what a recipe can be set to."""
        if "--help" in args and args and not args[0].startswith("-"):
            typer.echo(recipe_help(args[0]))
            context.exit()
        return super().parse_args(context, args)


def recipe_help(recipe: str) -> str:
    """Every setting of a recipe with type, default, bounds and meaning, a line each.

    Raises:
        UnknownNameError: there is no such recipe.
    """
    from core.configs import list_settings
    from core.launch.recipes import find_recipe

    found = find_recipe(recipe)
    rows = [
        (
            each.key,
            each.kind,
            f"default {each.default}" + (f", {each.bounds}" if each.bounds else ""),
            each.help,
        )
        for each in list_settings(found.config)
    ]
    lines = [f"{recipe}: {found.summary}.", "", "Settings, each given as --set KEY=VALUE:", ""]
    for key, kind, default, meaning in rows:
        lines += [f"  {key}  ({kind}; {default})", *([f"      {meaning}."] if meaning else [])]
    return "\n".join([*lines, "", "The other options: python -m core train --help"])


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
        train_here(folder)


def estimate(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as vit_scratch.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: progress, then the result.")] = False,
) -> None:
    """How long a training would take, measured over a few of its own steps."""
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
