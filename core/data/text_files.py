"""Small text files as people save them: any encoding that Excel, Notepad or an old script writes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from core.errors import ConfigError

Rows = list[list[str]]

_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)


def decode_text(data: bytes) -> str:
    """The text in `data`: by its byte-order mark, else UTF-16 by its zeros, else UTF-8, else Windows' Latin-1."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    head = data[:1024]
    # Latin letters in UTF-16 have a zero in every second byte.
    if head[1::2].count(0) > 0.4 * len(head[1::2]) > 0:
        return data.decode("utf-16-le", errors="replace")
    if head[::2].count(0) > 0.4 * len(head[::2]) > 0:
        return data.decode("utf-16-be", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def read_rows(text: str, suffix: str) -> Rows:
    """The cells of a table: .csv and .tsv by the separator that its lines share, .json and .jsonl by their keys.

    A JSON table begins with a row of its keys. Lines of .txt may be separated by spaces.

    Raises:
        ConfigError: it is JSON, but damaged or no table.
    """
    if suffix in (".json", ".jsonl", ".ndjson"):
        return _json_rows(text, lines=suffix != ".json")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("# ")]
    if not lines:
        return []
    if lines[0].lower().startswith("sep=") and len(lines[0].strip()) == 5:  # Excel's own note of the separator
        return _split_rows(lines[1:], lines[0].strip()[4])
    first = lines[:20]
    for mark in "\t;,|" if suffix != ".txt" else "\t,;|":
        if all(mark in line for line in first):
            return _split_rows(lines, mark)
    if suffix == ".txt":
        return [line.split() for line in lines]
    return [[row[0]] for row in csv.reader(io.StringIO("\n".join(lines)), delimiter="\0") if row]


def _split_rows(lines: list[str], mark: str) -> Rows:
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=mark, skipinitialspace=True))
    except csv.Error as error:
        raise ConfigError(f"The table is damaged ({error}).", "Save it again.") from error
    return [[cell.strip() for cell in row] for row in rows]


def _json_rows(text: str, *, lines: bool) -> Rows:
    try:
        found = [json.loads(line) for line in text.splitlines() if line.strip()] if lines else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"The JSON file is damaged ({error}).", "Save it again.") from error
    records = _records(found)
    if records is None:
        raise ConfigError("The JSON file is no table.", "Give a list of objects, or one of file names and labels.")
    keys = list(dict.fromkeys(key for record in records for key in record))
    return [keys, *([_cell(record.get(key, "")) for key in keys] for record in records)]


def _records(found: Any) -> list[dict[str, Any]] | None:
    """The shapes that label files have: [{…}], {file: label}, {label: [files]}, {"labels": [[file, label]]}, COCO."""
    if isinstance(found, list) and found and all(isinstance(each, dict) for each in found):
        return found
    if isinstance(found, list) and found and all(isinstance(each, list) and len(each) == 2 for each in found):
        return [{"file": file, "label": label} for file, label in found]
    if not isinstance(found, dict) or not found:
        return None
    if isinstance(found.get("images"), list) and isinstance(found.get("annotations"), list):
        return _coco(found)
    if all(isinstance(value, dict) for value in found.values()):
        return [{"file": key, **value} for key, value in found.items()]
    if all(isinstance(value, list) for value in found.values()):
        if len(found) == 1:  # {"labels": […]} of StyleGAN, {"data": […]}
            inner = _records(next(iter(found.values())))
            if inner is not None:
                return inner
        if all(isinstance(each, str) for value in found.values() for each in value):
            return [{"file": file, "label": label} for label, files in found.items() for file in files]
        return None
    if all(isinstance(value, str | int) for value in found.values()):
        return [{"file": file, "label": label} for file, label in found.items()]
    lists = [value for value in found.values() if isinstance(value, list)]
    return _records(lists[0]) if len(lists) == 1 else None


def _coco(found: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Images that have objects of one category only; whoever has several has no class."""
    try:
        names = {each["id"]: each["name"] for each in found.get("categories", [])}
        held: dict[Any, set[Any]] = {}
        for each in found["annotations"]:
            held.setdefault(each["image_id"], set()).add(each["category_id"])
        return [
            {"file": each["file_name"], "label": names.get(kinds := next(iter(held[each["id"]])), kinds)}
            for each in found["images"]
            if len(held.get(each["id"], ())) == 1
        ]
    except (TypeError, KeyError):
        return None


def _cell(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()
