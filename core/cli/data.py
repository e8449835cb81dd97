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
    layout: Annotated[
        str,
        typer.Option(
            help="Where the classes are: class-folders, condition-folders, inner-folders, file-names, "
            "condition-names, table:COLUMN or one-class; by default what explains the files best."
        ),
    ] = "",
    encoding: Annotated[str, typer.Option(help="Of names that do not say it, such as cp932; guessed by default.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how it is read; store nothing.")] = False,
) -> None:
    """Import labelled images; what was understood is said before anything is stored."""
    from core.data.archives import import_archive, read_archive
    from core.data.catalogue import read_dataset
    from core.data.layout import Layout
    from core.data.reading import Reading, skipped_lines, table

    known: set[str] = set()

    def show(reading: Reading, chosen: Layout) -> None:
        typer.echo()
        for line in table(reading, chosen):
            typer.echo(line)
        known.update("/".join(parts) for parts in reading.skipped(chosen))

    with typer.progressbar(length=1000, label=name) as bar:
        if dry_run:
            preview = read_archive(file, advance(bar), encoding=encoding)
        else:
            folder = import_archive(file, name, advance(bar), layout=layout, encoding=encoding, on_reading=show)
    if dry_run:
        show(preview.reading, preview.reading.choose(layout))
        typer.echo("Nothing is stored: leave out --dry-run to import it.")
        return
    info = read_dataset(name)
    broken = {tuple(path.split("/")): why for path, why in info["skipped"].items() if path not in known}
    for line in skipped_lines(broken):
        typer.echo(f"Not read: {line}")
    counts = ", ".join(f"{split} {count:,}" for split, count in info["splits"].items())
    typer.echo(f"Imported {len(info['classes']):,} classes ({counts}) into {folder}")


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
