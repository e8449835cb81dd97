"""Data sets: importing, downloading, listing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.cli.bars import advance

app = typer.Typer(no_args_is_help=True, help="Data sets on this machine.")


@app.command("import")
def import_data(
    file: Annotated[
        Path, typer.Argument(help="A .zip, .tar, .tar.gz or .tar.xz archive, or a folder of class folders.")
    ],
    name: Annotated[str, typer.Option(help="What to call it: letters, digits, - and _.")],
) -> None:
    """Import labelled images."""
    from core.data.archives import import_archive

    with typer.progressbar(length=1000, label=name) as bar:
        folder = import_archive(file, name, advance(bar))
    typer.echo(f"Imported into {folder}")


@app.command("get")
def get_data(
    name: Annotated[str, typer.Argument(help="cifar10, cifar100, mnist, fashion_mnist or stl10.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Convert the published files in this folder; nothing is downloaded.")
    ] = None,
) -> None:
    """Download one of torchvision's data sets, or convert its published files."""
    from core.data.download import get_dataset

    with typer.progressbar(length=1000, label=name) as bar:
        folder = get_dataset(name, source, advance(bar))
    typer.echo(f"Converted into {folder}")


@app.command("list")
def list_data() -> None:
    """The data sets that have been imported."""
    from core.data.catalogue import installed_datasets

    for name, card in installed_datasets().items():
        splits = ", ".join(f"{split} {count}" for split, count in card["splits"].items())
        typer.echo(f"{name:24} {card['title']:40} {len(card['classes'])} classes; {splits}")
