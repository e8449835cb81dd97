"""A device called "standin" that computes on the CPU and behaves as a GPU does: what lives there and what lives here
cannot meet in one operation, and nothing on it becomes a NumPy array without being fetched.

Tests of placement use it on machines without a GPU, in a process of their own: `register()`, then
`VITRINE_DEVICE=standin` or `torch.device("standin")`. Results are those of the CPU, so they can be compared.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

NAME = "standin"
_libraries: list[torch.library.Library] = []
_aten = torch.ops.aten
# Copies are how a tensor crosses over; indices may lie on the CPU, as on a real GPU.
_CROSSING = {_aten.copy_.default, _aten._to_copy.default, _aten._copy_from.default}
_CPU_INDICES = {_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default, _aten._index_put_impl_.default}


class StandIn(torch.Tensor):
    """A tensor whose values are those of `value`, on the CPU, while its device says otherwise."""

    value: torch.Tensor

    @staticmethod
    def __new__(cls, value: torch.Tensor) -> StandIn:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            value.shape,
            strides=value.stride(),
            storage_offset=value.storage_offset(),
            dtype=value.dtype,
            device=torch.device(NAME, 0),
        )
        made.value = value
        return made

    def __repr__(self, **_: Any) -> str:
        return f"StandIn({self.value!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        if id(self) in memo:
            return memo[id(self)]
        copied: torch.Tensor = StandIn(self.value.detach().clone()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, requires_grad=self.requires_grad)
        memo[id(self)] = copied
        return copied

    def tolist(self) -> Any:
        """Fetched, as from any device."""
        return self.value.tolist()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation: checked as a GPU checks it, computed on the CPU."""
    if function in (
        _aten._to_copy.default,
        _aten.empty_like.default,
        _aten.zeros_like.default,
        _aten.ones_like.default,
    ):
        return _convert(function, args, kwargs)
    if function is _aten._fused_sdp_choice.default:
        return 0  # the plain implementation, which every device has
    _check(function, args, kwargs)
    flat, tree = tree_flatten((args, kwargs))
    there = function not in _CROSSING or isinstance(args[0], StandIn)
    plain_args, plain_kwargs = tree_unflatten([_inside(each) for each in flat], tree)
    wants = kwargs.get("device")
    if wants is not None:
        there = torch.device(wants).type == NAME
        plain_kwargs = {**plain_kwargs, "device": torch.device("cpu")}
    if function is _aten.record_stream.default:
        return None
    result = function(*plain_args, **plain_kwargs)
    # An operation in place gives back the tensor that was handed in.
    known = {id(each.value): each for each in flat if isinstance(each, StandIn)}
    return tree_map(lambda each: _outside(each, known) if there else each, result)


def _convert(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    wants = kwargs.get("device")
    target = args[0].device if wants is None else torch.device(wants)
    result = function(_inside(args[0]), *args[1:], **{**kwargs, "device": torch.device("cpu"), "pin_memory": False})
    return StandIn(result) if target.type == NAME else result


def _check(function: Any, args: Any, kwargs: dict[str, Any]) -> None:
    tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
    if function in _CROSSING or not any(isinstance(each, StandIn) for each in tensors):
        return
    strangers = [each for each in tensors if not isinstance(each, StandIn) and each.ndim > 0]
    if function in _CPU_INDICES and isinstance(args[0], StandIn):
        values = [args[2]] if len(args) > 2 else []
        strangers = [each for each in values if not isinstance(each, StandIn) and each.ndim > 0]
    if strangers:
        raise RuntimeError(f"Expected all tensors to be on the same device, found {NAME} and cpu in {function}.")


def _inside(each: Any) -> Any:
    if isinstance(each, StandIn):
        return each.value
    return torch.device("cpu") if isinstance(each, torch.device) and each.type == NAME else each


def _outside(each: Any, known: dict[int, StandIn]) -> Any:
    if not isinstance(each, torch.Tensor):
        return each
    return known[id(each)] if id(each) in known else StandIn(each)


class _Module:
    """What `torch.standin` answers."""

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def is_initialized() -> bool:
        return True

    @staticmethod
    def _is_in_bad_fork() -> bool:
        return False

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def manual_seed_all(seed: int) -> None:
        """It has no generator of its own."""

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    @staticmethod
    def synchronize(device: object = None) -> None:
        """Everything is done at once."""


def register() -> torch.device:
    """Make the device known to this process, once, and return it."""
    if not _libraries:
        from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

        _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
        library = torch.library.Library("aten", "IMPL")
        for name, operation in _factories():
            library.impl(name, _factory(operation), "PrivateUse1")
        library.impl("_copy_from", _copy_from, "PrivateUse1")
        # Mixed precision is accepted and changes nothing.
        mixed = torch.library.Library("_", "IMPL")
        mixed.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
        _libraries.extend((library, mixed))
        _plain_inference_mode()
        # Else a module that changes its format keeps the values that it had.
        torch.__future__.set_overwrite_module_params_on_conversion(True)
    return torch.device(NAME)


def _plain_inference_mode() -> None:
    """Let `inference_mode` do what `no_grad` does: tensors of Python classes cannot be its tensors."""

    def enter(self: Any) -> None:
        self._before = torch.is_grad_enabled()
        torch.set_grad_enabled(not self.mode and self._before)

    def leave(self: Any, *_: object) -> None:
        torch.set_grad_enabled(self._before)

    torch.inference_mode.__enter__ = enter  # type: ignore[method-assign]
    torch.inference_mode.__exit__ = leave  # type: ignore[method-assign]


def _factories() -> list[tuple[str, Any]]:
    """Every operation that makes a tensor out of none."""
    found = []
    for whole in torch._C._dispatch_get_all_op_names():
        name, _, overload = whole.removeprefix("aten::").partition(".")
        if not whole.startswith("aten::") or "out" in overload or name.startswith(("_pin", "_cudnn")):
            continue
        operation = getattr(getattr(_aten, name, None), overload or "default", None)
        if operation is None:
            continue
        schema = operation._schema
        makes = any(each.name == "device" for each in schema.arguments)
        takes = any("Tensor" in str(each.type) for each in schema.arguments)
        if makes and not takes and len(schema.returns) == 1 and "Tensor" in str(schema.returns[0].type):
            found.append((whole.removeprefix("aten::"), operation))
    return found


def _factory(operation: Any) -> Any:
    def make(*args: Any, **kwargs: Any) -> torch.Tensor:
        return StandIn(operation(*args, **{**kwargs, "device": torch.device("cpu"), "pin_memory": False}))

    return make


def _copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _inside(target).copy_(_inside(source))
    return target
