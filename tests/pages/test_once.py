"""A second click starts another run of the script while the first is still at work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
import streamlit as st

from core.errors import CoreError
from pages.shared import once


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", state)
    return state


@pytest.mark.usefixtures("session")
def test_the_second_click_waits_and_gets_what_the_first_got() -> None:
    begun, go_on, calls = Event(), Event(), []

    def act() -> str:
        calls.append("act")
        begun.set()
        assert go_on.wait(60)
        return f"run-{len(calls)}"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(once.once, "launch", act)
        assert begun.wait(60)
        second = pool.submit(once.once, "launch", act)
        assert not second.done()
        go_on.set()
        assert (first.result(60), second.result(60)) == ("run-1", "run-1")
    assert calls == ["act"]


@pytest.mark.usefixtures("session")
def test_after_a_failure_and_after_a_while_the_next_click_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise CoreError("The name is taken.", "Choose another.")

    with pytest.raises(CoreError):
        once.once("launch", fail)
    assert once.once("launch", lambda: "a") == "a"
    assert once.once("launch", lambda: "b") == "a"
    assert once.once("another", lambda: "b") == "b"
    monkeypatch.setattr(once, "DOUBLE_CLICK_S", 0.0)
    assert once.once("launch", lambda: "b") == "b"
