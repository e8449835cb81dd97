"""Labels as they are given on a command line: in the text itself, or in a file of any kind that people keep them in."""

from __future__ import annotations

import re
from pathlib import Path

from core.data.formats import HEAD_BYTES, describe
from core.data.prompts import LabelList, parse_labels
from core.data.tables import CLASS_WORDS
from core.data.text_files import Rows, decode_text, read_rows
from core.errors import ConfigError, CoreError
from core.paths import local_path

FILE_SUFFIXES = (".txt", ".csv", ".tsv", ".tab", ".json", ".jsonl", ".names", ".labels", ".md", ".xlsx", ".xls", ".ods")

_PATH = re.compile(r"\s*(?:[/~\\]|\.\.?[/\\]|[A-Za-z]:[/\\])")
_TABLES = (".csv", ".tsv", ".tab", ".jsonl")
_HOW = "Give a text file with a label a line, or a CSV or JSON file; or name them: cat, dog, cup."
_HEADERS = frozenset({*CLASS_WORDS, "name", "names", "classes", "categories", "title", "label_names", "class_names"})
_READABLE = ("a text file", "a table of text (CSV)", "a JSON file", "a file of an unknown kind")


def given_labels(text: str) -> LabelList:
    """Labels out of `text`, or out of the file that it names.

    Raises:
        ConfigError: there are no labels.
        CoreError: it names a file that is not there, or that holds no text.
    """
    single = "\n" not in text and "," not in text and len(text) < 1000
    if single or _exists(text):
        if _exists(text):
            path = local_path(text)
            return file_labels(path.read_bytes(), path.name)
        if text.strip().casefold().endswith(FILE_SUFFIXES) or re.match(
            r"\s*(?:[/~\\]|\.\.?[/\\]|[A-Za-z]:[/\\])", text
        ):
            raise CoreError(f"There is no file {text.strip()}.", "Check its name and the folder you are in.")
    return parse_labels(text)


def file_labels(data: bytes, name: str) -> LabelList:
    """Labels out of a file's content: a line each, a column of a table, or a list in JSON or code.

    Raises:
        ConfigError: there are no labels, or several columns that could hold them.
        CoreError: it is no text.
    """
    suffix = Path(name).suffix.casefold()
    kind, text = describe(data[:HEAD_BYTES]), decode_text(data)
    if kind == "empty" or not text.strip():
        raise CoreError(f"{name} is empty.", _HOW)
    control = sum(ord(character) < 32 and character not in "\t\n\r\f\v" for character in text[:HEAD_BYTES])
    if kind not in _READABLE or control:
        raise CoreError(f"{name} looks to be {kind}, not a list of labels.", _HOW)
    if suffix not in _TABLES:
        return parse_labels(text)
    labels = _column(read_rows(text, suffix), name)
    # Quoted, because a label in a cell may hold a comma.
    return parse_labels("\n".join(f'"{label}"' if "," in label or ";" in label else label for label in labels))


def _column(rows: Rows, name: str) -> list[str]:
    """The cells of the column that holds the labels, without its head."""
    rows = [row for row in rows if any(row)]
    if not rows:
        raise ConfigError(f"{name} holds no labels.", _HOW)
    width = max(map(len, rows))
    rows = [row + [""] * (width - len(row)) for row in rows]
    if len(rows) == 1:
        return rows[0]
    keys = [re.sub(r"[^a-z0-9]+", "_", cell.casefold()).strip("_") for cell in rows[0]]
    for word in (*CLASS_WORDS, *_HEADERS):
        if word in keys and not _numbers([row[keys.index(word)] for row in rows[1:]]):
            return [row[keys.index(word)] for row in rows[1:]]
    headed = any(_numbers([row[at] for row in rows[1:]]) and not _numbers([rows[0][at]]) for at in range(width))
    body = rows[1:] if headed or (width == 1 and keys[0] in _HEADERS) else rows
    words = [at for at in range(width) if not _numbers([row[at] for row in body])]
    if width == 1 or len(words) == 1:
        return [row[words[0] if words else 0] for row in body]
    raise ConfigError(
        f"{name} has {width} columns, and none is called label or class.",
        f"Call the one with the labels label, or leave it alone: {', '.join(rows[0][:6])}.",
    )


def _numbers(cells: list[str]) -> bool:
    return all(re.fullmatch(r"-?\d+(?:\.\d+)?|", cell) for cell in cells)


def _exists(text: str) -> bool:
    try:
        return bool(text.strip()) and local_path(text).is_file()
    except (CoreError, OSError, ValueError):
        return False
