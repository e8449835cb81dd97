"""Memory that is free goes back to the machine."""

from __future__ import annotations

import platform

import psutil
import pytest

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
