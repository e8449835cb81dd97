"""The laws of the architecture: which way imports point, and what may be imported where."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = {
    "configs", "device", "errors", "extras", "files", "finite", "intervals", "json_files", "notebook", "paths",
    "precision_choice", "reports", "seeding", "shares", "timing",
}  # fmt: skip

# Which packages of `core` a package may import, besides itself and the top level.
MAY_IMPORT: dict[str, set[str]] = {
    "top": set(),
    "data": set(),
    "models": set(),
    "methods": {"data", "models"},
    "training": {"data", "models"},
    "experiments": {"data", "models", "methods", "training"},
    "runs": set(),
    "figures": {"methods", "training", "runs"},
    # What starts runs knows the recipes that they are of.
    "launch": {"data", "models", "methods", "training", "experiments", "runs"},
    # The command line reaches everything but the browser.
    "cli": {"data", "models", "methods", "training", "experiments", "runs", "launch", "figures"},
}

# Agreed exceptions, each with its reason.
EXCEPTIONS: dict[str, set[str]] = {
    # Normalisation belongs to a model as much as to its data.
    "core.models": {"core.data.transforms"},
    # An experiment writes into its run folder, which it holds for itself, and says there why it failed.
    "core.experiments": {
        "core.runs.store",
        "core.runs.status",
        "core.runs.owner",
        "core.runs.failures",
        "core.runs.studies",
        "core.runs.processes",  # which signals ask it to stop
    },
}
ENTRY_POINTS = {"core.__main__"}

# What lists things, beside every file called so.
CATALOGUES = ("core.launch.recipes", "core.methods.attention.explanations")
HEAVY = (
    "torch",
    "torchvision",
    "transformers",
    "timm",
    "open_clip",
    "diffusers",
    "umap",
    "optuna",
    "sklearn",
    "plotly",
)


def module_name(path: Path, root: Path = ROOT) -> str:
    """As it is imported."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(path: Path, root: Path = ROOT) -> tuple[str, ...]:
    """Every module that a file imports, also inside functions; `from a import b` counts as a.b where that is one."""
    return tuple(_imported(path, root))


def _imported(path: Path, root: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a thing lives"
            for alias in node.names:
                inner = root.joinpath(*(node.module or "").split("."), alias.name)
                is_module = inner.with_suffix(".py").is_file() or inner.is_dir()
                yield f"{node.module}.{alias.name}" if is_module else str(node.module)


def _package(module: str) -> str:
    """The row of the table that a module of `core` belongs to."""
    part = module.split(".")[1]
    return part if part in MAY_IMPORT else "top"


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def breach(importer: str, imported: str) -> str | None:
    """Why `importer` may not import `imported`, both modules of `core`; None if it may."""
    ours, theirs = _package(importer), _package(imported)
    allowed = theirs in (ours, "top") or theirs in MAY_IMPORT[ours] or importer in ENTRY_POINTS
    excepted = any(
        _is_within(importer, who) and _is_within(imported, what) for who, whats in EXCEPTIONS.items() for what in whats
    )
    return None if allowed or excepted else f"{importer} imports {imported}"


def _sources(folder: str = "core") -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_every_package_has_a_row_in_the_table():
    packages = {path.parent.name for path in (ROOT / "core").glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT) - {"top"}
    files = {path.stem for path in (ROOT / "core").glob("*.py")} - {"__init__", "__main__"}
    assert files == TOP


def test_imports_obey_the_table():
    breaches = [
        breach(module_name(path), imported)
        for path in _sources()
        for imported in imports(path)
        if imported.startswith("core.")
    ]
    assert [found for found in breaches if found] == []


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("core.methods.attention.rollout", "core.models.trace", True),
        ("core.methods.attention.rollout", "core.training.loop", False),
        ("core.models.vit", "core.data.transforms", True),
        ("core.models.vit", "core.data.arrays", False),
        ("core.data.arrays", "core.models.vit", False),
        ("core.errors", "core.models.vit", False),
        ("core.experiments.vit_scratch", "core.runs.store", True),
        ("core.experiments.vit_scratch", "core.launch.launcher", False),
        ("core.launch.queue", "core.experiments.catalogue", True),
        ("core.runs.store", "core.launch.queue", False),
        ("core.launch.worker", "core.experiments.catalogue", True),
        ("core.experiments.catalogue", "core.launch.sweep", False),
        ("core.figures.rollout", "core.launch.queue", False),
        ("core.cli.runs", "core.runs.store", True),
        ("core.runs.store", "core.cli.runs", False),
        ("core.__main__", "core.cli.main", True),
    ],
)
def test_the_table_is_read_as_meant(importer, imported, allowed):
    assert (breach(importer, imported) is None) == allowed


def _importers(library: str) -> set[str]:
    """Files of the app that import `library`, relative to the checkout."""
    paths = [*_sources(), *_sources("pages"), ROOT / "app.py"]
    return {
        str(path.relative_to(ROOT))
        for path in paths
        if path.is_file() and any(_is_within(name, library) for name in imports(path))
    }


