"""What folders and file names can mean: every reading of a tree of images, with how plausible it is.

Decided by folders, of which there are few, not by images, of which there may be a million.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.data.archive_names import Parts
from core.data.file_names import name_classes, wordnet_titles
from core.data.splits import GENERIC, WHOLE, split_names, split_of, splits_of

_PART = re.compile(r"(?:.*[\s_-])?(?:part|chunk|batch|shard|volume|images?)[\s_-]*\d+", re.IGNORECASE)
_CONDITIONS = re.compile(
    r"real|photo|sketch|cartoon|art|paint|clip|quick|info|product|silh|blur|edge|geon|feature|contour|line|draw|textur|"
    r"styl|gr[ae]y|invert|noise|noisy|rotat|occlu|scrambl|shuffl|origin|normal|day|night|fog|rain|snow|clear|contrast|"
    r"intact|degrad|cond|left|right|front|back|top|bottom|side|view|near|far|crop|resiz|augment|sim|synth|mask|whole|part|colou?r|high|low|baseline|control"
)
# Names looked at before a reading of names is tried on all.
_SAMPLED_FOLDERS, _SAMPLED_NAMES = 40, 100


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One reading: where it puts each image.

    Attributes:
        rows: split, class and path of each image that it places; the split is `WHOLE` where none is claimed.
        missing: why the others are in no class.
        plausible: how likely such a tree is meant so, in [0, 1], whatever share of it is placed.
    """

    name: str
    title: str
    rows: list[tuple[str, str, Parts]]
    missing: dict[Parts, str]
    plausible: float
    titles: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Folder:
    """A folder of images in one view of the tree.

    Attributes:
        split: what it is part of; empty where no split is claimed.
        rest: the folders that may be classes or conditions.
    """

    split: str
    rest: Parts
    images: list[Parts]


@dataclass(frozen=True)
class _View:
    """The tree with one level, or none, taken for splits; `outside` is what that leaves over."""

    folders: list[_Folder]
    outside: dict[Parts, str]
    by_splits: bool
    root: str

    def weight(self, wanted: Callable[[_Folder], bool]) -> int:
        return sum(len(each.images) for each in self.folders if wanted(each))


def folder_readings(paths: Sequence[Parts]) -> Iterator[Placed]:
    """Every reading of the images at `paths`, which are sorted."""
    tree: dict[Parts, list[Parts]] = defaultdict(list)
    for path in paths:
        tree[path[:-1]].append(path)
    root = _common(list(tree))
    for level in (None, 0, 1):
        view = _view(tree, root, level)
        if view is not None:
            yield from _of_view(view)


def _common(folders: Sequence[Parts]) -> Parts:
    """The folders around everything, except one that is itself a split."""
    root: Parts = ()
    first = folders[0] if folders else ()
    while len(first) > len(root) and all(folder[: len(root) + 1] == first[: len(root) + 1] for folder in folders):
        if split_of(first[len(root)]):
            break
        root = first[: len(root) + 1]
    return root


def _view(tree: Mapping[Parts, list[Parts]], root: Parts, level: int | None) -> _View | None:
    """The tree with its `level` taken for splits; None where no folder there is called like one."""
    start = len(root)
    outside: dict[Parts, str] = {}
    if level is None:
        return _View(
            _looked_through([_Folder("", each[start:], tree[each]) for each in tree], {}),
            outside,
            False,
            root[-1] if root else "",
        )
    place = start + level
    known = splits_of({folder[place] for folder in tree if len(folder) > place})
    if not known:
        return None
    names = split_names(known, known)
    folders = []
    for folder, images in tree.items():
        if len(folder) > place and folder[place] in known:
            folders.append(_Folder(names[folder[place]], folder[start:place] + folder[place + 1 :], images))
        else:
            outside |= dict.fromkeys(images, "in no split's folder")
    return _View(_looked_through(folders, {name: folder for folder, name in names.items()}), outside, True, "")


def _looked_through(folders: list[_Folder], origin: Mapping[str, str]) -> list[_Folder]:
    """The folders of each split without levels that say nothing: `images`, `part_2`, `seg_train` inside `seg_train`."""
    groups: dict[str, list[_Folder]] = defaultdict(list)
    for each in folders:
        groups[each.split].append(each)
    found = []
    for split, group in groups.items():
        again = {origin.get(split, "").casefold()} - {""}
        while True:
            first = {each.rest[0].casefold() for each in group if each.rest}
            says_nothing = first and (
                first <= again
                or (
                    all(name in GENERIC or _PART.fullmatch(name) for name in first)
                    and (len(first) == 1 or all(_PART.fullmatch(name) for name in first))
                )
            )
            if not says_nothing:
                break
            group = [_Folder(split, each.rest[1:], each.images) for each in group]
        found += [_Folder(split, _trimmed(each.rest), each.images) for each in group]
    return found


