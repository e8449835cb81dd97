"""The numbers of a figure as a table: for who does not see it, and for who wants to go on with them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from core.figures.theme import Figure

_TAG = re.compile(r"<[^>]*>")
SERIES = "series"


def figure_table(figure: Figure) -> pd.DataFrame:
    """One row for each number that is drawn: its series, its place on the axes, its value and its bounds.

    Columns are called as the axes are. Left out is what only helps to see: guide lines and bands without hover, entries
    of the legend without points. A heat map has a row for each cell, a histogram one for each bin's contents.
    """
    parts = [part for trace in figure.data if (part := _rows(figure, trace)) is not None]
    if not parts:
        return pd.DataFrame({SERIES: []})
    table = pd.concat(parts, ignore_index=True)
    table = table.dropna(axis="columns", how="all")
    if SERIES in table and (table[SERIES] == "").all():
        table = table.drop(columns=SERIES)
    return table


def _rows(figure: Figure, trace: Any) -> pd.DataFrame | None:
    if trace.hoverinfo == "skip" or trace.visible is False:
        return None
    name = _words(trace.name)
    if trace.type in ("treemap", "icicle", "sunburst"):
        parents = trace.parents if trace.parents is not None else ("",) * len(trace.labels)
        columns = {"part": map(_words, trace.labels), "of": map(_words, parents), "value": trace.values}
        return pd.DataFrame({key: list(values) for key, values in columns.items()})
    if trace.type == "parcoords":
        return pd.DataFrame({_words(each.label): each["values"] for each in trace.dimensions})
    across, up = _titles(figure, trace)
    if trace.type == "heatmap":
        return _cells(trace, name, across, up)
    if trace.type == "histogram":
        values, title = (trace.x, across) if trace.x is not None else (trace.y, up)
        return pd.DataFrame({SERIES: name, title: list(values)})
    x = _listed(trace.x, len(trace.y) if trace.y is not None else 0)
    y = _listed(trace.y, len(x))
    rows = pd.DataFrame({SERIES: name, across: x, up: y})
    words = trace.text if _is_list(trace.text) else trace.hovertext
    if _is_list(words) and len(words) == len(rows):
        rows.insert(1, "label", [_words(str(word)) for word in words])
    for title, error in ((across, trace.error_x), (up, trace.error_y)):
        if error.array is not None:
            rows[f"{title}, bound above"] = rows[title] + list(error.array)
            below = error.arrayminus if error.arrayminus is not None else error.array
            rows[f"{title}, bound below"] = rows[title] - list(below)
    return rows.dropna(subset=[across, up])


def _cells(trace: Any, name: str, across: str, up: str) -> pd.DataFrame:
    values = np.array(trace.z, dtype=object)
    rows, columns = values.shape
    x, y = _listed(trace.x, columns), _listed(trace.y, rows)
    value = _words(trace.colorbar.title.text) or "value"
    return pd.DataFrame(
        {
            SERIES: name,
            up: [y[row] for row in range(rows) for _ in range(columns)],
            across: x * rows,
            value: values.ravel(),
        }
    ).infer_objects()


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _titles(figure: Figure, trace: Any) -> tuple[str, str]:
    """What the axes of a trace are called, told apart where they are called the same."""
    found = []
    for letter in ("x", "y"):
        number = (getattr(trace, f"{letter}axis") or letter).removeprefix(letter)
        axis = figure.layout[f"{letter}axis{number}"]
        found.append(_words(axis.title.text) or letter)
    across, up = found
    return across, up if up != across else f"{up} (y)"


def _listed(values: Any, count: int) -> list[Any]:
    """Places on an axis; 0, 1, 2 … where a trace gives none, as plotly draws it."""
    if values is None:
        return list(range(count))
    return [_words(value) if isinstance(value, str) else value for value in values]


def _words(text: str | None) -> str:
    """A text of plotly's without its tags."""
    return _TAG.sub(" ", text or "").replace("&lt;", "<").strip()
