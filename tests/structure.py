"""`python -m tests.structure [ROOT]`: what a change did to the shape of the code, told by numbers.

Lines and files of each folder, the largest folder, import circles, and how many imports go from one folder to another.
An arrow goes down where its target stands lower in `LAYERS`, and up where it stands higher: fewer of those are better.
ROOT is another checkout to compare with, such as `git worktree add /tmp/before COMMIT`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.test_laws import ROOT, circles, imports, module_name

HOUSES = ("core", "pages")
# From the ground up; a folder that is not here stands where its parent stands.
LAYERS = (
    "core", "core/data", "core/models", "core/methods", "core/training", "core/runs", "core/experiments",
    "core/figures", "core/launch", "core/cli", "core/ui", "pages/components", "pages/shared", "pages",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Structure:
    """The shape of a checkout.

    Attributes:
        sizes: by folder, how many files of Python and how many lines are in it, those of folders in it left out.
        circles: groups of modules that import each other.
        arrows: by folder and folder, how many modules of the first import one of the second.
    """

    sizes: dict[str, tuple[int, int]]
    circles: list[set[str]]
    arrows: Counter[tuple[str, str]]

    @property
    def up(self) -> int:
        """Imports of what stands higher."""
        return sum(count for (ours, theirs), count in self.arrows.items() if level(theirs) > level(ours))

    @property
    def down(self) -> int:
        """Imports of what stands lower."""
        return sum(count for (ours, theirs), count in self.arrows.items() if level(theirs) < level(ours))


def level(folder: str) -> int:
    """How high a folder stands."""
    while folder not in LAYERS:
        folder = folder.rpartition("/")[0]
    return LAYERS.index(folder)


def structure(root: Path = ROOT) -> Structure:
    """Read the Python files of both houses under `root`; nothing is imported."""
    files = {module_name(path, root): path for house in HOUSES for path in sorted((root / house).rglob("*.py"))}
    sizes: dict[str, tuple[int, int]] = {}
    for path in files.values():
        folder = _folder(path, root)
        count, lines = sizes.get(folder, (0, 0))
        text = path.read_text(encoding="utf-8")
        sizes[folder] = (count + bool(text.strip()), lines + len(text.splitlines()))
    modules = {name: {each for each in imports(path, root) if each in files} - {name} for name, path in files.items()}
    arrows = Counter(
        (_folder(files[ours], root), _folder(files[theirs], root))
        for ours, found in modules.items()
        for theirs in found
    )
    across = Counter({pair: count for pair, count in arrows.items() if pair[0] != pair[1]})
    return Structure(sizes=sizes, circles=circles(modules), arrows=across)


def report(found: Structure) -> Iterator[str]:
    """The numbers, line by line."""
    for house in HOUSES:
        own = {folder: size for folder, size in found.sizes.items() if folder.split("/")[0] == house}
        files, lines = (sum(column) for column in zip(*own.values(), strict=True)) if own else (0, 0)
        yield f"{house}: {files} files, {lines:,} lines"
        yield from (f"  {folder}: {count} files, {lines:,} lines" for folder, (count, lines) in sorted(own.items()))
    largest = max(found.sizes, key=lambda folder: found.sizes[folder])
    yield f"largest folder: {largest}, {found.sizes[largest][0]} files, {found.sizes[largest][1]:,} lines"
    yield f"import circles: {len(found.circles)}"
    yield from (f"  {', '.join(sorted(group))}" for group in found.circles)
    total = sum(found.arrows.values())
    yield f"imports between folders: {total:,}, of them {found.down:,} down, {found.up:,} up, the rest level"
    upwards = {pair: count for pair, count in found.arrows.items() if level(pair[1]) > level(pair[0])}
    yield from (f"  up: {ours} -> {theirs}, {count}" for (ours, theirs), count in sorted(upwards.items()))


def _folder(path: Path, root: Path) -> str:
    place = path.relative_to(root)
    return "core/cli" if place.as_posix() == "core/__main__.py" else place.parent.as_posix()


if __name__ == "__main__":
    print("\n".join(report(structure(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT))))
