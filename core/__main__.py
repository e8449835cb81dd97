"""The command line: `python -m core --help`."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from core.errors import CoreError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _vitrine() -> None:
    """Vitrine without the browser."""


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, such as vit_scratch.")],
    name: Annotated[str, typer.Option(help="Name of the run; an unfinished run of that name is resumed.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
) -> None:
    """Train in the foreground; interrupt it and call it again to resume."""
    from core.configs import parse_overrides
    from core.experiments.catalogue import find_recipe
    from core.paths import runs_root
    from core.runs.store import RunFolder

    found = find_recipe(recipe)
    config = parse_overrides(found.config, settings or [])
    folder = RunFolder(runs_root() / name)
    folder.path.mkdir(parents=True, exist_ok=True)
    overrides = "".join(f" --set {shlex.quote(pair)}" for pair in settings or [])
    for report in found.run(config, folder, f"python -m core train {recipe} --name {name}{overrides}"):
        left = (report.epochs - report.epoch) * report.step / report.epoch
        typer.echo(
            f"epoch {report.epoch}/{report.epochs}  loss {report.train_loss:.3f}  val {report.val_accuracy:.1%}  "
            f"{report.images_per_second:.0f} images/s  {left:.0f} steps left"
        )


def main() -> None:
    """Run the command line; a `CoreError` is one sentence and exit status 1."""
    try:
        app()
    except CoreError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
