"""Tables beside images: which row means which image, which column is its class, and in which split it is.

| table                                      | read as                                                         |
|--------------------------------------------|-----------------------------------------------------------------|
| `id,label` · `filename;class` · TSV, JSON  | the column that names images, and the one that is called so      |
| `image,cat,dog` with a single 1 a row      | the column of the 1                                              |
| a list of files in `train.txt`, `test.txt` | a split                                                          |
| a column `split`, or a table `train.csv`   | a split                                                          |
| numbers of images, then of their splits    | as in `images.txt` and `train_test_split.txt` of CUB             |

Where no column is called like a class, each whose values repeat is a choice of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from core.data.archive_names import Parts
from core.data.splits import split_of
from core.data.text_files import Rows, decode_text, read_rows
from core.errors import ConfigError

SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".txt"})
TABLE_BYTES = 64 * 2**20
MOST_TABLES = 100

# In the order in which they are believed.
CLASS_WORDS = (
    "label", "labels", "class", "class_name", "classname", "category", "category_name", "target", "class_label",
    "label_name", "breed", "species", "diagnosis", "dx", "classid", "class_id", "label_id", "category_id", "y", "tag",
    "tags", "finding", "kind", "genus", "emotion", "style", "genre", "variety",
)  # fmt: skip
ONE_HOT = "one-hot"
# How likely a column is the class.
NAMED, _ALONE, _UNNAMED = 0.95, 0.82, 0.5
_SPLIT_WORDS = frozenset({"split", "set", "subset", "partition", "phase", "usage", "data_set", "dataset", "fold"})
_FLAGS = {
    "is_train": ("train", "test"),
    "is_training": ("train", "test"),
    "is_training_img": ("train", "test"),
    "is_valid": ("val", "train"),
    "is_val": ("val", "train"),
    "is_test": ("test", "train"),
}


@dataclass(frozen=True, kw_only=True)
class TableLabels:
    """What one or more tables of the same columns say about images.

    Attributes:
        sources: the tables' names.
        column: what its class is read from; empty for a list of files.
        belief: how likely the column is the class: by its name, or because there is no other.
        labels: image → class.
        splits: image → split, where the table knows.
        missing: rows that name no image that is here.
    """

    sources: tuple[str, ...]
    column: str
    belief: float
    labels: Mapping[Parts, str]
    splits: Mapping[Parts, str] = field(default_factory=dict)
    missing: int = 0


def read_tables(tables: Mapping[Parts, bytes], images: Sequence[Parts]) -> tuple[list[TableLabels], dict[Parts, str]]:
    """What tables say about images, one entry a class column, the most believable first.

    Returns:
        The readings, and of tables that say nothing why: they are damaged, or name no images.
    """
    if not tables:
        return [], {}
    index = _Index(images)
    found: dict[tuple[str, float], list[TableLabels]] = defaultdict(list)
    useless: dict[Parts, str] = {}
    pairs: dict[Parts, Rows] = {}
    for place in sorted(tables, key=lambda parts: (len(parts), parts)):
        try:
            rows = read_rows(decode_text(tables[place]), _suffix(place))
        except ConfigError as error:
            useless[place] = error.cause
            continue
        said = list(_read_one(rows, place, index))
        if not said:
            useless[place] = "a text file that names no images"
            if all(len(row) == 2 for row in rows):
                pairs[place] = rows
        elif "submission" in place[-1].casefold():
            useless[place], said = "a form for answers, whose labels are placeholders", []
        for each in said:
            found[each.column, each.belief].append(each)
    for numbered in _numbered(pairs, index):
        found[numbered.column, numbered.belief].append(numbered)
        for source in numbered.sources:
            useless.pop(tuple(source.split("/")), None)
    joined = [_join(each) for each in found.values()]
    return sorted(joined, key=lambda each: (not each.column, -each.belief, -len(each.labels))), useless


def split_lists(tables: Iterable[TableLabels]) -> dict[Parts, str]:
    """Image → split, from all tables that know."""
    return {image: split for each in tables for image, split in each.splits.items()}


class _Index:
    """Images by what people call them: whole path, path without ending, name, stem, number."""

    def __init__(self, images: Sequence[Parts]) -> None:
        self._known: dict[str, list[Parts]] = defaultdict(list)
        self._numbers: dict[int, list[Parts]] = defaultdict(list)
        for parts in images:
            for name in {key for start in range(len(parts)) for key in _keys("/".join(parts[start:]))}:
                self._known[name].append(parts)
            if (stem := parts[-1].rpartition(".")[0]).isdecimal():
                self._numbers[int(stem)].append(parts)

    def find(self, text: str, folder: Parts, hint: str = "") -> Parts | None:
        """The image that `text` names; of several the one below `folder`, and in the split `hint`."""
        pieces = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
        for start in range(len(pieces)):
            for name in dict.fromkeys(_keys("/".join(pieces[start:]))):
                if (one := _single(self._known.get(name, ()), folder, hint)) is not None:
                    return one
        if text.isdecimal():
            return _single(self._numbers.get(int(text), ()), folder, hint)
        return None


def _single(found: Sequence[Parts], folder: Parts, hint: str) -> Parts | None:
    if len(found) == 1:
        return found[0]
    near = [parts for parts in found if parts[: len(folder)] == folder]
    if hint and len(near) != 1:
        near = [parts for parts in near or found if any(split_of(part) == hint for part in parts[:-1])]
    return near[0] if len(near) == 1 else None


def _keys(name: str) -> tuple[str, ...]:
    """A name as it is and without its ending, however it was typed."""
    plain = unicodedata.normalize("NFC", name).casefold()
    stem, mark, suffix = plain.rpartition(".")
    return (plain, stem) if mark and stem and len(suffix) < 6 and "/" not in suffix else (plain,)


def _read_one(rows: Rows, place: Parts, index: _Index) -> Iterable[TableLabels]:
    """What one table says; nothing if it names no images."""
    if not rows:
        return
    folder, width = place[:-1], max(len(row) for row in rows)
    rows = [row + [""] * (width - len(row)) for row in rows]
    own_split = split_of(place[-1].rpartition(".")[0]) or next(filter(None, map(split_of, reversed(folder))), "")
    column = _file_column(rows, folder, own_split, index)
    if column is None:
        return
    images = [index.find(row[column], folder, own_split) for row in rows]
    header = rows[0] if images[0] is None else [f"column {number + 1}" for number in range(width)]
    named = images[0] is None and len(rows) > 1
    body = [(image, row) for image, row in zip(images, rows, strict=True) if image is not None]
    missing = len(rows) - len(body) - int(named)
    if not body or (missing > 4 * len(body) and place[-1].endswith(".txt")):
        return
    keys = [re.sub(r"[^a-z0-9]+", "_", each.casefold()).strip("_") for each in header]
    splits, of_split = _splits(keys, body, own_split)
    others = [number for number in range(width) if number not in (column, of_split)]
    columns = _class_columns(header, keys, others, body, named=named)
    base = {"sources": ("/".join(place),), "splits": splits, "missing": missing}
    for name, belief, values in columns:
        shown = name if isinstance(name, str) else header[name]
        yield TableLabels(column=shown, belief=belief, labels=values, **base)  # type: ignore[arg-type]
    if not columns and splits:
        yield TableLabels(column="", belief=0.0, labels={}, **base)  # type: ignore[arg-type]


def _numbered(pairs: Mapping[Parts, Rows], index: _Index) -> Iterator[TableLabels]:
    """Splits by the numbers that another table of the folder gives to images."""
    for place, rows in pairs.items():
        images = {number: image for number, name in rows if (image := index.find(name, place[:-1])) is not None}
        if len(images) <= len(rows) / 2:
            continue
        for other, flags in pairs.items():
            known = {images[number]: flag for number, flag in flags if number in images and flag in ("0", "1")}
            if other[:-1] == place[:-1] and "split" in other[-1].casefold() and len(known) == len(flags):
                splits = {image: "train" if flag == "1" else "test" for image, flag in known.items()}
                sources = ("/".join(place), "/".join(other))
                yield TableLabels(sources=sources, column="", belief=0.0, labels={}, splits=splits)


def _file_column(rows: Rows, folder: Parts, split: str, index: _Index) -> int | None:
    """The column that names most images, by a sample of the rows."""
    sample = list(islice(rows, 1, 201)) or rows
    # Different images, because a column of sizes may name one of them again and again.
    hits = [len({index.find(row[column], folder, split) for row in sample} - {None}) for column in range(len(rows[0]))]
    best = max(range(len(hits)), key=lambda column: (hits[column], -column), default=None)
    return best if best is not None and hits[best] > 0.1 * len(sample) else None


def _splits(keys: Sequence[str], body: Sequence[tuple[Parts, list[str]]], own: str) -> tuple[dict[Parts, str], int]:
    """Image → split and the column it came from; -1 where the table's name tells it."""
    for number, key in enumerate(keys):
        if key in _SPLIT_WORDS:
            found = {image: split for image, row in body if (split := split_of(row[number]))}
            if len(found) > len(body) / 2:
                return found, number
        if key in _FLAGS:
            yes, no = _FLAGS[key]
            return {
                image: yes if row[number].casefold() in ("1", "true", "yes", "1.0") else no for image, row in body
            }, number
    return ({image: own for image, _ in body} if own else {}), -1


