"""PNG and SVG are offered where the drawing itself would find a browser."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from choreographer.browsers import chromium

from core.figures.export import can_draw, find_browser


def usual_places(monkeypatch: pytest.MonkeyPatch, paths: list[str]) -> None:
    """Where browsers are installed on this system."""
    edge = SimpleNamespace(exe_names=["msedge"], ms_prog_id="MSEDGEHTM", typical_paths=paths)
    monkeypatch.setattr(chromium, "chromium_based_browsers", {"edge": edge})


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on PATH and no browser where one usually is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    monkeypatch.setattr(chromium, "get_chrome_download_path", lambda **_: None)
    monkeypatch.setattr(chromium, "get_old_chrome_download_path", lambda: None)
    usual_places(monkeypatch, [])
    return tmp_path


def executable(path: Path) -> Path:
    path.write_bytes(b"")
    path.chmod(0o755)
    return path


def test_without_a_browser_nothing_is_offered() -> None:
    assert not can_draw()


def test_a_browser_where_it_usually_is_on_windows_or_a_mac_is_found(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = executable(bare / "Microsoft Edge")
    usual_places(monkeypatch, [str(edge)])
    assert find_browser() == str(edge)


def test_the_user_s_own_choice_goes_first_and_must_exist(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = executable(bare / "my-browser")
    monkeypatch.setenv("BROWSER_PATH", str(mine))
    assert find_browser() == str(mine)
    monkeypatch.setenv("BROWSER_PATH", str(bare / "gone"))
    assert not can_draw()
