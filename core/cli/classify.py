"""Naming photos."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import CoreError


def classify(
    folder: Annotated[Path, typer.Argument(help="Photos, side by side or in a folder for each class.")],
    model: Annotated[
        str, typer.Option(help="Of images and texts, or a classifier: of the catalogue, run:NAME, folder:PATH.")
    ] = "clip_small",
    labels: Annotated[
        str,
        typer.Option(
            help="With commas between them, or a file of them (text, CSV, JSON); the class folders' names by default. "
            "A classifier answers with its own classes."
        ),
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
    from core.data.label_files import given_labels
    from core.data.prompts import strategy_templates
    from core.methods.clip.classify_files import (
        accuracy_of,
        classify_by_classes,
        classify_files,
        folder_labels,
        image_files,
    )
    from core.models.weights import load

    files = image_files(folder)[: limit or None]
    given = given_labels(labels) if labels.strip() else None
    if csv is not None:
        _prepare(csv)
    loaded = load(model)
    if given is None and loaded.spec.lacks("image_text") and not loaded.spec.lacks("classifier"):
        found = classify_by_classes(loaded, files)
    else:
        chosen = given.names if given is not None else folder_labels(folder, files)
        if not chosen:
            raise CoreError(f"The photos of {folder} do not lie in class folders.", 'Name labels: --labels "cat, dog"')
        templates = strategy_templates(
            "custom" if template else strategy, domain=domain, custom="\n".join(template or [])
        )
        found = classify_files(loaded, files, chosen, templates)
    for note in given.notes if given is not None else ():
        typer.echo(note, err=True)
    answers = []
    for answer in found:
        answers.append(answer)
        said = f"{answer.label:24} {answer.probability:6.1%}" if not answer.problem else f"not read: {answer.problem}"
        typer.echo(f"{answer.path.relative_to(folder)!s:48} {said}")
    if (right := accuracy_of(answers)) is not None:
        typer.echo(f"The class folder's name was said of {right.sentence()}.")
    if csv is not None:
        _write_answers(csv, folder, answers)


def _prepare(path: Path) -> None:
    """Make the folder of a table before the work, not after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
    except OSError as error:
        raise CoreError(f"{path} cannot be written ({error.strerror}).", "Choose another place for --csv.") from error


def _write_answers(path: Path, folder: Path, answers: list[Any]) -> None:
    """One row a photo."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "probability", "true_label", "problem"])
        for each in answers:
            name = str(each.path.relative_to(folder))
            writer.writerow([name, each.label, f"{each.probability:.6f}", each.true_label, each.problem])
