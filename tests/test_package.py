"""The package: what it needs is imported, and its wheel holds both houses with the files that they open."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from core import extras
from core.errors import CoreError
from core.paths import CHECKOUT, version

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Needed by a library of ours for what we ask of it, with the place.
INDIRECT = {
    "kaleido",  # plotly writes PNG and SVG through it
    "tensorboard",  # torch.utils.tensorboard
}


def imported() -> set[str]:
    """Top-level names that the app and the library import."""
    files = [CHECKOUT / "app.py", *(path for house in ("core", "pages") for path in (CHECKOUT / house).rglob("*.py"))]
    names: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "extra":
                names |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    return names


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[=<>\[; ]", each)[0] for each in requirements}


def unused(requirements: set[str], names: set[str]) -> set[str]:
    """Requirements of which no module is among the imported `names`."""
    modules: dict[str, set[str]] = {}
    for module, packages in metadata.packages_distributions().items():
        for package in packages:
            modules.setdefault(re.sub(r"[-_.]+", "-", package).lower(), set()).add(module)
    return {each for each in requirements if not modules.get(re.sub(r"[-_.]+", "-", each).lower(), {each}) & names}


@pytest.mark.slow
def test_each_requirement_is_imported_somewhere() -> None:
    extra = [each for name in extras.EXTRAS.values() for each in PROJECT["optional-dependencies"][name]]
    needed = names_of([*PROJECT["dependencies"], *extra])
    assert unused(needed, imported()) - INDIRECT == set()
    assert unused({"httpx", "torch"}, imported()) == {"httpx"}


def test_the_requirement_files_only_choose_from_the_package() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (CHECKOUT / name).read_text(encoding="utf-8").splitlines()
        chosen = [line for line in lines if line and not line.startswith("#")]
        (wanted,) = (re.fullmatch(r"-e \.\[([\w,]+)\]", line) for line in chosen)
        assert wanted is not None
        assert set(wanted[1].split(",")) <= set(PROJECT["optional-dependencies"])


def test_a_library_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "EXTRAS", {"no_such_library": "slurm"})
    with pytest.raises(CoreError, match=r'pip install no_such_library \(extra "slurm"'):
        extras.extra("no_such_library")


def test_extras_exist() -> None:
    assert set(extras.EXTRAS.values()) <= set(PROJECT["optional-dependencies"])
    assert version() == PROJECT["version"]


@pytest.mark.slow
def test_a_wheel_holds_what_the_app_opens(tmp_path: Path) -> None:
    source = tmp_path / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if not name.startswith("tests/") and (CHECKOUT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((CHECKOUT / name).read_bytes())
    # The backend itself, so that nothing is fetched.
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = tmp_path.glob("vitrine-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        held = set(opened.namelist())
        entry_points = next(name for name in held if name.endswith("entry_points.txt"))
        assert "vitrine = core.cli.main:main" in opened.read(entry_points).decode()
    expected = {name for name in tracked if name.startswith(("core/", "pages/"))}
    files = ("assets/", "checkpoints/", "benchmarks/results/")
    expected |= {f"vitrine_files/{name}" for name in tracked if name.startswith(files)}
    expected |= {"vitrine_files/app.py", "vitrine_files/.streamlit/config.toml"}
    expected |= {"vitrine_files/setup.py"}  # a module beside app.py to setuptools
    assert expected - held == set()
    strangers = {name for name in held - expected if ".dist-info/" not in name}
    assert strangers == set()
    assert wheel.stat().st_size < 50_000_000
