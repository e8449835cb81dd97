"""Results of long work: computed once for all sessions, the oldest forgotten, told apart by every argument."""

from __future__ import annotations

import ast
import inspect
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from PIL import Image

from core.paths import CHECKOUT, data_root
from core.reports import OnProgress, silent
from pages.masking import asking
from pages.modality_gap import modality_gap
from pages.precision import precision
from pages.shared import results as module
from pages.shared.results import Shared, SharedResults, forget_changed_data, shared
from tests.toy import save_toy

# What arguments that are not part of a key are told by.
STANDS_FOR = {
    "_image": ("digest", "question"),  # a question has the digest of its photo
    "_background": (),  # only who goes first hangs on it
    "_pictures": ("digests",),
    "_images": ("digest",),
    "_picture": ("digest",),
    "_photo": ("digest",),
    "_view": ("key",),  # the address has it
    "_content": ("content",),  # digests
    "_style": ("style",),
    "_run": ("name", "stamp"),
    "_headline": ("name",),  # a run is of one recipe, which has one headline
    "_set": ("pictures",),
    "_open": ("pictures",),
    "_folder": ("stamp",),
    "_given": ("signature",),
    "_space": ("signature",),
    "_vectors": ("signature",),
    "_begin": ("before",),
    "_make": ("address",),
    "_pixels": ("key",),
    "_patches": ("text",),  # what of the photo speaks for it
    "_profiles": ("question",),
    "_versions": ("digest", "side", "seed", "variants"),
    "_seconds_per_image": (),  # how the work is cut into batches, which no answer depends on
}


@pytest.fixture(autouse=True)
def _stores(monkeypatch: pytest.MonkeyPatch) -> dict[str, SharedResults]:
    stores: dict[str, SharedResults] = {}
    monkeypatch.setattr(module, "_stores", lambda: stores)
    return stores


def test_the_one_used_longest_ago_is_forgotten_first() -> None:
    results = SharedResults(most=2)
    results.put(("a",), 1)
    results.put(("b",), 2)
    assert results.get(("a",)) == [1]
    results.put(("c",), 3)
    assert (results.get(("a",)), results.get(("b",)), results.get(("c",))) == ([1], [], [3])
    results.put(("a",), 4)  # written again, it is as fresh as if it were read
    results.put(("d",), 5)
    assert (results.get(("a",)), results.get(("c",)), results.get(("d",))) == ([4], [], [5])


def test_two_sessions_wait_for_one_computation() -> None:
    began, go_on, calls = threading.Event(), threading.Event(), []

    @shared("Working …")
    def slow(number: int, *, on_progress: OnProgress = silent) -> list[int]:
        calls.append(number)
        began.set()
        go_on.wait(60)
        return [number]

    found: list[list[int]] = []
    sessions = [threading.Thread(target=lambda: found.append(slow(7))) for _ in range(2)]
    sessions[0].start()
    assert began.wait(60)
    sessions[1].start()
    go_on.set()
    for session in sessions:
        session.join(60)
    assert calls == [7]
    assert found[0] is found[1]
    assert not slow.results.busy


def test_a_waiting_session_says_so_and_can_leave() -> None:
    results, said = SharedResults(), []
    turn = results.turn(("key",))
    turn.acquire()

    class LeftThePage(Exception):
        pass

    def wait() -> None:
        said.append("another session is at it")
        raise LeftThePage

    with pytest.raises(LeftThePage):
        results.once(("key",), lambda: 1, wait)
    assert said
    turn.release()
    assert results.once(("key",), lambda: 1, wait) == 1


def test_an_error_is_kept_for_nobody() -> None:
    attempts = []

    @shared("Working …")
    def fails_once(number: int, *, on_progress: OnProgress = silent) -> int:
        attempts.append(number)
        if len(attempts) == 1:
            raise RuntimeError("out of memory")
        return number

    with pytest.raises(RuntimeError):
        fails_once(1)
    assert fails_once.known(1) is None
    assert (fails_once(1), fails_once(1), attempts) == (1, 1, [1, 1])


def test_functions_do_not_push_each_others_results_out() -> None:
    @shared("Working …", most=1)
    def first(number: int, *, on_progress: OnProgress = silent) -> int:
        return number

    @shared("Working …", most=1)
    def second(number: int, *, on_progress: OnProgress = silent) -> int:
        return -number

    assert (first(1), second(1), first.known(1), second.known(1)) == (1, -1, 1, -1)
    first(2)
    assert (first.known(1), second.known(1)) == (None, -1)


def test_arrays_are_told_apart_by_what_is_in_them() -> None:
    @shared("Adding …")
    def total(values: np.ndarray, *, on_progress: OnProgress = silent) -> float:
        return float(values.sum())

    before = np.arange(6.0)
    assert total(before) == 15
    before[0] = 100  # the same object, another content
    assert total(before) == 115
    assert total.key(before) == total.key(before.copy())
    assert len({total.key(each) for each in (before, before.reshape(2, 3), before.astype("f4"))}) == 3