def _class_columns(
    header: Sequence[str],
    keys: Sequence[str],
    others: Sequence[int],
    body: Sequence[tuple[Parts, list[str]]],
    *,
    named: bool,
) -> list[tuple[int | str, float, dict[Parts, str]]]:
    """Columns that may be the class, the one that says so alone."""
    known = sorted(
        (number for number in others if keys[number] in CLASS_WORDS), key=lambda n: CLASS_WORDS.index(keys[n])
    )
    if named and known:
        words = [number for number in known if not _numeric(body, number)]
        best = (words or known)[0]
        return [(best, NAMED, _values(body, best))]
    if named and len(others) > 1 and (hot := _one_hot(header, others, body)):
        return [(ONE_HOT, NAMED, hot)]
    found: list[tuple[int | str, float, dict[Parts, str]]] = []
    for number in others:
        values = _values(body, number)
        different = len(set(values.values()))
        if different < 2 or different > max(2, len(values) / 2):
            continue
        # Without a header, numbers may be anything: corners of boxes, sizes.
        if _numeric(body, number) and ((not named and len(others) > 1) or _fractions(body, number)):
            continue
        found.append((number, _UNNAMED, values))
    worded = [each for each in found if not _numeric(body, int(each[0]))]
    # An only column beside the file's name is meant, whatever it is called.
    if len(others) == 1 and found:
        return [(found[0][0], _ALONE, found[0][2])]
    return worded or found


