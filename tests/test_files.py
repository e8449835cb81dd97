"""A finished file takes its place also where the system refuses while somebody reads the old one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core import files
from core.files import replaced, switch, write_atomically


def refusing(monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """`os.replace` as on Windows while a reader has the target open for so many attempts; counts them."""
    attempts: list[int] = []
    real = os.replace

    def replace(source: object, target: object) -> None:
        attempts.append(1)
        if len(attempts) <= times:
            raise PermissionError(13, "The process cannot access the file because it is being used", str(target))
        real(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", replace)
    return attempts


def test_windows_is_asked_again_until_the_reader_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ON_WINDOWS", True)
    attempts = refusing(monkeypatch, 3)
    (tmp_path / "state.json").write_text("old", encoding="utf-8")
    write_atomically(tmp_path / "state.json", "new")
    assert (tmp_path / "state.json").read_text(encoding="utf-8") == "new"
    assert len(attempts) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("on_windows", [True, False])
def test_what_stays_forbidden_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_windows: bool) -> None:
    monkeypatch.setattr(files, "ON_WINDOWS", on_windows)
    monkeypatch.setattr(files, "_PATIENCE_S", 0.05)
    attempts = refusing(monkeypatch, 10**6)
    with pytest.raises(PermissionError):
        switch(tmp_path / "a", tmp_path / "b")
    assert (len(attempts) > 1) == on_windows


def test_a_file_that_is_given_up_halfway_leaves_the_old_one_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "weights.npz"
    write_atomically(target, b"old")

    class Cancelled(BaseException):
        pass

    def give_up() -> None:
        with replaced(target) as file:
            file.write(b"half of the new")
            raise Cancelled

    with pytest.raises(Cancelled):
        give_up()
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == ["weights.npz"]


def test_every_rename_goes_through_one_place() -> None:
    core = Path(files.__file__).parent
    strays = [
        str(path.relative_to(core))
        for path in core.rglob("*.py")
        if path.name != "files.py"
        and any(word in path.read_text(encoding="utf-8") for word in ("os.replace(", "os.rename(", '.part"'))
    ]
    assert strays == []