def test_what_has_no_value_to_be_told_by_is_refused() -> None:
    @shared("Working …")
    def takes(value: object, *, on_progress: OnProgress = silent) -> int:
        return 1

    for each in (object(), Image.new("RGB", (2, 2)), {"a": 1}, lambda: 1, [object()]):
        with pytest.raises(TypeError):
            takes(each)
    assert takes(None) == takes([1, (2, None)]) == 1


def _all_shared() -> list[Shared]:
    for path in sorted((CHECKOUT / "pages").rglob("*.py")):
        if "@shared(" in path.read_text(encoding="utf-8"):
            __import__(".".join(path.relative_to(CHECKOUT).with_suffix("").parts))
    found = {id(each): each for name, loaded in [*__import__("sys").modules.items()] if name.startswith("pages.")
             for each in vars(loaded).values() if isinstance(each, Shared)}  # fmt: skip
    return list(found.values())


def test_every_argument_of_every_function_is_part_of_its_key() -> None:
    functions = _all_shared()
    assert {asking.faithfulness_of, modality_gap.halves_of, precision.first_look} <= set(functions)
    for function in functions:
        names = [name for name in inspect.signature(function.function).parameters if name != "on_progress"]
        plain = {name: f"{name} as it was" for name in names}
        key = function.key(**plain)
        for name in names:
            changed = function.key(**{**plain, name: "another"})
            assert (changed == key) == name.startswith("_"), f"{name} of {function.name}"


def _cached(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if ast.unparse(called) in ("shared", "st.cache_resource", "st.cache_data"):
                    yield node


def test_what_is_left_out_of_a_key_is_told_by_another_argument() -> None:
    """A seed or a strength with an underscore would be answered with another one's result."""
    seen = 0
    for path in sorted((CHECKOUT / "pages").rglob("*.py")):
        for function in _cached(ast.parse(path.read_text(encoding="utf-8"))):
            arguments = function.args
            names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            for name in names:
                if not name.startswith("_"):
                    continue
                seen += 1
                where = f"{name} of {function.name} in {path.relative_to(CHECKOUT)}"
                assert name in STANDS_FOR, f"{where}: say here what stands for it in the key"
                told = STANDS_FOR[name]
                assert not told or set(told) & set(names), f"{where}: none of {told} is an argument"
    assert seen > 15


# Functions of Streamlit's cache, and why none of them is waited for.
TRIVIAL = {
    # They hold what many sessions share, and compute nothing.
    "_classifications", "_films", "_sentences", "_tails", "take_up_runs",
    # They read a file of ours, or a few bytes of a run's.
    "_family_of", "_measured", "_parse", "_read", "bundled_views", "glossary", "read_model_card", "_example",
    # They encode or cut one picture, or count parameters.
    "_device_words", "_encoded", "_framed", "_rates", "_shape", "_small", "sheet_uri",
}  # fmt: skip
# Where models are used outside of a function that is `shared`, and why.
WITHOUT_BAR = {
    "in_use": "it is what the others use",
    "_taken": "a part of it",
    "sentence_vectors": "within `with_progress`",
    "work": "the same, of it",
    "_asking": "batches of a few masks, of the slider's own job or of shared work",
    "_features": "of `_spaces`, which is shared",
    "_fresh_maps": "of `_maps`, which is shared",
    "_run": "a generator, each step of which is drawn, with a Stop of its own",
    "denoise": "one batch of such a generator",
    "compare": "one product of two matrices",
}


def test_what_takes_time_is_in_shared_work() -> None:
    """Streamlit's own cache has no bar and no Stop, and a model that is used in the script stops it."""
    kept, used = set(), set()
    for path in sorted((CHECKOUT / "pages").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            decorators = " ".join(map(ast.unparse, function.decorator_list))
            if "st.cache" in decorators:
                kept.add(function.name)
            words = {ast.unparse(node) for node in ast.walk(function) if isinstance(node, ast.Attribute | ast.Name)}
            if words & {"in_use", "model.lock"} and not decorators.startswith("shared("):
                used.add(function.name)
    assert kept <= TRIVIAL, "Decorate it with `shared`, or say here why it takes no time."
    assert used <= set(WITHOUT_BAR), "Decorate it with `shared`, or say here how it is stopped."
    assert used >= {"_run", "sentence_vectors"}, "nothing is seen"


def test_a_data_set_that_was_imported_anew_has_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "data_root", data_root)
    stamps: dict[str, object] = {}
    monkeypatch.setattr(module, "_stamps", lambda: stamps)
    calls = []

    @st.cache_resource
    def pixels_of(name: str) -> int:
        calls.append(name)
        return int(np.load(data_root() / name / "test_images.npy").sum())

    card = save_toy() / "dataset.json"
    forget_changed_data()
    first = pixels_of("toy")
    forget_changed_data()
    assert pixels_of("toy") == first
    assert len(calls) == 1
    save_toy(contrast=100)
    values = json.loads(card.read_text(encoding="utf-8"))
    card.write_text(json.dumps(values | {"title": "Another"}), encoding="utf-8")
    os.utime(card, ns=(1, 1))  # a coarse clock may give both the same time
    forget_changed_data()
    assert pixels_of("toy") != first
    save_toy(name="second")
    forget_changed_data()  # one more is no reason to forget the others
    pixels_of("toy")
    assert len(calls) == 2
