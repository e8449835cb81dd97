"""The command line, whole: `python -m core --help`, or `vitrine --help` where it is installed.

Heavy imports happen inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from core.cli import app as start
from core.cli import bundle, classify, data, embed, runs, sweep, train, weights
from core.cli.quiet import keep_libraries_quiet
from core.errors import CoreError
from core.paths import version

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(weights.app, name="weights")
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")
app.add_typer(sweep.app, name="sweep")
app.command("app", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(start.start_app)
app.command(cls=train.RecipeCommand)(train.train)
app.command()(train.estimate)
app.command()(classify.classify)
app.command()(embed.embed)
app.command()(bundle.bundle)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vitrine {version()}")
        raise typer.Exit


@app.callback()
def _all(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    """Vitrine: see inside vision models. `app` opens it in the browser; the rest works without one."""
    keep_libraries_quiet()


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
