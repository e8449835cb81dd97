"""Every export is what is on the screen: a walk over the controls of a page, and what each of them does to the export.

    check_controls(lambda: open_page("diffusion"), excused={}, data_alone={"noise": "moves the pictures alone"})

A control that changes neither data nor recipe of the export fails unless it is excused with a reason; one that changes
the data and not the recipe fails unless it is listed as such, too: the recipe would make something else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import ButtonGroup

from pages.shared.export import Export

KEPT = "exported"
# Of the frame around every page: says what words mean.
FRAME = ("all_words",)
KINDS = (
    "selectbox", "button_group", "select_slider", "slider", "number_input", "text_input", "text_area",
    "toggle", "checkbox", "multiselect", "radio",
)  # fmt: skip


def keep_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the open menu of every page hand its export to the session instead of drawing buttons."""
    import streamlit as st

    def keep(export: Export) -> None:
        st.session_state[KEPT] = export

    monkeypatch.setattr("pages.shared.export._menu", keep)


def exported(app: AppTest) -> Export:
    """The export of the page as it is now."""
    if KEPT in app.session_state:
        del app.session_state[KEPT]
    app.session_state["export"] = True
    app.run()
    assert not app.exception, app.exception
    assert KEPT in app.session_state, [error.value for error in app.error]
    found: Export = app.session_state[KEPT]
    return found


def data_of(export: Export) -> dict[str, str]:
    """All that an export gives but its recipe, each part as text."""
    parts = {f"figure {name}": figure.to_json() for name, figure in export.figures.items()}
    parts |= {f"picture {name}": _bytes(pixels) for name, pixels in export.pictures.items()}
    parts |= {f"array {name}": _bytes(values) for name, values in export.arrays.items()}
    parts["facts"] = json.dumps(export.facts, default=str, sort_keys=True)
    parts["table"] = "" if export.table is None else export.table.to_csv()
    return parts


def _bytes(values: np.ndarray) -> str:
    return f"{values.shape} {hash(np.ascontiguousarray(values).tobytes())}"


def controls(app: AppTest) -> Iterator[tuple[str, Any]]:
    """Every control of the page that can be used, with its key."""
    for kind in KINDS:
        for widget in app.get(kind):
            if widget.key and not widget.disabled and widget.key not in FRAME:
                yield str(widget.key), widget


def another_value(widget: Any) -> Any:
    """A value that the control does not have; None where it has no other."""
    kind, value = widget.type, widget.value
    options = list(getattr(widget, "options", ()) or ())
    if isinstance(widget, ButtonGroup):  # its options are known by what people read
        shown = list(widget.formatted_values)
        others = [each for each in options if each not in shown]
        if widget._is_single_select:
            return ("options", others[:1]) if others else None
        return ("options", shown[:-1] if len(shown) > 1 else (shown + others)[:2])
    if kind in ("slider", "number_input") and not options:
        low, high = widget.min, widget.max
        step = widget.step or (1 if isinstance(value, int) else (high - low) / 10)
        for other in (value + step, value - step):
            if low <= other <= high:
                return type(value)(other)
        return None
    if kind in ("text_input", "text_area"):
        return f"{value}, zebra" if "," in str(value) or not value else f"{value} zebra"
    if kind in ("toggle", "checkbox"):
        return not value
    if isinstance(value, list):
        return value[:-1] if len(value) > 1 else options[:2] if value != options[:2] else options[:1]
    index = getattr(widget, "index", None)
    if kind == "selectbox" and len(options) > 1:
        return ("index", (index + 1) % len(options) if index is not None else 0)
    shown = [each for each in options if each != value]
    return shown[0] if shown else None


def choose(app: AppTest, key: str, value: Any) -> None:
    """Give a control a value and run the page."""
    widget = dict(controls(app))[key]
    if isinstance(value, tuple) and value and value[0] == "index":
        widget.select_index(value[1])
    elif isinstance(value, tuple) and value and value[0] == "options":
        widget.set_value(None)
        widget.__class__ = type("Chosen", (ButtonGroup,), {"formatted_values": property(lambda self: value[1])})
    else:
        widget.set_value(value)
    app.run()
    assert not app.exception, (key, app.exception)


def check_controls(
    open_app: Callable[[], AppTest],
    *,
    excused: Mapping[str, str],
    data_alone: Mapping[str, str] | None = None,
    values: Mapping[str, Any] | None = None,
) -> set[str]:
    """Change every control of a page, one at a time, and compare what is exported with what was before.

    Args:
        open_app: opens the page, the same each time.
        excused: controls (or the beginnings of their keys, ending in `*`) without an effect on the export, and why.
        data_alone: those that change what is exported and rightly not the recipe, and why.
        values: what to set where `another_value` does not know a sensible one.

    Returns:
        The keys that were changed.
    """
    app = open_app()
    before = exported(app)
    data, recipe = data_of(before), before.recipe
    mute, unlike = [], []
    changed = set()
    for key, widget in list(controls(app)):
        if _listed(key, excused):
            continue
        value = (values or {}).get(key, another_value(widget))
        if value is None:
            continue
        fresh = open_app()
        choose(fresh, key, value)
        assert not fresh.error, (key, value, [error.value for error in fresh.error])
        after = exported(fresh)
        changed.add(key)
        told, made = data_of(after) != data, after.recipe != recipe
        if not told and not made:
            mute.append(key)
        elif not made and not _listed(key, data_alone or {}):
            unlike.append(key)
    assert not mute, f"These change nothing of what is exported; mend the export, or say in `excused` why: {mute}"
    assert not unlike, f"These change what is exported, but the recipe makes what was before: {unlike}"
    return changed


def _listed(key: str, rules: Mapping[str, str]) -> bool:
    return any(key == rule or (rule.endswith("*") and key.startswith(rule[:-1])) for rule in rules)


def run_recipe(recipe: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a recipe prints, in this process: another interpreter would only import everything again."""
    capsys.readouterr()
    exec(compile(recipe, "recipe.py", "exec"), {"__name__": "__main__"})
    return capsys.readouterr().out
