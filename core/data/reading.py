"""What an import understood, before anything is stored: splits, classes, what is skipped and why, duplicates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.data.archive_names import Parts
from core.data.extract import Limits
from core.data.layout import Layout, choose_layout, read_layouts, summary
from core.data.sources import Files, Sorted, is_hidden, sort_files
from core.data.splits import WHOLE

MOST_CLASSES = 20
_EXAMPLES = 3
_LEAST_IN_THREE_PARTS = 3


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Files that are the same to the last byte.

    Attributes:
        between: pair of splits → pictures that are in both.
        within: split → pictures that are in it more than once.
        contradictions: pictures that are in more than one class.
        examples: some pairs of paths.
    """

    between: dict[tuple[str, str], int]
    within: dict[str, int]
    contradictions: int
    examples: tuple[tuple[Parts, Parts], ...]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Everything that a folder or an archive can mean.

    Attributes:
        source: its name.
        layouts: what it can mean, the best first.
        files: the files that are no matter of layout.
        same: groups of images that are the same to the last byte.
        empty: folders without files.
        notes: sentences about the names of the files.
    """

    source: str
    layouts: tuple[Layout, ...]
    files: Sorted
    same: tuple[tuple[Parts, ...], ...]
    empty: tuple[Parts, ...]
    notes: tuple[str, ...]

    def choose(self, wanted: str = "") -> Layout:
        """The layout called `wanted`, or the best.

        Raises:
            ArchiveError: there are no classes, or two layouts are equally good.
            UnknownNameError: `wanted` does not fit.
        """
        return choose_layout(self.layouts, wanted)

    def skipped(self, layout: Layout) -> dict[Parts, str]:
        """Every file that will not be in a split → why."""
        empty = {(*folder, ""): "an empty folder, which is no class" for folder in self.empty}
        return {**self.files.skipped, **layout.skipped, **empty}

    def duplicates(self, layout: Layout) -> Duplicates:
        """Which pictures occur more than once in the splits of `layout`."""
        return find_duplicates(layout, self.same)

    def warnings(self, layout: Layout) -> tuple[str, ...]:
        """What whoever brings the files should know, as sentences; the worst first."""
        return (
            *_of_duplicates(self.duplicates(layout)),
            *_of_classes(layout),
            *self.notes,
            *layout.notes,
            *_of_parts(layout),
            *_of_rivals(layout, self.layouts),
        )


def read_files(files: Files, source: str, limits: Limits) -> Reading:
    """Understand the files of a source; no picture is decoded.

    Raises:
        ArchiveError: there are no images, or too many files.
    """
    found = sort_files(files, source, limits)
    groups: dict[bytes, list[Parts]] = defaultdict(list)
    for parts, digest in files.digests(found.images).items():
        groups[digest].append(parts)
    holders = {parts[:-1] for parts in files.sizes()}
    with_files = {parts[:end] for parts in holders for end in range(len(parts) + 1)}
    empty = sorted(folder for folder in files.folders() - with_files if not any(is_hidden(part) for part in folder))
    return Reading(
        source=source,
        layouts=tuple(read_layouts(found.images, found.tables)),
        files=found,
        same=tuple(tuple(sorted(group)) for group in groups.values() if len(group) > 1),
        empty=tuple(empty),
        notes=tuple(files.notes),
    )


def find_duplicates(layout: Layout, same: Sequence[Sequence[Parts]]) -> Duplicates:
    """What groups of equal files mean under a layout."""
    if not same:
        return Duplicates(between={}, within={}, contradictions=0, examples=())
    equal = {parts for group in same for parts in group}
    places = {parts: (split, label) for split, rows in layout.splits.items() for parts, label in rows if parts in equal}
    between: Counter[tuple[str, str]] = Counter()
    within: Counter[str] = Counter()
    contradictions, examples = 0, []
    for group in same:
        here = [parts for parts in group if parts in places]
        splits = Counter(places[parts][0] for parts in here)
        names = sorted(splits)
        pairs = [(a, b) for number, a in enumerate(names) for b in names[number + 1 :]]
        between.update(pairs)
        within.update(split for split, count in splits.items() if count > 1)
        contradictions += len({places[parts][1] for parts in here}) > 1
        if len(here) > 1:
            examples.append((here[0], here[-1]))
    examples.sort(key=lambda pair: places[pair[0]][0] == places[pair[1]][0])
    return Duplicates(
        between=dict(between), within=dict(within), contradictions=contradictions, examples=tuple(examples[:_EXAMPLES])
    )


def table(reading: Reading, layout: Layout) -> list[str]:
    """The reading as lines of text: classes by splits, what is skipped, what to know."""
    splits = list(layout.splits)
    counts = class_counts(layout)
    shown = list(layout.classes)[: MOST_CLASSES if len(layout.classes) > MOST_CLASSES + 3 else None]
    names = [_titled(layout, name) for name in shown]
    total = f"{len(layout.classes):,} {'class' if len(layout.classes) == 1 else 'classes'}"
    width = min(40, max(map(len, [*names, total, "class"])))
    columns = [max(len(split), 8) for split in splits]
    lines = [f"{layout.title} ({layout.name}).", ""]
    lines.append("  ".join([f"{'class':{width}}", *(f"{s:>{w}}" for s, w in zip(splits, columns, strict=True))]))
    for name, title in zip(shown, names, strict=True):
        cells = [f"{counts[split][name]:{w},}" for split, w in zip(splits, columns, strict=True)]
        lines.append("  ".join([f"{title[:width]:{width}}", *cells]))
    if len(shown) < len(layout.classes):
        lines.append(f"… and {len(layout.classes) - len(shown):,} more")
    cells = [f"{len(layout.splits[split]):{w},}" for split, w in zip(splits, columns, strict=True)]
    lines.append("  ".join([f"{total:{width}}", *cells]))
    skipped = list(skipped_lines(reading.skipped(layout)))
    if skipped:
        lines += ["", "Skipped:", *(f"  {line}" for line in skipped)]
    warnings = reading.warnings(layout)
    return [*lines, "", *(f"- {each}" for each in warnings)] if warnings else lines


def class_counts(layout: Layout) -> dict[str, Counter[str]]:
    """Split → class → images."""
    return {split: Counter(layout.classes[label] for _, label in rows) for split, rows in layout.splits.items()}


def first_pictures(layout: Layout) -> dict[str, Parts]:
    """Class → the path of its first picture."""
    found: dict[str, Parts] = {}
    for rows in layout.splits.values():
        for parts, label in rows:
            found.setdefault(layout.classes[label], parts)
    return found


def skipped_lines(skipped: Mapping[Parts, str]) -> Iterator[str]:
    """What is left out, a line for each reason, the most frequent first."""
    reasons: dict[str, list[Parts]] = defaultdict(list)
    for parts, reason in skipped.items():
        reasons[reason].append(parts)
    for reason, paths in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
        names = ", ".join("/".join(parts)[-60:] for parts in paths[:_EXAMPLES]) + (
            " …" if len(paths) > _EXAMPLES else ""
        )
        yield f"{len(paths):,} {'file' if len(paths) == 1 else 'files'}: {reason} ({names})"


def _titled(layout: Layout, name: str) -> str:
    return f"{name} ({layout.titles[name]})" if name in layout.titles else name


def _of_duplicates(found: Duplicates) -> Iterator[str]:
    example = ""
    if found.examples:
        first, last = ("/".join(parts) for parts in found.examples[0])
        example = f", such as {first} and {last}"
    for (first, second), count in found.between.items():
        are = "picture is" if count == 1 else "pictures are"
        unseen = ", so that one is no test of what was learned from the other"
        yield f"{count:,} {are} in both {first} and {second}{example}{unseen}."
        example = ""
    if found.within:
        count = sum(found.within.values())
        occur = "picture occurs" if count == 1 else "pictures occur"
        yield f"{count:,} {occur} more than once in {', '.join(found.within)}{example}."
    if found.contradictions:
        are = "picture is" if found.contradictions == 1 else "pictures are"
        yield f"{found.contradictions:,} {are} in more than one class."


def _of_classes(layout: Layout) -> Iterator[str]:
    counts = class_counts(layout)
    if len(layout.classes) == 1:
        yield f"There is one class only, {layout.classes[0]}: nothing to tell apart."
    for split in layout.splits:
        absent = [name for name in layout.classes if not counts[split][name]]
        if absent and len(layout.classes) > 1:
            yield f"{split} has no pictures of {some(absent)}."


def _of_parts(layout: Layout) -> Iterator[str]:
    """What is set aside where no split is given for it."""
    if set(layout.splits) in ({WHOLE}, {"train"}):
        (split,) = layout.splits
        yield (
            f"No test split is given: who learns from it tests on a fifth of each class of {split}, and chooses on a "
            "tenth of the rest; the same pictures every time."
        )
        counts = class_counts(layout)[split]
        few = [name for name in layout.classes if counts[name] < _LEAST_IN_THREE_PARTS]
        if few and len(layout.classes) > 1:
            yield f"{some(few)}: fewer than {_LEAST_IN_THREE_PARTS} pictures, too few to be in all three parts."
    elif "train" in layout.splits and "val" not in layout.splits:
        yield "No validation split is given: choices are made on a tenth of each class of train, the same every time."


def _of_rivals(layout: Layout, layouts: Sequence[Layout]) -> Iterator[str]:
    """Another way to read the files that is worth a thought."""
    rivals = [each for each in layouts if each.name != layout.name and each.score > 0.6 * layout.score]
    for each in rivals:
        if not each.same_as(layout):
            yield f"It can be read in another way: {summary(each)} (layout {each.name})."
            return


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _EXAMPLES
    return ", ".join(names[:_EXAMPLES]) + (f" and {more:,} more" if more > 0 else "")
