"""How a folder of images says what is what: from paths to splits and classes.

| paths                              | splits                                  | classes           |
|------------------------------------|-----------------------------------------|-------------------|
| `train/CLASS/*`, `testing/CLASS/*` | train, val, test                        | CLASS             |
| `NAME/CLASS/*` for any other names | one per NAME: domains, styles           | CLASS             |
| `CLASS/*`                          | one, called `all`: no split is claimed  | CLASS             |
| `PREFIX_anything.jpg`, flat        | `all`                                   | PREFIX            |
| `shapeN-textureM.jpg`, flat        | `all`                                   | shape             |

Folders that hold everything else are looked through. What lies outside of the class folders is skipped and named.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from core.data.extract import Parts
from core.errors import ArchiveError

WHOLE = "all"

_ALIASES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_CUES = re.compile(r"([A-Za-z ]+)\d*-[A-Za-z ]+\d*\.\w+")
_WNID = re.compile(r"(n\d{8})_(.*?[A-Za-z].*)")
_REMEDY = (
    "Put the images of each class in a folder of its name: CLASS/*.jpg, or train/CLASS/*.jpg and test/CLASS/*.jpg."
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a set of paths means.

    Attributes:
        classes: names in label order: sorted, as numbers if all are numbers.
        titles: readable names of some classes, where file names tell them.
        splits: per split its images and their labels, sorted by path.
        skipped: path → why it is in no split.
    """

    classes: tuple[str, ...]
    titles: dict[str, str]
    splits: dict[str, list[tuple[Parts, int]]]
    skipped: dict[Parts, str]


def read_layout(paths: list[Parts]) -> Layout:
    """Decide the layout from the paths of all images.

    Raises:
        ArchiveError: there are no class folders.
    """
    paths = sorted(paths)
    root = _wrapper(paths)
    # The layout that most images follow; a stray file beside the folders must not turn classes into splits.
    depths = Counter(min(len(path) - len(root), 3) for path in paths)
    depth = max(depths, key=lambda each: (depths[each], each))
    if depth == 1:
        return _flat(paths, root)
    kept = [path for path in paths if len(path) - len(root) >= depth]
    skipped = {path: "not in a class folder" for path in paths if len(path) - len(root) < depth}
    if depth == 2:
        return _arrange([(WHOLE, path[len(root)], path) for path in kept], skipped)
    names = _split_names({path[len(root)] for path in kept})
    return _arrange([(names[path[len(root)]], path[len(root) + 1], path) for path in kept], skipped)


def _wrapper(paths: list[Parts]) -> Parts:
    """The folders around everything, except one that is itself a split."""
    root: Parts = ()
    while all(len(path) > len(root) + 1 and path[: len(root) + 1] == paths[0][: len(root) + 1] for path in paths):
        if paths[0][len(root)].lower() in _ALIASES:
            break
        root = paths[0][: len(root) + 1]
    return root


def _flat(paths: list[Parts], root: Parts) -> Layout:
    """No class folders: the class is in the file name, or is the one folder that holds everything."""
    kept = [path for path in paths if len(path) == len(root) + 1]
    skipped = {path: "in a folder, unlike most images" for path in paths if len(path) != len(root) + 1}
    prefixes = [path[-1].split("_")[0] for path in kept]
    if all("_" in path[-1] and prefix for path, prefix in zip(kept, prefixes, strict=True)) and len(set(prefixes)) > 1:
        titles = {}
        for path in kept:
            named = _WNID.fullmatch(path[-1].rpartition(".")[0])
            if named:
                titles[named[1]] = named[2].replace("_", " ")
        rows = [(WHOLE, prefix, path) for prefix, path in zip(prefixes, kept, strict=True)]
        return _arrange(rows, skipped, titles)
    cues = [_CUES.fullmatch(path[-1]) for path in kept]
    if all(cues) and len({match[1] for match in cues if match}) > 1:
        return _arrange([(WHOLE, match[1], path) for match, path in zip(cues, kept, strict=True) if match], skipped)
    if not root:
        raise ArchiveError("The images are in no class folders.", _REMEDY)
    return _arrange([(WHOLE, root[-1], path) for path in kept], skipped)


def _split_names(folders: set[str]) -> dict[str, str]:
    """A name for every split folder: the usual ones under their usual names, others as safe file names."""
    names: dict[str, str] = {}
    for folder in sorted(folders):
        usual = _ALIASES.get(folder.lower())
        wanted = usual or re.sub(r"[^a-z0-9_-]+", "_", folder.lower()).strip("_")[:64] or "split"
        name, number = wanted, 2
        while name in names.values():
            name, number = f"{wanted}_{number}", number + 1
        names[folder] = name
    return names


def _arrange(
    rows: list[tuple[str, str, Parts]], skipped: dict[Parts, str], titles: dict[str, str] | None = None
) -> Layout:
    """Rows of split, class and path → labels."""
    found = {name for _, name, _ in rows}
    if found <= set(_ALIASES):
        raise ArchiveError("The split folders hold images but no class folders.", _REMEDY)
    numbers = all(name.isascii() and name.isdigit() for name in found)
    classes = tuple(sorted(found, key=lambda name: (int(name), name)) if numbers else sorted(found))
    labels = {name: label for label, name in enumerate(classes)}
    splits: dict[str, list[tuple[Parts, int]]] = {}
    for split, name, path in rows:
        splits.setdefault(split, []).append((path, labels[name]))
    return Layout(classes=classes, titles=titles or {}, splits=splits, skipped=skipped)
