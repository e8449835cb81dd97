"""Naming photos."""

from __future__ import annotations

import csv
import errno
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import ConfigError, CoreError

if TYPE_CHECKING:
    from core.data.samples import Sample
    from core.methods.accuracy.classify import Answer

STANDARD_OUTPUT = "-"


def classify(
    photos: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders; in folders side by side or in one for each class.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Repeatable: a classifier or a model of images and texts: of the catalogue, run:NAME, folder:PATH. "
            "clip_small by default."
        ),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            help="With commas between them, or a file of them (text, CSV, JSON); the pictures' classes by default. "
            "A classifier answers with its own classes."
        ),
    ] = "",
    strategy: Annotated[
        str, typer.Option(help="plain, photo, descriptive, domain, ensemble, ensemble_80 or custom.")
    ] = "photo",
    template: Annotated[list[str] | None, typer.Option(help="With {} for the label, repeatable; means custom.")] = None,
    domain: Annotated[str, typer.Option(help="What kind of things the labels are, for domain.")] = "",
    data: Annotated[str, typer.Option(help="Pictures of this data set instead of photos.")] = "",
    split: Annotated[str, typer.Option(help="Of the data set; its test or validation split by default.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Which pictures are drawn of it, as on the pages.")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="Only so many pictures; 0 is all.")] = 0,
    top: Annotated[int, typer.Option(min=1, help="Classes of each answer.")] = 5,
    csv: Annotated[Path | None, typer.Option(help="Write the answers there, too; - is here, instead.")] = None,
    json: Annotated[Path | None, typer.Option(help="The same as JSON.")] = None,
) -> None:
    """Name photos, or pictures of a data set, by one classifier or several; nothing is imported, nothing is trained."""
    from core.data.label_files import given_labels
    from core.methods.accuracy.classify import summary

    names = list(dict.fromkeys(model or ["clip_small"]))
    samples = _samples(photos or [], data, split, seed, limit)
    given = given_labels(labels) if labels.strip() else None
    for path in (csv, json):
        if path is not None and str(path) != STANDARD_OUTPUT:
            _prepare(path)
    quiet = STANDARD_OUTPUT in (str(csv), str(json))
    asked = _ask(names, samples, given.names if given is not None else (), strategy, domain, template or [], top)
    for note in given.notes if given is not None else ():
        typer.echo(note, err=True)
    answers: dict[str, list[Answer]] = {name: [] for name in names}
    for sample, *row in zip(samples, *asked, strict=True):
        for name, each in zip(names, row, strict=True):
            answers[name].append(each)
        if not quiet:
            typer.echo(_line(sample, row[0]) if len(names) == 1 else _block(sample, names, row))
    for name in names:
        if any(each.place for each in answers[name]):
            typer.echo(f"{name}: {summary(answers[name], top)}.", err=quiet)
    for path, made in ((csv, _as_csv), (json, _as_json)):
        if path is not None:
            _write(path, made(samples, answers))


def _samples(photos: list[Path], data: str, split: str, seed: int, limit: int) -> list[Sample]:
    from core.data.catalogue import usual_split
    from core.data.samples import dataset_samples, file_samples

    if bool(photos) == bool(data):
        raise ConfigError("Which pictures?", "Name files or folders, or a data set: --data cifar10 --limit 6")
    if data:
        return dataset_samples(data, split or usual_split(data), limit, seed)
    return file_samples(photos)[: limit or None]


def _ask(
    names: Sequence[str],
    samples: list[Sample],
    labels: tuple[str, ...],
    strategy: str,
    domain: str,
    template: list[str],
    top: int,
) -> list[Sequence[Answer]]:
    """What each model says, picture by picture as it is read."""
    from core.data.prompts import strategy_templates
    from core.data.samples import sample_labels
    from core.methods.accuracy.classify import classify_samples
    from core.models.weights import load

    templates = strategy_templates("custom" if template else strategy, domain=domain, custom="\n".join(template))
    asked = []
    for name in names:
        loaded = load(name)
        chosen: tuple[str, ...] = ()
        # Labels are for models of texts; one classifier alone is told that it cannot take them.
        if not loaded.spec.lacks("image_text") or (labels and len(names) == 1):
            chosen = labels or sample_labels(samples)
            if not chosen:
                raise CoreError(
                    f"{loaded.spec.title} chooses among labels, and the pictures do not lie in class folders.",
                    'Name labels: --labels "cat, dog"',
                )
        asked.append(classify_samples(loaded, samples, labels=chosen, templates=templates, top=top))
    return asked  # type: ignore[return-value]


def _mark(answer: Answer) -> str:
    """Whether the true class comes first, or among the best; nothing where it is unknown."""
    if not answer.place:
        return " "
    return "=" if answer.place == 1 else "~" if answer.place <= len(answer.top) else "x"


def _titled(sample: Sample) -> str:
    return f"{sample.title}   [{sample.true_label}]" if sample.true_label else sample.title


def _line(sample: Sample, answer: Answer) -> str:
    said = f"not read: {answer.problem}"
    if not answer.problem:
        said = f"{answer.top[0].label:24} {answer.top[0].probability:6.1%} {_mark(answer)}".rstrip()
    return f"{_titled(sample):48} {said}"


def _block(sample: Sample, names: Sequence[str], answers: Sequence[Answer]) -> str:
    """A picture, and a line for each model; = right, ~ among the best, x not."""
    lines = [_titled(sample)]
    for name, answer in zip(names, answers, strict=True):
        said = ", ".join(f"{each.label.partition(',')[0]} {each.probability:.1%}" for each in answer.top)
        lines.append(f"  {_mark(answer)} {name:22} {said or f'not read: {answer.problem}'}")
    return "\n".join(lines)


def _as_csv(samples: Sequence[Sample], answers: dict[str, list[Answer]]) -> str:
    """A row for each picture and model: the best classes with their probabilities."""
    width = max((len(each.top) for row in answers.values() for each in row), default=1)
    head = ["file", "label", "probability", "true_label", "problem", "model", "place"]
    head += [f"{what}_{place}" for place in range(2, width + 1) for what in ("label", "probability")]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(head)
    for name, row in answers.items():
        for sample, each in zip(samples, row, strict=True):
            said = [value for one in each.top for value in (one.label, f"{one.probability:.6f}")] or ["", ""]
            place = each.place or ""
            writer.writerow([sample.title, *said[:2], sample.true_label, each.problem, name, place, *said[2:]])
    return buffer.getvalue()


def _as_json(samples: Sequence[Sample], answers: dict[str, list[Answer]]) -> str:
    pictures = [
        {
            "file": sample.title,
            "true_label": sample.true_label or None,
            "answers": {
                name: {
                    "top": [{"label": one.label, "probability": one.probability} for one in row[place].top],
                    "place": row[place].place or None,
                    "problem": row[place].problem or None,
                }
                for name, row in answers.items()
            },
        }
        for place, sample in enumerate(samples)
    ]
    return json.dumps({"models": list(answers), "pictures": pictures}, indent=1, ensure_ascii=False) + "\n"


def _prepare(path: Path) -> None:
    """Make the folder of a table before the work, not after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
    except OSError as error:
        raise CoreError(f"{path} cannot be written ({error.strerror}).", "Choose another place.") from error


def _write(path: Path, text: str) -> None:
    if str(path) == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
    else:
        path.write_text(text, encoding="utf-8", newline="")