def _trimmed(rest: Parts) -> Parts:
    while len(rest) > 1 and rest[-1].casefold() in GENERIC:
        rest = rest[:-1]
    return rest


def _of_view(view: _View) -> Iterator[Placed]:
    inside = view.weight(lambda each: len(each.rest) > 0)
    deep = view.weight(lambda each: len(each.rest) > 1)
    named = _names_in_folders(view)
    splits = splits_of({each.rest[0] for each in view.folders if each.rest})
    # Where most images lie in folders called like splits, another view takes them for what they are.
    among = view.weight(lambda each: bool(each.rest) and each.rest[0] in splits)
    doubt = 0.3 if among > inside / 2 or len(set(splits.values())) > 1 else 1.0
    if inside:
        plausible = doubt * _outer_plausible(view, named)
        yield _by_folder(view, "class-folders", "The class is a folder", 0, None, plausible)
    if deep:
        condition, inner = _inner_plausible(view)
        # All in folders of splits and conditions is a sound reading; only some is not.
        condition *= 1.0 if len(splits) == len({each.rest[0] for each in view.folders if each.rest}) else doubt
        title = "The outer folder is a condition or a domain, the folder in it the class"
        yield _by_folder(view, "condition-folders", title, 1, 0, condition)
        yield _by_folder(
            view, "inner-folders", "The class is the folder that the image lies in", -1, None, doubt * inner
        )
    if named > 0.3:
        title = "The folder is a condition, and the class is in the file's name"
        yield from _by_name(view, "condition-names", title, named)
    if view.weight(lambda each: not each.rest):
        yield from _by_name(view, "file-names", "The class is in the file's name", 0.87 if view.by_splits else 0.85)
    if not inside and not view.by_splits and view.root and view.root.casefold() not in GENERIC:
        rows = [(WHOLE, view.root, path) for each in view.folders for path in each.images]
        title = "All images are of one class"
        yield Placed(name="one-class", title=title, rows=rows, missing=view.outside, plausible=0.4)


def _groups(view: _View) -> dict[str, set[str]]:
    """Inner folder → the outer folders that it occurs in."""
    found: dict[str, set[str]] = defaultdict(set)
    for each in view.folders:
        if len(each.rest) > 1:
            found[each.rest[1].casefold()].add(each.rest[0])
    return found


def _shared(view: _View) -> float:
    """The share of the images in inner folders whose name occurs in several outer ones."""
    groups = _groups(view)
    deep = view.weight(lambda each: len(each.rest) > 1)
    return view.weight(lambda each: len(each.rest) > 1 and len(groups[each.rest[1].casefold()]) > 1) / max(deep, 1)


def _outer_plausible(view: _View, named: float) -> float:
    """How likely the outermost folders are classes."""
    inside = view.weight(lambda each: len(each.rest) > 0)
    deep = view.weight(lambda each: len(each.rest) > 1)
    names = {each.rest[0] for each in view.folders if each.rest}
    base = 0.9 if view.by_splits else 0.88
    splits = splits_of(names)
    if len(splits) == len(names):
        return 0.0
    if splits:
        base = 0.65
    if len(names) == 1 and not view.by_splits:
        base = min(base, 0.5)
    if named >= 0.9:
        base = min(base, 0.6)
    elif named > 0.7:
        base = min(base, named)
    if deep < 0.05 * inside:
        return base
    direct = 1 - deep / inside
    if all(len(name) == 1 for name in names):
        return 0.4
    if _shared(view) >= 0.5:
        inner_names = _groups(view)
        return base if direct > 0.1 or (_are_conditions(inner_names) and not _are_conditions(names)) else 0.45
    return base if direct > 0.05 else 0.65


def _inner_plausible(view: _View) -> tuple[float, float]:
    """How likely it is that outer folders are conditions, and that inner ones are classes whatever lies around."""
    inside = view.weight(lambda each: len(each.rest) > 0)
    deep = view.weight(lambda each: len(each.rest) > 1)
    outer = {each.rest[0] for each in view.folders if len(each.rest) > 1}
    shared, direct = _shared(view), 1 - deep / inside
    inner_names = set(_groups(view))
    if inner_names and len(splits_of(inner_names)) == len(inner_names):
        return 0.0, 0.0
    if all(len(name) == 1 for name in outer):
        return 0.4, 0.9
    if len(outer) < 2:
        return 0.3, 0.3 if direct else 0.65
    hinted = _are_conditions(outer)
    if shared >= 0.5 and not hinted and _are_conditions(inner_names):
        return 0.5, 0.4  # CLASS/CONDITION
    if shared >= 0.5:
        return (0.85 if splits_of(outer) else 0.9), 0.45
    return (0.75 if hinted and shared else 0.6 if shared else 0.35), (0.4 if direct > 0.05 else 0.65)


