"""Naming photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import CoreError


def classify(
    folder: Annotated[Path, typer.Argument(help="Photos, side by side or in a folder for each class.")],
    model: Annotated[str, typer.Option(help="Of images and texts: of the catalogue, run:NAME, folder:PATH.")] = (
        "clip_small"
    ),
    labels: Annotated[
        str, typer.Option(help="With commas between them, or a text file of them; the class folders' names by default.")
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
    from core.data.prompts import parse_labels, strategy_templates
    from core.methods.clip.classify_files import accuracy_of, classify_files, folder_labels, image_files
    from core.models.weights import load

    files = image_files(folder)[: limit or None]
    if labels and Path(labels).suffix == ".txt" and Path(labels).is_file():
        labels = Path(labels).read_text(encoding="utf-8")
    chosen = parse_labels(labels).names if labels else folder_labels(folder, files)
    if not chosen:
        raise CoreError(f"The photos of {folder} do not lie in class folders.", 'Name labels: --labels "cat, dog"')
    templates = strategy_templates("custom" if template else strategy, domain=domain, custom="\n".join(template or []))
    answers = []
    for answer in classify_files(load(model), files, chosen, templates):
        answers.append(answer)
        said = f"{answer.label:24} {answer.probability:6.1%}" if not answer.problem else f"not read: {answer.problem}"
        typer.echo(f"{answer.path.relative_to(folder)!s:48} {said}")
    if (right := accuracy_of(answers)) is not None:
        typer.echo(f"The class folder's name was said of {right.sentence()}.")
    if csv is not None:
        _write_answers(csv, folder, answers)


def _write_answers(path: Path, folder: Path, answers: list[Any]) -> None:
    """One row a photo."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "probability", "true_label", "problem"])
        for each in answers:
            name = str(each.path.relative_to(folder))
            writer.writerow([name, each.label, f"{each.probability:.6f}", each.true_label, each.problem])
