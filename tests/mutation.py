"""Whether the tests would notice: small changes of the code, one at a time, each judged by the tests that belong to it.

    python -m tests.mutation --sample 100 --seed 0            over all pure packages
    python -m tests.mutation core/intervals.py core/figures   every change of these
    python -m tests.mutation --list core/intervals.py         what would be changed

A change is killed when one of these tests fails or takes too long, and survives otherwise: then it changes nothing that
anybody can see, or a test is missing. The tests of a file are those of the fast tier in `test_STEM.py` and those in
files that import it. All happens in a copy of the checkout, and a fork for each change, so that PyTorch is imported
once. Not for Windows.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PURE = (
    "core/methods", "core/figures", "core/training", "core/data/transforms.py", "core/intervals.py", "core/shares.py",
    "core/finite.py", "core/configs.py", "core/runs/status.py", "core/launch/queue.py", "pages",
)  # fmt: skip
TIER = "not slow and not e2e and not slurm and not network and not realdata"
# What the tests of one change may take at most, in seconds of this process: the unchanged ones decide who is asked.
MOST_SECONDS = 10.0
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
# Keywords whose values nobody computes with: what figures look like, which a browser test would have to judge; devices,
# which the stand-in device judges; and what has no effect on right code.
LEFT_ALONE = {
    "line", "marker", "hovertemplate", "hoverinfo", "hoverlabel", "margin", "fillcolor", "xshift", "yshift", "showgrid",
    "colorway", "height", "width", "font", "title", "showarrow", "xanchor", "yanchor", "opacity", "legend", "bargap",
    "zeroline", "device", "strict", "encoding",
}  # fmt: skip
# What most tests import and takes long, once before all forks.
IMPORTED_ONCE = (
    "torch", "torchvision.transforms.v2", "transformers", "open_clip", "sklearn.linear_model", "scipy.stats", "pandas",
    "plotly.graph_objects", "timm", "hypothesis", "pytest", "optuna",
)  # fmt: skip
CALLS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "argmin": "argmax", "argmax": "argmin", "floor": "ceil",
    "ceil": "floor", "maximum": "minimum", "minimum": "maximum", "mean": "sum", "sum": "mean",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one file: which node, and which of the changes that can be made there."""

    path: str
    line: int
    words: str
    node: int
    choice: int

    @property
    def source(self) -> str:
        """The changed file."""
        tree = ast.parse((ROOT / self.path).read_text(encoding="utf-8"))
        _, change = _changes(list(_interesting(tree))[self.node])[self.choice]
        change()
        return ast.unparse(ast.fix_missing_locations(tree))


def mutants_of(path: Path) -> list[Mutant]:
    """Every change of a file that this module knows."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        Mutant(str(path.relative_to(ROOT)), getattr(node, "lineno", 0), words, number, choice)
        for number, node in enumerate(_interesting(tree))
        for choice, (words, _) in enumerate(_changes(node))
    ]


def _interesting(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but annotations, texts, and what an error says."""
    if isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.keyword) and node.arg in LEFT_ALONE:
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _interesting(child)