def test_streamlit_stays_in_the_app():
    outside = {name for name in _importers("streamlit") if not name.startswith(("app.py", "pages/"))}
    assert outside == set()


def test_plotly_stays_in_figures_and_pages():
    outside = {name for name in _importers("plotly") if not name.startswith(("core/figures/", "pages/"))}
    assert outside == set()


def test_the_core_does_not_import_pages_or_the_app():
    for path in _sources():
        assert not [name for name in imports(path) if name.split(".")[0] in ("pages", "app", "tests")], path


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules of which each reaches each other one along the arrows (Tarjan's strong components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in arrows.get(module, ()):
            if other not in order:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            group = set(stack[stack.index(module) :])
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(group)

    for module in arrows:
        if module not in order:
            visit(module)
    return found


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [{"a", "b", "c"}]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_imports_go_in_no_circle():
    files = {module_name(path): path for path in [*_sources(), *_sources("pages")]}
    arrows = {module: {each for each in imports(path) if each in files} for module, path in files.items()}
    assert circles(arrows) == []


def test_pages_do_not_import_each_other():
    shared = {"shared", "components", "navigation"}
    breaches = []
    for path in _sources("pages"):
        own = path.relative_to(ROOT).parts[1].removesuffix(".py")
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "pages" and len(parts) > 1 and parts[1] not in {own, *shared} and own != "navigation":
                breaches.append(f"{path.relative_to(ROOT)} imports {name}")
    assert breaches == []


@pytest.mark.slow
def test_the_library_needs_no_streamlit():
    code = (
        "import importlib, pathlib, sys\n"
        "sys.modules['streamlit'] = None\n"
        "for path in sorted(pathlib.Path('core').rglob('*.py')):\n"
        "    if path.name != '__main__.py':\n"
        "        importlib.import_module('.'.join(path.with_suffix('').parts).removesuffix('.__init__'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_importing_the_catalogues_loads_nothing_heavy():
    """In one process: what none of them loads, each does not."""
    catalogues = {*CATALOGUES, *(module_name(path) for path in _sources() if path.name == "catalogue.py")}
    assert len(catalogues) >= 5
    code = f"import sys, {', '.join(sorted(catalogues))}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_init_files_are_empty():
    assert [
        str(path) for path in _sources() if path.name == "__init__.py" and path.read_text(encoding="utf-8").strip()
    ] == []


def test_there_is_one_word_for_progress():
    """A callback is `core.reports.OnProgress`: no file has a name of its own for it, and none a default of its own."""
    told = "Callable[[float, str], None]"
    files = [path for path in [*_sources(), *_sources("pages")] if path != ROOT / "core" / "reports.py"]
    strays = [str(path.relative_to(ROOT)) for path in files if told in path.read_text(encoding="utf-8")]
    assert strays == []


def test_no_page_ends_the_whole_script() -> None:
    """`st.stop` would leave out what stands at the end of every page, without which grey bars stay for ever."""
    stopping = [path for path in (ROOT / "pages").rglob("*.py") if "st.stop()" in path.read_text(encoding="utf-8")]
    assert not stopping, "Raise PageEnd of pages/shared/errors.py."


@pytest.mark.slow
def test_opening_a_page_loads_nothing_that_only_some_choices_need():
    """What the pages import besides themselves, in one process: what all of them do not load, none does."""
    modules = {name for path in _sources("pages") if path.name == "page.py" for name in imports(path)}
    found = sorted(name for name in modules if name.startswith(("core.", "pages.")))
    rare = ("transformers", "timm", "open_clip", "diffusers", "umap", "numba", "optuna", "sklearn", "onnx")
    code = f"import sys, {', '.join(found)}; print([name for name in {rare!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


# Charts that grow while they are looked at have their table below them, once they are whole.
GROWING = {"pages/diffusion/diffusion_classifier_panel.py", "pages/style/page.py"}


def test_every_chart_has_its_table() -> None:
    """Who draws a chart by `show_chart` of pages/shared/charts.py gets the table of its numbers with it."""
    bare = set()
    for path in _sources("pages"):
        name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        if ".plotly_chart(" not in text or name == "pages/shared/charts.py":
            continue
        if name in GROWING:
            assert text.count(".plotly_chart(") == text.count("chart_table("), name
        else:
            bare.add(name)
    assert not bare, "Draw it with `show_chart`."


def test_the_open_tab_is_in_the_address() -> None:
    seen = 0
    for path in _sources("pages"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "tabs":
                seen += 1
                said = {keyword.arg for keyword in node.keywords}
                assert {"key", "bind", "on_change"} <= said, f"{path}, line {node.lineno}"
    assert seen


def test_headings_leave_out_no_level() -> None:
    """A page's title is of the third level, and what it found of the fourth."""
    assert [str(path) for path in _sources("pages") if "##### " in path.read_text(encoding="utf-8")] == []
