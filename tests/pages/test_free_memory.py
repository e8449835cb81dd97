"""Memory that is free goes back to the machine."""

from __future__ import annotations

import platform

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import free_memory
from tests.pages.harness import open_page


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such functions")
def test_what_a_page_left_behind_is_given_back_after_its_run(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    open_page("attention")
    # In between lie blocks that stay, so that the C library does not give the rest back by itself.
    blocks = [bytes(16_000) for _ in range(20_000)]
    kept = blocks[::50]
    blocks.clear()
    before = resident()
    open_page("attention")
    assert len(kept) == 400
    assert resident() < before - 200 * 2**20


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "_libc", lambda: None)
    free_memory.few_arenas()
    free_memory.give_back()


def photo_bytes_of_callbacks(app: AppTest) -> int:
    """Of the photos of all runs of a page that the callbacks of its widgets hold."""
    known = app.session_state._state._state._new_widget_state.widget_metadata.values()
    runs = [getattr(each.callback, "__globals__", {}) for each in known]
    photos = {id(run["picture"]): run["picture"].image.size for run in runs if "picture" in run}
    return sum(4 * width * height for width, height in photos.values())


def test_of_photos_that_were_replaced_a_session_holds_nothing(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class to explain is another widget for every photo, whose callback holds what its run has made."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    app = open_page("attention", model="vit_p4", image="example:coffee")
    held = []
    for each in ("cat", "rocket", "pagoda", "coffee", "cat;squash", "coffee;squash"):
        app.session_state["image"] = f"example:{each}"
        app.run()
        assert not app.exception
        held.append(photo_bytes_of_callbacks(app))
    # Of the run before it may still be on the screen.
    assert 0 < held[-1] <= 2 * 4 * 640 * 640, [each / 2**20 for each in held]