def _changes(node: ast.AST) -> list[tuple[str, Callable[[], object]]]:
    """What can be changed at a node: words, and the function that does it in place."""
    found: list[tuple[str, Callable[[], object]]] = []

    def put(words: str, **fields: object) -> None:
        found.append((words, lambda: [setattr(node, name, value) for name, value in fields.items()]))

    text = ast.unparse(node).partition("\n")[0][:70] if isinstance(node, ast.expr | ast.stmt) else ""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        other = SWAPS[type(node.ops[0])]
        put(f"{text}: {other.__name__}", ops=[other()])
        if isinstance(node.ops[0], ast.Lt | ast.Gt | ast.LtE | ast.GtE):
            turned = ast.GtE if isinstance(node.ops[0], ast.Lt | ast.LtE) else ast.LtE
            put(f"{text}: {turned.__name__}", ops=[turned()])
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in SWAPS and not _is_text(node):
        put(f"{text}: {SWAPS[type(node.op)].__name__}", op=SWAPS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        put(f"{text}: sign lost", op=ast.UAdd()) if isinstance(node.op, ast.USub) else put(
            f"{text}: not lost", operand=ast.UnaryOp(ast.Not(), node.operand)
        )
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        value = node.value
        new = (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int) else value * 1.5 or 1.0
        put(f"{value} → {new}", value=new)
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in CALLS:
            func = copy.copy(node.func)
            setattr(func, "attr" if isinstance(func, ast.Attribute) else "id", CALLS[name])
            put(f"{text}: {CALLS[name]}", func=func)
        for keyword in node.keywords:
            if keyword.arg and keyword.arg not in LEFT_ALONE:
                put(f"{text}: without {keyword.arg}", keywords=[each for each in node.keywords if each is not keyword])
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        put(f"{text} never", test=ast.Constant(False))
        if not isinstance(node, ast.While):
            put(f"{text} always", test=ast.Constant(True))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        put(f"{text} removed", value=ast.Constant(None))
    return found


def _is_text(node: ast.AST) -> bool:
    sides = (getattr(node, "left", None), getattr(node, "right", None), getattr(node, "value", None))
    return any(isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", None), str) for side in sides)


def imported(path: Path) -> set[str]:
    """The files of this checkout that a file imports, relative to the root."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {file for name in names if (ROOT / (file := f"{name.replace('.', '/')}.py")).is_file()}
    return found


def tests_of(paths: Iterable[str]) -> dict[str, tuple[list[str], list[str]]]:
    """The test files of each file: those that bear its name, and those that import it (or else import its users)."""
    imports = {
        str(path.relative_to(ROOT)): imported(path)
        for folder in ("core", "pages", "tests")
        for path in (ROOT / folder).rglob("*.py")
    }
    tests = {name for name in imports if Path(name).name.startswith("test_") and "/e2e/" not in name}
    found = {}
    for path in paths:
        named = {name for name in tests if Path(name).stem == f"test_{Path(path).stem}"}
        users = {name for name in tests if path in imports[name]}
        if not users | named:
            above = {name for name in imports if path in imports[name]}
            users = {name for name in tests if above & imports[name]}
        found[path] = (sorted(named), sorted(users - named))
    return found


def run_pytest(tests: list[str], folder: Path, limit: float, report: Path) -> tuple[str, float]:
    """Run test files in a fork: "passed", "failed", "late", or "none" where no test was left, and the seconds."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        status = 70
        with contextlib.suppress(BaseException), report.open("w", encoding="utf-8") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            os.chdir(folder)
            sys.path[:] = [str(folder), *(each for each in sys.path if each not in ("", str(ROOT)))]
            for name in [name for name in sys.modules if name.split(".")[0] in ("core", "pages", "tests")]:
                del sys.modules[name]  # this very module's package: the copy has one of its own
            # A busy machine makes nothing late: what counts is this process's own time.
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
            import pytest

            options = ["-x", "-q", "-p", "no:cacheprovider", "-m", TIER, f"--rootdir={folder}", "--no-header"]
            status = int(pytest.main([*options, *tests]))
            out.flush()
        os._exit(status)
    begun = time.monotonic()
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - begun > 20 * limit:  # asleep for ever
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, 9)
        time.sleep(0.05)
    seconds = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(status):
        return "late", seconds
    return {0: "passed", 5: "none"}.get(os.WEXITSTATUS(status), "failed"), seconds


def copied(folder: Path) -> Path:
    """A copy of what git knows and of what is new, without the history."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def _write(path: Path, text: str) -> None:
    """Without the bytecode of what was there: it is known by the second and the size of its source."""
    path.write_text(text, encoding="utf-8")
    Path(cache_from_source(path)).unlink(missing_ok=True)


class Judge:
    """A copy of the checkout in which files are changed and their tests run."""

    def __init__(self, folder: Path, paths: Iterable[str]) -> None:
        self.folder = copied(folder)
        self.tests = tests_of(paths)
        self._seconds: dict[str, float] = {}

    def _run(self, tests: list[str], limit: float) -> tuple[str, float]:
        return run_pytest(tests, self.folder, limit, self.folder / "report.txt")

    def seconds(self, test: str) -> float:
        """What a test file takes on the unchanged code; 0 where it cannot be asked."""
        if test not in self._seconds:
            verdict, seconds = self._run([test], 600)
            self._seconds[test] = seconds if verdict == "passed" else 0.0
            if verdict in ("failed", "late"):
                report = (self.folder / "report.txt").read_text("utf-8")
                print(f"left out, for it fails as it is: {test}\n{report[-1500:]}", file=sys.stderr)
        return self._seconds[test]

    def __call__(self, mutant: Mutant) -> str:
        """killed, late, survived, or untested."""
        target = self.folder / mutant.path
        before, changed = target.read_text(encoding="utf-8"), mutant.source
        asked = 0.0
        for tests in self.tests[mutant.path]:
            left: list[str] = []
            for test in tests:
                if (took := self.seconds(test)) and (not asked or asked + took < MOST_SECONDS):
                    left.append(test)
                    asked += took
            if not left:
                continue
            _write(target, changed)
            verdict, _ = self._run(left, 30 + 3 * asked)
            _write(target, before)
            if verdict in ("failed", "late"):
                return {"failed": "killed"}.get(verdict, verdict)
        return "survived" if asked else "untested"


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paths", nargs="*", default=PURE, help="files and folders; by default the pure packages")
    parser.add_argument("--sample", type=int, default=0, help="that many changes, drawn at random; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="print the changes and judge none")
    arguments = parser.parse_args(words)
    whole = [ROOT / path for path in arguments.paths]
    files = [file for path in whole for file in ([path] if path.is_file() else path.rglob("*.py"))]
    # What draws widgets is looked at by other tests: whole pages in the slow tier, and the browser.
    pure = sorted(file for file in files if "import streamlit" not in file.read_text(encoding="utf-8"))
    mutants = [mutant for file in pure for mutant in mutants_of(file)]
    total = len(mutants)
    if arguments.sample and arguments.sample < total:
        mutants = random.Random(arguments.seed).sample(mutants, arguments.sample)
    if arguments.list:
        print(*(f"{mutant.path}:{mutant.line}  {mutant.words}" for mutant in mutants), sep="\n")
        return 0
    os.environ["OMP_NUM_THREADS"] = "1"  # no thread may be there before a fork
    for name in IMPORTED_ONCE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    counts = dict.fromkeys(("killed", "late", "survived", "untested"), 0)
    with tempfile.TemporaryDirectory() as temporary:
        judge = Judge(Path(temporary).resolve(), {mutant.path for mutant in mutants})
        for mutant in mutants:
            verdict = judge(mutant)
            counts[verdict] += 1
            print(f"{verdict:9}{mutant.path}:{mutant.line}  {mutant.words}", flush=True)
    noticed = counts["killed"] + counts["late"]
    print(f"{noticed} of {len(mutants)} noticed ({noticed / max(len(mutants), 1):.0%}), of {total} possible: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
