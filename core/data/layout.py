"""How a folder of images says what is what: from paths and tables to splits and classes.

| layout              | paths                                              | classes        |
|---------------------|----------------------------------------------------|----------------|
| `class-folders`     | `CLASS/*`, `train/CLASS/*`, `CLASS/test/*`         | folders        |
| `condition-folders` | `NAME/CLASS/*`, the same classes in every NAME     | inner folders  |
| `inner-folders`     | `GROUP/CLASS/*`, other classes in every GROUP      | inner folders  |
| `file-names`        | `CLASS_12.jpg`, `train/CLASS.12.jpg`               | in the names   |
| `condition-names`   | `NAME/CLASS12.jpg`, the same classes in every NAME | in the names   |
| `table:COLUMN`      | a table beside the images                          | the column     |
| `one-class`         | all images in one folder                           | the folder     |

Splits are folders called train, val or test, in names or a table, and each NAME, domain or condition, is one; else all
images are in one called `all`, which claims none. Folders that hold everything else, and those called `images`, are
looked through.

Every layout that fits is a reading, with a score: the share of the images that it places, times how plausible it is.
Two that are equally good are a question for whoever brings the files.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from core.data.archive_names import Parts
from core.data.splits import WHOLE, annotation_folders, split_of, splits_of
from core.data.tables import ONE_HOT, TableLabels, read_tables, split_lists
from core.data.views import Placed, folder_readings
from core.errors import ArchiveError, UnknownNameError

Row = tuple[str, str, Parts]

# Readings whose scores differ by less are equally good.
MARGIN = 0.05
LEAST_SCORE = 0.25
_LISTED = 4
REMEDY = (
    "Put the images of each class in a folder of its name: CLASS/*.jpg, or train/CLASS/*.jpg and test/CLASS/*.jpg; or "
    "add a table labels.csv with the columns file and label."
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a set of paths means.

    Attributes:
        name: how to ask for it: "class-folders", "table:breed".
        title: the same for people.
        classes: names in label order: sorted, as numbers if all are numbers.
        titles: readable names of some classes, where file names tell them.
        splits: per split its images and their labels, sorted by path.
        skipped: path → why it is in no split.
        score: how well it explains the files, in [0, 1].
        notes: sentences about what was decided on the way.
    """

    name: str = "class-folders"
    title: str = ""
    classes: tuple[str, ...]
    titles: dict[str, str] = field(default_factory=dict)
    splits: dict[str, list[tuple[Parts, int]]]
    skipped: dict[Parts, str]
    score: float = 1.0
    notes: tuple[str, ...] = ()

    def same_as(self, other: Layout) -> bool:
        """Whether both put the same images together, whatever they call the classes."""
        if self.skipped.keys() != other.skipped.keys() or self.splits.keys() != other.splits.keys():
            return False
        pairs = set()
        for split, rows in self.splits.items():
            theirs = dict(other.splits[split])
            if len(theirs) != len(rows) or any(parts not in theirs for parts, _ in rows):
                return False
            pairs |= {(label, theirs[parts]) for parts, label in rows}
        return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def read_layout(paths: Sequence[Parts], wanted: str = "") -> Layout:
    """The layout that explains the paths best, or the one called `wanted`.

    Raises:
        ArchiveError: there are no classes, or two layouts are equally good.
        UnknownNameError: `wanted` does not fit the files.
    """
    return choose_layout(read_layouts(paths), wanted)


def choose_layout(found: Sequence[Layout], wanted: str = "") -> Layout:
    """The best of the readings, or the one called `wanted`; see `read_layout`."""
    if wanted:
        for each in found:
            if each.name.casefold() == wanted.casefold() or each.name.partition(":")[0] == wanted:
                return each
        raise UnknownNameError("layout that fits these files", wanted, [each.name for each in found])
    if not found or found[0].score < LEAST_SCORE:
        raise ArchiveError(
            "The images are in no class folders, and neither names nor tables tell their classes.", REMEDY
        )
    if rivals := equally_good(found):
        choices = "; ".join(f"--layout {each.name}: {summary(each)}" for each in (found[0], *rivals)[:_LISTED])
        raise ArchiveError("The files can be read in several ways that are equally good.", f"Choose one. {choices}.")
    return found[0]


def equally_good(found: Sequence[Layout]) -> list[Layout]:
    """The readings beside the best that explain the files as well and mean something else."""
    if not found or found[0].score < LEAST_SCORE:
        return []
    near = [each for each in found[1:] if each.score > found[0].score - MARGIN]
    return [each for each in near if not found[0].same_as(each)]


def summary(layout: Layout) -> str:
    """Classes and splits in a few words: "2 classes (cat, dog) in train 20, test 10"."""
    names = ", ".join(layout.classes[:3]) + (" …" if len(layout.classes) > 3 else "")
    splits = ", ".join(f"{split} {len(rows):,}" for split, rows in layout.splits.items())
    return f"{len(layout.classes):,} {'class' if len(layout.classes) == 1 else 'classes'} ({names}) in {splits}"


def read_layouts(paths: Sequence[Parts], tables: Mapping[Parts, bytes] = MappingProxyType({})) -> list[Layout]:
    """Every layout that fits, the best first.

    Args:
        paths: of all images.
        tables: the text files beside them that may name images.
    """
    masks = annotation_folders({path[:-1] for path in paths})
    skipped = {path: "in a folder of annotations" for path in paths if path[:-1] in masks} if masks else {}
    images = sorted(path for path in paths if path not in skipped)
    said, useless = read_tables(tables, images)
    lists = split_lists(said)
    found: dict[str, Layout] = {}
    for placed in folder_readings(images):
        _keep(found, _from_folders(placed, said, lists, len(images)))
    for table in said:
        if len(set(table.labels.values())) > 1:
            _keep(found, _from_table(table, images))
    return [
        replace(each, skipped=skipped | useless | each.skipped)
        for each in sorted(found.values(), key=lambda each: -each.score)
    ]