def _values(body: Sequence[tuple[Parts, list[str]]], number: int) -> dict[Parts, str]:
    # pandas writes whole numbers with a fraction as soon as one is missing.
    whole = all(re.fullmatch(r"-?\d+\.0|", row[number]) for _, row in body)
    return {image: row[number].removesuffix(".0") if whole else row[number] for image, row in body if row[number]}


def _numeric(body: Sequence[tuple[Parts, list[str]]], number: int) -> bool:
    return all(re.fullmatch(r"-?\d+(\.\d+)?|", row[number]) for _, row in body)


def _fractions(body: Sequence[tuple[Parts, list[str]]], number: int) -> bool:
    return any("." in row[number] for _, row in body)


def _one_hot(
    header: Sequence[str], others: Sequence[int], body: Sequence[tuple[Parts, list[str]]]
) -> dict[Parts, str] | None:
    """Image → the column of its only 1, if every row is like that."""
    found = {}
    for image, row in body:
        ones = [number for number in others if row[number] in ("1", "1.0")]
        if len(ones) != 1 or any(row[number] not in ("0", "0.0", "1", "1.0") for number in others):
            return None
        found[image] = header[ones[0]]
    return found if len(set(found.values())) > 1 else None


def _join(tables: Sequence[TableLabels]) -> TableLabels:
    """Tables of one column, such as train.csv and test.csv, as one."""
    return TableLabels(
        sources=tuple(source for each in tables for source in each.sources),
        column=tables[0].column,
        belief=tables[0].belief,
        labels={image: label for each in tables for image, label in each.labels.items()},
        splits=split_lists(tables),
        missing=sum(each.missing for each in tables),
    )


def _suffix(place: Parts) -> str:
    return "." + place[-1].rpartition(".")[2].casefold()