def _are_conditions(names: Collection[str]) -> bool:
    """Whether most names are words for how something is shown, not for what."""
    return sum(bool(_CONDITIONS.match(name.casefold())) for name in names) > len(names) / 2


def _names_in_folders(view: _View) -> float:
    """How likely it is that folders are conditions and the files in them are named by class; 0 if they are not."""
    folders = [each for each in view.folders if len(each.rest) == 1]
    if len({each.rest[0] for each in folders}) < 2:
        return 0.0
    sampled = folders[:: max(1, len(folders) // _SAMPLED_FOLDERS)]
    names = [[path[-1].rpartition(".")[0] for path in each.images[:_SAMPLED_NAMES]] for each in sampled]
    flat = [name for each in names for name in each]
    numbered = any(map(str.isdigit, "".join(flat)))
    classes = iter(name_classes(flat, whole=True))
    words = [[next(classes).casefold() for _ in each] for each in names]
    places: dict[str, set[str]] = defaultdict(set)
    for each, found in zip(sampled, words, strict=True):
        for word in found:
            places[word].add(each.rest[0])
    total = sum(map(len, words))
    several = sum(len(found) for found in words if len({*found} - {""}) > 1)
    shared = sum(word != "" and len(places[word]) > 1 for found in words for word in found)
    if several < 0.5 * total or shared < 0.5 * total:
        return 0.0
    titles = {each.rest[0] for each in sampled}
    if view.by_splits or all(title.isdigit() for title in titles) or len(splits_of(titles)) == len(titles):
        return 0.35
    if _are_conditions(titles):
        return 0.95
    counts = Counter(flat)
    again = sum(count for count in counts.values() if count > 1)
    return 0.92 if numbered and again >= 0.5 * total else 0.82


def _by_folder(view: _View, name: str, title: str, at: int, group_at: int | None, plausible: float) -> Placed:
    """The class is the folder at place `at` of those that may be classes, its condition the one at `group_at`."""
    rows: list[tuple[str, str, Parts]] = []
    missing, needed = dict(view.outside), max(at, 0 if group_at is None else group_at) + 1
    fits = [each for each in view.folders if len(each.rest) >= max(needed, 1)]
    splits = _split_names(fits, group_at)
    for each in view.folders:
        if len(each.rest) < max(needed, 1):
            missing |= dict.fromkeys(each.images, "not in a class folder")
            continue
        split = splits[each.split, "" if group_at is None else each.rest[group_at]]
        rows += [(split, each.rest[at], path) for path in each.images]
    return Placed(name=name, title=title, rows=rows, missing=missing, plausible=plausible)


def _by_name(view: _View, name: str, title: str, plausible: float) -> Iterator[Placed]:
    """The class is in the name of each file; conditions are the folders around them, if any."""
    depth = 1 if name == "condition-names" else 0
    fits = [each for each in view.folders if len(each.rest) == depth]
    splits = _split_names(fits, 0 if depth else None)
    stems = [path[-1].rpartition(".")[0] for each in fits for path in each.images]
    found = name_classes(stems, whole=depth == 1)
    classes = {each for each in found if each}
    if len(classes) < 2:
        return
    titles = wordnet_titles(stems)
    if len(classes) > len(stems) / 2 and not titles and len(stems) > 4:
        plausible = 0.3
    missing = dict(view.outside)
    missing |= {
        path: "in a folder, unlike most images"
        for each in view.folders if len(each.rest) != depth for path in each.images
    }  # fmt: skip
    rows: list[tuple[str, str, Parts]] = []
    answers = iter(found)
    for each in fits:
        split = splits[each.split, each.rest[0] if depth else ""]
        for path in each.images:
            if answer := next(answers):
                rows.append((split, answer, path))
            else:
                missing[path] = "its name tells no class"
    yield Placed(name=name, title=title, rows=rows, missing=missing, plausible=plausible, titles=titles)


def _split_names(folders: Sequence[_Folder], group_at: int | None) -> dict[tuple[str, str], str]:
    """A name for each pair of split and condition."""
    pairs = {(each.split, "" if group_at is None else each.rest[group_at]) for each in folders}
    wanted = {pair: "_".join(filter(None, (pair[1], pair[0]))) or WHOLE for pair in pairs}
    groups = {group for _, group in pairs}
    known = {name: split for name, split in splits_of(groups).items() if name in wanted.values()}
    names = split_names(set(wanted.values()), known)
    return {pair: names[text] for pair, text in wanted.items()}
