"""Finds text that reaches Markdown without being taken literally: a small taint analysis over `pages/`.

Streamlit's functions that take Markdown are sinks. What goes into one must be written in the source, a number (a format
such as `:,` or `:.1%` says so), or have gone through `plain` or `code` of `pages/shared/foreign.py`. A parameter may go
in too: then its function is a sink for it, and so on. A call is as safe as what the function called returns; functions
are told apart by their names: the one of the same file, else all of one name together.

Where that cannot see what a reader can, the line says so: `# ours: why`.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Which arguments are Markdown, by place and by name. `help` is Markdown wherever it is.
_LABEL: tuple[int | str, ...] = (0, "label")
_OPTIONS = (*_LABEL, 1, "options", "format_func")
SINKS: dict[str, tuple[int | str, ...]] = {
    **dict.fromkeys(("markdown", "caption", "info", "warning", "error", "success", "toast", "badge"), (0, "body")),
    **dict.fromkeys(("header", "subheader"), (0, "body")),
    **dict.fromkeys(
        ("button", "download_button", "link_button", "form_submit_button", "page_link", "checkbox", "toggle", "slider",
         "select_slider", "number_input", "text_input", "text_area", "file_uploader", "camera_input", "expander",
         "popover", "status", "dialog", "selectbox", "multiselect", "spinner"),
        (*_LABEL, "text"),
    ),
    **dict.fromkeys(("radio", "pills", "segmented_control"), _OPTIONS),
    "tabs": (0, "tabs"),
    "metric": (*_LABEL, 1, "value", 2, "delta"),
    "progress": (1, "text"),
    "image": (1, "caption"),
}  # fmt: skip
# `page_link` of pages/shared/layout.py and Streamlit's own have their label elsewhere.
SINKS["page_link"] = (1, "label")
# Numbers and dates in words, and what takes text literally.
SAFE = frozenset(
    {
        "plain",
        "code",
        "len",
        "int",
        "round",
        "abs",
        "sum",
        "roughly",
        "as_duration",
        "age",
        "min",
        "max",
        "colour_of",
        # of core/shares.py: numbers, with nouns that are written where they are called
        "counted",
        "share",
        "share_of",
        "interval_words",
        "difference_words",
    }
)
# Written in the source although they arrive as values: fields of configs, rows of catalogues that nobody adds to.
OURS = frozenset(
    {"entry.label", "recipe.summary", "recipe.title", "method.title", "method.summary", "condition.title",
     "condition.unit", "importance.missing", "importance.method", "entry.metadata.get('help')"}
)  # fmt: skip
_PASSING = frozenset(
    {"join", "strip", "format", "lower", "capitalize", "upper", "removesuffix", "replace", "get", "str"}
)
_NUMBER_FORMATS = tuple("dfeg%n,")


@dataclass
class Function:
    """One function: where it is, what it returns, and what its names were assigned."""

    module: str
    node: ast.FunctionDef | ast.Lambda | ast.Module
    parameters: list[str]
    assigned: dict[str, list[ast.expr]] = field(default_factory=lambda: defaultdict(list))
    returns: list[ast.expr] = field(default_factory=list)
    outer: Function | None = None
    is_method: bool = False


class Lint:
    """All modules together, since text goes from one to another."""

    def __init__(self, files: list[Path], root: Path) -> None:
        self.functions: dict[str, list[Function]] = defaultdict(list)
        self.calls: list[tuple[Function, ast.Call]] = []
        self.constants: dict[str, list[ast.expr]] = defaultdict(list)
        self.sinks: dict[str, set[str]] = defaultdict(set)  # function → parameters that reach Markdown
        self._asking: set[int] = set()
        self._pending: set[tuple[str, str]] = set()
        self._lines: dict[str, list[str]] = {}
        for file in files:
            module, text = file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")
            self._lines[module] = text.splitlines()
            self._visit(tree := ast.parse(text), Function(module, tree, []))

    def findings(self) -> list[str]:
        """`file:line: expression` of everything that is not known to be safe, sorted."""
        found: set[str] = set()
        before = -1
        while before != sum(map(len, self.sinks.values())):
            before = sum(map(len, self.sinks.values()))
            found = {
                f"{function.module}:{expression.lineno}: {ast.unparse(expression)[:110]}"
                for function, call in self.calls
                for expression in self._markdown(call, function)
                if not self._settles(expression, function)
                and "# ours: " not in self._lines[function.module][expression.lineno - 1]
            }
        return sorted(found)

    def _settles(self, expression: ast.expr, function: Function) -> bool:
        """Whether it is safe; only then the parameters in it become sinks."""
        self._pending.clear()
        if not self.is_safe(expression, function):
            return False
        for name, parameter in self._pending:
            self.sinks[name].add(parameter)
        return True

    def is_safe(self, node: ast.expr, function: Function) -> bool:
        """Whether nothing foreign is in the value, as far as can be told; parameters become sinks."""
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.JoinedStr):
            return all(self._is_safe_part(part, function) for part in node.values)
        if isinstance(node, ast.BinOp):
            return self.is_safe(node.left, function) and self.is_safe(node.right, function)
        if isinstance(node, ast.BoolOp):
            return all(self.is_safe(each, function) for each in node.values)
        if isinstance(node, ast.IfExp):
            return self.is_safe(node.body, function) and self.is_safe(node.orelse, function)
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return all(self.is_safe(each, function) for each in node.elts)
        if isinstance(node, ast.Dict):
            return all(self.is_safe(each, function) for each in node.values)
        if isinstance(node, ast.DictComp):
            return self.is_safe(node.value, function)
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp):
            return self.is_safe(node.elt, function)
        if isinstance(node, ast.Starred | ast.NamedExpr | ast.UnaryOp | ast.FormattedValue | ast.Subscript):
            return self.is_safe(getattr(node, "value", getattr(node, "operand", None)), function)  # type: ignore[arg-type]
        if isinstance(node, ast.Lambda):
            return self.is_safe(node.body, Function(function.module, node, [], outer=function))
        if isinstance(node, ast.Compare):
            return True
        if isinstance(node, ast.Call):
            return self._is_safe_call(node, function)
        if isinstance(node, ast.Attribute):
            # `NAMES.__getitem__` as a format; `KINDS[...].title` of a constant of the source.
            return (
                ast.unparse(node) in OURS
                or self._is_constant(node.value)
                or (node.attr in ("__getitem__", "get") and self.is_safe(node.value, function))
            )
        return isinstance(node, ast.Name) and self._is_safe_name(node.id, function)

    def _is_constant(self, node: ast.expr) -> bool:
        while isinstance(node, ast.Subscript | ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id.isupper() and node.id not in ("MODELS",)

    def _is_safe_part(self, part: ast.expr, function: Function) -> bool:
        if isinstance(part, ast.Constant):
            return True
        assert isinstance(part, ast.FormattedValue)
        if part.format_spec is not None:
            written = [each.value for each in ast.walk(part.format_spec) if isinstance(each, ast.Constant)]
            if written and str(written[-1]).endswith(_NUMBER_FORMATS):
                return True
        return part.conversion == -1 and self.is_safe(part.value, function)

    def _is_safe_call(self, node: ast.Call, function: Function) -> bool:
        name = _name(node.func)
        arguments = [*node.args, *(each.value for each in node.keywords)]
        if name in SAFE or ast.unparse(node) in OURS:
            return True
        if name in _PASSING:
            base = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            return all(self.is_safe(each, function) for each in (*base, *arguments))
        if name == "map" and node.args and _name(node.args[0]) in SAFE | set(self.functions):
            return _name(node.args[0]) in SAFE or self._returns_safely(_name(node.args[0]), function)
        if name in ("sorted", "list", "tuple") and len(node.args) == 1 and isinstance(node.args[0], ast.Name):
            return self._is_safe_name(node.args[0].id, function, keys=True)
        if name in ("sorted", "list", "tuple", "reversed", "filter", "dict"):
            return all(self.is_safe(each, function) for each in arguments if not _is_none(each))
        return name in self.functions and self._returns_safely(name, function, bare=isinstance(node.func, ast.Name))

    def _meant(self, name: str, caller: Function, *, bare: bool = False) -> list[Function]:
        """The functions that a name may mean: those of the caller's file, else of any."""
        known = [each for each in self.functions.get(name, []) if not (bare and each.is_method)]
        return [each for each in known if each.module == caller.module] or known

    def _returns_safely(self, name: str, caller: Function, *, bare: bool = False) -> bool:
        """Whether every function of that name returns only safe text, given what it is called with."""
        for each in self._meant(name, caller, bare=bare):
            if id(each) in self._asking:
                continue  # a recursion adds nothing
            self._asking.add(id(each))
            try:
                if not all(self.is_safe(value, each) for value in each.returns):
                    return False
            finally:
                self._asking.discard(id(each))
        return True

    def _is_safe_name(self, name: str, function: Function, *, keys: bool = False) -> bool:
        """Whether all that the name was given is safe; `keys`: of a dictionary only those."""
        place: Function | None = function
        while place is not None:
            if name in place.assigned:
                if (key := hash((id(place), name))) in self._asking:
                    return True
                self._asking.add(key)
                try:
                    return all(self._is_safe_value(value, place, keys) for value in place.assigned[name])
                finally:
                    self._asking.discard(key)
            if name in place.parameters:
                if isinstance(place.node, ast.FunctionDef):
                    self._pending.add((place.node.name, name))
                    return True
                return False
            place = place.outer
        return name.isupper()

    def _is_safe_value(self, value: ast.expr, function: Function, keys: bool) -> bool:
        if keys and isinstance(value, ast.Dict):
            return all(each is not None and self.is_safe(each, function) for each in value.keys)
        if keys and isinstance(value, ast.DictComp):
            return True  # of numbers and catalogue names, since a foreign key would have been escaped where it is shown
        return self.is_safe(value, function)

    def _markdown(self, call: ast.Call, function: Function) -> Iterator[ast.expr]:
        """The arguments of a call that are Markdown."""
        name = _name(call.func)
        wanted: set[int | str] = set(SINKS.get(name, ())) if _is_of_streamlit(call) else set()
        if any(keyword.arg == "format_func" for keyword in call.keywords) and name in (
            "pills",
            "segmented_control",
            "radio",
        ):
            wanted -= {1, "options"}  # what is shown of them is what the function says
        for each in self._meant(name, function):
            if isinstance(each.node, ast.FunctionDef):
                for parameter in self.sinks.get(name, ()):
                    if parameter in each.parameters:
                        wanted |= {parameter, each.parameters.index(parameter)}
        for place, argument in enumerate(call.args):
            if place in wanted:
                yield argument
        for keyword in call.keywords:
            if keyword.arg in wanted or (keyword.arg == "help" and _is_of_streamlit(call)):
                yield keyword.value

    def _visit(self, node: ast.AST, function: Function) -> None:
        for child in ast.iter_child_nodes(node):
            inner = function
            if isinstance(child, ast.FunctionDef):
                names = [each.arg for each in (*child.args.posonlyargs, *child.args.args, *child.args.kwonlyargs)]
                is_method = bool(names) and names[0] in ("self", "cls")
                inner = Function(
                    function.module, child, names[1:] if is_method else names, outer=function, is_method=is_method
                )
                self.functions[child.name].append(inner)
            elif isinstance(child, ast.Assign):
                for target in child.targets:
                    _assign(function, target, child.value)
            elif isinstance(child, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and child.value is not None:
                _assign(function, child.target, child.value)
            elif isinstance(child, ast.For | ast.comprehension):
                _assign(function, child.target, child.iter)
            elif isinstance(child, ast.Return) and child.value is not None:
                function.returns.append(child.value)
            elif isinstance(child, ast.Call):
                self.calls.append((function, child))
                _grow(function, child)
            self._visit(child, inner)


def _assign(function: Function, target: ast.expr, value: ast.expr) -> None:
    if isinstance(target, ast.Name):
        function.assigned[target.id].append(value)
    elif isinstance(target, ast.Tuple | ast.List):
        pairs = value.elts if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts) else None
        for place, each in enumerate(target.elts):
            _assign(function, each, pairs[place] if pairs else value)


def _grow(function: Function, call: ast.Call) -> None:
    """`parts.append(text)` puts text into `parts`."""
    place = call.func
    if not isinstance(place, ast.Attribute) or place.attr not in ("append", "extend", "insert") or not call.args:
        return
    if isinstance(place.value, ast.Name):
        function.assigned[place.value.id].append(call.args[-1])


def _is_of_streamlit(call: ast.Call) -> bool:
    """`st.caption`, `left.caption`, and `show` where that is one of them; not a method that only shares a name."""
    return isinstance(call.func, ast.Attribute) and not (
        isinstance(call.func.value, ast.Name) and call.func.value.id in ("self", "file", "figure", "logging")
    )


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def lint(root: Path) -> list[str]:
    """Findings in the pages and the UI of the checkout at `root`."""
    files = sorted((root / "pages").rglob("*.py"))
    return Lint(files, root).findings()
