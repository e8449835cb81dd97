"""Hostile addresses, names and files on every page: nothing is interpreted, and no page ends in an exception.

What the address can say is found in the source: whatever a widget binds, and whatever is remembered in it.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.paths import CHECKOUT
from core.runs.status import RunState, write_state
from core.runs.store import RunSpec, create_run
from tests.pages.harness import open_page
from tests.pages.test_pages import PAGES
from tests.toy import save_toy

MARK = "![x](http://evil.test/p.png)"
HOSTILE = f"{MARK} [l](http://evil.test) $x^2$ :material/bug_report: :red[x] <img src=http://evil.test/i.png> `x` **x**"
# What Markdown is in Streamlit's messages, by the name of the field.
MARKDOWN = ("body", "label", "help", "text", "caption", "captions", "message", "value", "delta")
VALUES = {
    "markdown": HOSTILE,
    "image": f"data:{HOSTILE}",
    "model": f"hub:{HOSTILE}",
    "long": "x" * 3000,
    "path": "folder:" + "y" * 1500,
    "nobody": "folder:~nobody_at_all",
    "nul": "folder:/tmp/\x00",
    "digits": "9" * 5000,
    "data": f"data:cifar10/test/{'9' * 1500}/{'9' * 100}",
    "negative": "-1",
    "nan": "nan",
}


def parameters() -> set[str]:
    """Every name that an address can have on some page."""
    found: set[str] = set()
    for file in (CHECKOUT / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                keys = [given["key"]] if "bind" in given and "key" in given else []
                keys += node.args[:1] if name in ("remembered", "remember", "asked", "all_asked", "_held") else []
                keys += [given["name"]] if name.endswith("_picker") and "name" in given else []
                found |= {key.value for key in keys if isinstance(key, ast.Constant)}
            elif isinstance(node, ast.FunctionDef):
                defaults = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                found |= {
                    default.value
                    for argument, default in defaults
                    if argument.arg == "name" and isinstance(default, ast.Constant)
                }
    return found


def test_what_an_address_can_say_is_found_in_the_source() -> None:
    known = {"image", "model", "run", "recipe", "set", "parent", "layer", "head", "patch", "share", "sampling_seed"}
    assert known <= parameters()


def strings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Field and text of everything in a message."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from strings(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each, name)
    elif isinstance(value, str):
        yield name, value


def interpreted(app: AppTest) -> list[str]:
    """Texts of the page in which hostile Markdown arrived as Markdown."""
    found = []
    for element in app._tree:
        if element.type in ("code", "selectbox", "text_input", "text_area", "multiselect", "arrow_data_frame", "html"):
            continue
        message = getattr(element, "proto", None)
        if message is None:
            continue
        found += [
            f"{element.type}.{name}: {text[:200]}"
            for name, text in strings(MessageToDict(message))
            if name in MARKDOWN and MARK in text
        ]
    return found


@pytest.fixture(autouse=True)
def _hostile_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home in which a run, a data set with its classes, and files are called as a stranger would call them."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    name = HOSTILE.replace("/", "_")[:150]
    save_toy(name="toy", classes=(HOSTILE, f"{HOSTILE} too"))
    card = tmp_path / "data" / "toy" / "dataset.json"
    card.write_text(json.dumps({**json.loads(card.read_text(encoding="utf-8")), "title": HOSTILE}), encoding="utf-8")
    run = create_run("one", RunSpec(recipe=HOSTILE, config={HOSTILE: HOSTILE}, device=HOSTILE))
    write_state(run, RunState(status="failed", cause=HOSTILE, remedy=HOSTILE, text=HOSTILE, device=HOSTILE))
    run.append_metrics({"step": 1, "epoch": 1, "val_accuracy": 0.5, HOSTILE: 0.5, "train_loss": 1.0})
    run.samples.mkdir()
    Image.new("RGB", (8, 8)).save(run.samples / f"{name}.png")
    run.path.rename(run.path.with_name(name))


@pytest.mark.slow
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("stem", PAGES)
def test_no_address_breaks_a_page_or_is_interpreted(stem: str, value: str) -> None:
    app = open_page(stem, **dict.fromkeys(sorted(parameters()), VALUES[value]))
    assert not app.exception, app.exception
    assert interpreted(app) == []


def test_hostile_names_on_the_runs_page_are_letters() -> None:
    name = HOSTILE.replace("/", "_")[:150]
    app = open_page("runs", **{"run": name})
    assert not app.exception, app.exception
    assert any("failed" in element.value for element in app.markdown)
    for part in ("Settings", "Metrics", "Samples", "Log"):
        app.segmented_control(key="run_detail").set_value(part).run()
        assert not app.exception, app.exception
        assert interpreted(app) == []


def test_hostile_labels_and_templates_are_letters() -> None:
    app = open_page("clip", **{"labels": f"{HOSTILE}\na cat", "strategy": "custom", "templates": f"{HOSTILE} {{}}"})
    assert not app.exception, app.exception
    assert interpreted(app) == []


def test_the_check_sees_what_is_interpreted() -> None:
    def page() -> None:
        import streamlit as st

        st.markdown("![x](http://evil.test/p.png)")
        st.button("go", help="![x](http://evil.test/p.png)")

    assert len(interpreted(AppTest.from_function(page).run())) == 2
