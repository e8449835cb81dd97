"""The script that makes a view again: a page's own `recipe.py`, with the view's values in the settings at its top.

A recipe is a file that runs as it stands, on a bundled example: `pages/PAGE/recipe.py`, or `recipe_VIEW.py` where a
page has several; one that several pages hand out lies in `pages/shared`. It needs `core` alone. Between two marked
lines stand its settings, each a name in capitals and a value that is written out; nothing else of the file changes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from pprint import pformat

import numpy as np

from core.data.framing import split_view

PAGES = Path(__file__).resolve().parent.parent
BEGIN, END = "# --- Settings ---", "# --- End of settings ---"
_WIDTH = 100


def recipe_files() -> list[Path]:
    """Every recipe of every page."""
    return sorted([*PAGES.glob("*/recipe.py"), *PAGES.glob("*/recipe_*.py")])


def filled_recipe(page: str, view: str = "", /, **settings: object) -> str:
    """The recipe of a page with other settings.

    Args:
        page: the folder in `pages/`.
        view: of several recipes, which: that of `recipe_VIEW.py`.
        settings: all that the block has, in small letters: texts, numbers, truth values, None, and lists, tuples and
            dictionaries of them.

    Raises:
        ValueError: not the settings that the file has, or a value that cannot be written out. Either is a mistake of
            the page.
    """
    file = PAGES / page / (f"recipe_{view}.py" if view else "recipe.py")
    return fill(file.read_text(encoding="utf-8"), settings)


def fill(source: str, settings: dict[str, object]) -> str:
    """`source` with other values in its block of settings, whose names are those of `settings` in capitals."""
    places = {name.lower(): value for name, value in values_in(source)}
    if places.keys() != settings.keys():
        raise ValueError(f"The recipe's settings are {sorted(places)}, and these were given: {sorted(settings)}.")
    lines = source.encode().splitlines(keepends=True)
    starts = np.cumsum([0, *map(len, lines)])
    # The tree counts columns in bytes.
    text = source.encode()
    for name, node in sorted(places.items(), key=lambda item: -item[1].lineno):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        text = text[:begin] + written(settings[name]).encode() + text[end:]
    return text.decode()


def without_settings(source: str) -> str:
    """A recipe as it is apart from the values of its settings."""
    return fill(source, {name.lower(): None for name, _ in values_in(source)})


def values_in(source: str) -> Iterator[tuple[str, ast.expr]]:
    """The names in the block of settings of a recipe, and where their values stand.

    Raises:
        ValueError: there is not one such block, or something else than settings in it.
    """
    lines = [line.strip() for line in source.splitlines()]
    if (lines.count(BEGIN), lines.count(END)) != (1, 1):
        raise ValueError(f"A recipe has one line {BEGIN!r} and one line {END!r}.")
    first, last = lines.index(BEGIN) + 1, lines.index(END) + 1
    for node in ast.parse(source).body:
        if not first < node.lineno < last:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if not (isinstance(target, ast.Name) and target.id.isupper() and value is not None):
            raise ValueError(f"Line {node.lineno} of the recipe is no setting: {ast.unparse(node)}")
        yield target.id, value


def written(value: object) -> str:
    """A value as Python writes it, over several lines where it is long; whatever letters it has stay letters.

    Raises:
        ValueError: it cannot be written out: an object, or a number that is none.
    """
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(value)
    if len(text) > _WIDTH:
        text = pformat(value, width=_WIDTH, sort_dicts=False)
    try:
        same = ast.literal_eval(text) == value
    except (ValueError, SyntaxError):
        same = False
    if not same:
        raise ValueError(f"{text[:100]} cannot be a setting of a recipe.")
    return text


def picture_setting(key: str, name: str = "photo") -> str:
    """The picture behind a page's address as a recipe opens it: an upload is a file saved beside the script."""
    whole, view = split_view(key)
    return key if whole.partition(":")[0] in ("example", "data", "painted") else f"{name}.jpg{view.ending()}"


def set_setting(address: str) -> str:
    """The same of a set of pictures: one's own photos are a folder beside the script, one's own vectors a file."""
    if address.partition(":")[0] == "vectors":
        return "vectors:vectors.npz"
    return address if address.partition(":")[0] in ("views", "data", "splits", "conditions") else "photos"