def _keep(found: dict[str, Layout], layout: Layout | None) -> None:
    if layout is not None and (layout.name not in found or found[layout.name].score < layout.score):
        found[layout.name] = layout


def _from_folders(
    placed: Placed, tables: Sequence[TableLabels], lists: Mapping[Parts, str], total: int
) -> Layout | None:
    """A reading of folders or names as a layout; what it leaves over may be in a table of the same classes."""
    if not placed.rows or placed.plausible <= 0:
        return None
    rows, missing, notes = list(placed.rows), dict(placed.missing), list(placed.notes)
    if placed.name == "class-folders" and missing:
        rows += _filled(rows, missing, tables, notes)
    if lists and {split for split, _, _ in rows} == {WHOLE}:
        told = sum(path in lists for _, _, path in rows)
        if told > len(rows) / 2:
            rows = [(lists.get(path, WHOLE), name, path) for _, name, path in rows]
            notes.append(f"The splits of {told:,} images come from a list of files.")
    share = len(rows) / total
    return _arrange(rows, missing, placed, share * placed.plausible, notes)


def _filled(rows: list[Row], missing: dict[Parts, str], tables: Sequence[TableLabels], notes: list[str]) -> list[Row]:
    """Images outside of the class folders whose class is in a table, such as val_annotations.txt."""
    known = {_folded(name): name for _, name, _ in rows}
    found: list[Row] = []
    for table in tables:
        hits = {path: known[_folded(label)] for path, label in table.labels.items()
                if path in missing and _folded(label) in known}  # fmt: skip
        for path, name in hits.items():
            split = next((split for part in path[:-1] if (split := split_of(part))), "")
            found.append((table.splits.get(path) or split or WHOLE, name, path))
            del missing[path]
        if hits:
            notes.append(f"The classes of {len(hits):,} images come from {table.sources[0]}.")
    return found


def _from_table(table: TableLabels, paths: Sequence[Parts]) -> Layout:
    """The layout of a table: its classes, and splits from the table, else from folders."""
    rows, missing = [], {}
    folders = {path[at] for path in table.labels for at in range(len(path) - 1)}
    known = splits_of(folders)
    for path in paths:
        label = table.labels.get(path)
        if label is None:
            missing[path] = "in no row of the table"
            continue
        split = table.splits.get(path) or next((known[part] for part in path[:-1] if part in known), WHOLE)
        rows.append((split, label, path))
    notes = []
    if table.missing:
        what = "row names" if table.missing == 1 else "rows name"
        notes.append(f"{table.missing:,} {what} no image that is here ({', '.join(table.sources[:2])}).")
    column = "that holds the 1" if table.column == ONE_HOT else f"“{table.column}”"
    title = f"The class is the column {column} of {table.sources[0]}"
    if len(table.sources) > 1:
        title += f" and {len(table.sources) - 1} more"
    placed = Placed(name=f"table:{table.column}", title=title, rows=rows, missing=missing, plausible=0.0)
    return _arrange(rows, missing, placed, table.belief * len(rows) / len(paths), notes)


def _folded(name: str) -> str:
    """What two spellings of one class have in common: composed or not, capitals or not."""
    return unicodedata.normalize("NFC", name).casefold().strip()


def _one_spelling(counts: Mapping[str, int], notes: list[str]) -> dict[str, str]:
    """Each name as written → the one it is stored under: the most frequent spelling, composed (NFC).

    Single letters in both cases are classes of their own.
    """
    spellings: dict[str, list[str]] = {}
    for name in counts:
        plain = unicodedata.normalize("NFC", name).strip() or name
        spellings.setdefault(plain if len(plain) == 1 else _folded(name), []).append(name)
    stored: dict[str, str] = {}
    for names in spellings.values():
        best = max(sorted(names), key=lambda name: counts[name])
        stored |= dict.fromkeys(names, unicodedata.normalize("NFC", best).strip() or best)
        if len(names) > 1:
            written = " and ".join(f"“{name}”" for name in sorted(names))
            why = (
                ""
                if len({unicodedata.normalize("NFC", name) for name in names}) > 1
                else " (accents are stored in two ways)"
            )
            notes.append(f"{written} are one class{why}.")
    return stored


def _arrange(
    rows: Iterable[Row], skipped: dict[Parts, str], placed: Placed, score: float, notes: Sequence[str]
) -> Layout:
    """Rows of split, class and path → labels."""
    rows, said = list(rows), list(notes)
    stored = _one_spelling(Counter(name for _, name, _ in rows), said)
    found = set(stored.values())
    numbers = all(name.isascii() and name.isdigit() for name in found)
    classes = tuple(sorted(found, key=lambda name: (int(name), name)) if numbers else sorted(found))
    labels = {name: label for label, name in enumerate(classes)}
    of_name = {name: labels[best] for name, best in stored.items()}
    splits: dict[str, list[tuple[Parts, int]]] = {}
    for split, name, path in rows:
        splits.setdefault(split, []).append((path, of_name[name]))
    return Layout(
        name=placed.name,
        title=placed.title,
        classes=classes,
        titles=placed.titles,
        splits=splits,
        skipped=skipped,
        score=score,
        notes=tuple(said),
    )
