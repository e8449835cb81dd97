"""Making the bundled models again."""

from __future__ import annotations

from typing import Annotated

import typer


def bundle(
    names: Annotated[list[str] | None, typer.Argument(help="Folders of checkpoints/, such as vit_p4.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value on top, repeatable.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, one after the other.")] = False,
    put: Annotated[bool, typer.Option("--install", help="Copy what is finished into checkpoints/.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Only say which there are and how they are made.")] = False,
    races: Annotated[str, typer.Option(help="A finished diffusion_zero_shot run: its accuracy goes on the card.")] = "",
) -> None:
    """Train the models that come with Vitrine again; what is begun is resumed, what is finished is left alone."""
    from core.experiments.bundled import BUNDLED_RUNS, bundled_run, find_bundled, install, record_evaluation
    from core.launch.execute import execute
    from core.reports import Progress, as_line
    from core.runs.store import find_run

    if races:
        typer.echo(f"Written into {record_evaluation(find_run(races))}")
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
