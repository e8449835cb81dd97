"""PyTorch without its compiler: nothing here compiles, and it takes 150 MiB and 1.3 s of a processor to import.

torchvision, timm, diffusers and transformers import it all the same, to mark functions for it, and to ask what it alone
could have made. A stand-in notes the marks and answers that nothing was compiled. Whoever asks it for more gets the
compiler itself, with these marks: `torch.compile` works as ever.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
_MARKS = ("disable", "allow_in_graph", "assume_constant_result")


class _StandIn(ModuleType):
    """One of the compiler's modules, with what is `known` of it; for all else the compiler is imported."""

    def __init__(self, name: str, **known: object) -> None:
        super().__init__(name)
        vars(self).update(known)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_compiler(self.__name__), name)


class _Finder(MetaPathFinder, Loader):
    """Imports the compiler where one of its modules is asked for that has no stand-in."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith(f"{COMPILER}.") or not isinstance(sys.modules.get(COMPILER), _StandIn):
            return None
        _compiler()
        return ModuleSpec(name, self) if name in sys.modules else importlib.util.find_spec(name)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = sys.modules[spec.name]
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state  # it has been executed, and keeps its own


class _NeverCompiled:
    """What the compiler makes of a module: there is none yet."""


_noted: list[tuple[str, Callable[..., Any]]] = []
_lock = threading.RLock()


def leave_out_compiler() -> None:
    """Before anything imports the compiler; where it is there already nothing is done."""
    import torch

    with _lock:
        if COMPILER in sys.modules:
            return
        torch.compiler.disable = partial(_mark, "disable")  # of all marks the one that torch has for others
        stand_ins = (
            _StandIn(COMPILER, __path__=[], **{each: partial(_mark, each) for each in _MARKS}),
            _StandIn(f"{COMPILER}.utils", is_compile_supported=partial(_call, "utils", "is_compile_supported")),
            _StandIn(f"{COMPILER}.eval_frame", OptimizedModule=_NeverCompiled),
            _StandIn(
                f"{COMPILER}._trace_wrapped_higher_order_op",
                TransformGetItemToIndex=partial(_call, "_trace_wrapped_higher_order_op", "TransformGetItemToIndex"),
            ),
        )
        for each in stand_ins[1:]:
            setattr(stand_ins[0], each.__name__.rpartition(".")[2], each)
        sys.modules |= {each.__name__: each for each in stand_ins}
        sys.meta_path.insert(0, _Finder())


def _mark(mark: str, fn: Callable[..., Any] | None = None, recursive: bool = True, **options: Any) -> Any:
    """What the compiler's decorators do while nothing compiles: they return what they got."""
    if mark == "disable":
        options["recursive"] = recursive
    if fn is None:
        return partial(_mark, mark, **options)
    if not isinstance(sys.modules.get(COMPILER), _StandIn):
        return getattr(_compiler(), mark)(fn, **options)
    # `disable` wraps a function; its code is all that can be marked of one that others hold already.
    _noted.append(("skip" if mark == "disable" else mark, fn))
    return fn


def _call(module: str, name: str, *args: Any) -> Any:
    return getattr(_compiler(f"{COMPILER}.{module}"), name)(*args)


def _compiler(name: str = COMPILER) -> ModuleType:
    """One of the compiler's own modules, with what was marked for it meanwhile."""
    with _lock:
        if isinstance(sys.modules.get(COMPILER), _StandIn):
            for each in [each for each in sys.modules if each == COMPILER or each.startswith(f"{COMPILER}.")]:
                del sys.modules[each]
            compiler = importlib.import_module(COMPILER)
            for mark, fn in _noted:
                getattr(compiler.decorators, mark)(fn)
            _noted.clear()
        return importlib.import_module(name)
