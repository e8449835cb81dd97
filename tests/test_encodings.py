"""Nothing depends on the system's encoding: files and pipes name theirs, and the app starts where it is ASCII."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.paths import CHECKOUT

FOLDERS = ("core", "pages", "benchmarks", "tests")
# As on Windows, whose encoding is none of UTF-8's: here a byte above 127 is an error at once.
ASCII = {"PYTHONUTF8": "0", "LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0"}


def sources() -> list[Path]:
    return [CHECKOUT / "app.py", *(path for folder in FOLDERS for path in sorted((CHECKOUT / folder).rglob("*.py")))]


def silent_about_encoding(source: str) -> Iterator[int]:
    """Lines that read or write text without an encoding. Ruff's PLW1514 knows only paths whose type it can see."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _is_text(node):
            given = {keyword.arg for keyword in node.keywords}
            if "encoding" not in given and None not in given:
                yield node.lineno


def _is_text(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        modes = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "mode")]
        return call.func.id == "open" and not any("b" in str(getattr(mode, "value", "")) for mode in modes)
    if not isinstance(call.func, ast.Attribute):
        return False
    first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    match call.func.attr:
        case "read_text":
            return not call.args
        case "write_text":
            return len(call.args) == 1
        case "open":
            return isinstance(first, str) and bool(re.fullmatch(r"[rwax]\+?t?", first))
        case "run" | "Popen" | "check_output" | "check_call":
            return bool({"text", "universal_newlines"} & {keyword.arg for keyword in call.keywords})
    return False


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("Path(__file__).with_suffix('.js').read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(text)", True),
        ("path.open('a')", True),
        ("path.open('ab')", False),
        ("archive.open(entry)", False),
        ("open(path)", True),
        ("open(path, 'rb')", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command)", False),
    ],
)
def test_what_counts_as_silent(source: str, found: bool) -> None:
    assert bool(list(silent_about_encoding(source))) == found


def test_every_text_file_and_pipe_names_its_encoding() -> None:
    silent = [
        f"{path.relative_to(CHECKOUT)}:{line}"
        for path in sources()
        for line in silent_about_encoding(path.read_text(encoding="utf-8"))
    ]
    assert silent == []


def under_ascii(script: str, home: Path, timeout: int = 240) -> subprocess.CompletedProcess[str]:
    """Run `script` in a Python whose system speaks ASCII only."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=CHECKOUT,
        env={**environment, **ASCII, "VITRINE_HOME": str(home), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
    )


IMPORT_ALL = """
import importlib, locale
from pathlib import Path
assert locale.getpreferredencoding(False).upper() not in ("UTF-8", "UTF8")
for path in sorted([*Path("core").rglob("*.py"), *Path("pages").rglob("*.py")]):
    if path.name not in ("__main__.py", "page.py", "recipe.py") and not path.name.startswith("recipe_"):  # these run
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
"""

ATTENTION = """
from streamlit.testing.v1 import AppTest
from core.paths import CHECKOUT
from pages.shared.layout import page_path
at = AppTest.from_file(str(CHECKOUT / "pages" / "navigation.py"), default_timeout=200).run()
at.switch_page(page_path("attention")).run()
assert not at.exception, [each.value for each in at.exception]
assert any("of its patch attention in" in each.value for each in at.markdown)
"""


@pytest.mark.slow
def test_every_module_can_be_imported_where_the_system_speaks_ascii(tmp_path: Path) -> None:
    done = under_ascii(IMPORT_ALL, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_components_are_read_where_the_system_speaks_ascii(tmp_path: Path) -> None:
    """Their scripts have letters that ASCII and Windows' encodings do not."""
    texts = [path.read_bytes() for path in (CHECKOUT / "pages" / "components").rglob("*.js")]
    assert any(byte > 127 for text in texts for byte in text)
    names = [path.parent.name for path in (CHECKOUT / "pages" / "components").rglob("*.js")]
    script = f"""
import importlib
for name in {names}:
    try:
        importlib.import_module(f"pages.components.{{name}}.{{name}}")
    except ModuleNotFoundError:
        pass  # a part of another component's script
"""
    done = under_ascii(script, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_the_attention_page_opens_where_the_system_speaks_ascii(tmp_path: Path) -> None:
    done = under_ascii(ATTENTION, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_command_line_says_what_the_pipe_cannot_spell(tmp_path: Path) -> None:
    """Lines have signs such as ≥ and …: spelled out rather than a traceback."""
    done = under_ascii("import core.cli.main as main\nmain.app = lambda: print(chr(8805), 2)\nmain.main()", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\u2265 2\n", "")
