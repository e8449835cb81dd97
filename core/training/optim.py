"""Which parameter is updated by what: AdamW, or Muon for the matrices inside blocks; and the learning rate's course.

Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks", which also takes the filters of a
convolution as the rows of a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from core.device import Precision
from core.errors import ConfigError
from core.training.muon import StackedMuon

OptimizerName = Literal["adamw", "muon"]


def schedule(step: int, steps: int, warmup_share: float) -> float:
    """The learning rate's share of its peak at `step`: linear warm-up, then half a cosine down to 0."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def build_optimizer(
    model: nn.Module,
    name: OptimizerName,
    learning_rate: float,
    weight_decay: float,
    rate_shares: Mapping[str, float] | None = None,
    precision: Precision = "fp32",
) -> Optimizer:
    """An optimizer of all trainable parameters of `model`.

    Only true matrices are decayed: the weights of linear and convolutional layers. Biases, norms, the class token and
    position tables are not, because pulling those towards 0 is no preference for simpler functions.

    Args:
        name: "muon" takes the matrices and filters inside blocks (`blocks.` in their name), at the scale at which
            AdamW's rate and weight decay fit (`match_rms_adamw`); AdamW takes the rest.
        rate_shares: factors of the learning rate by name of the parameter, such as a lower one for what was trained
            before; 1 where none is given. A group of the optimizer keeps its factor as "share".
        precision: of the training: Muon orthogonalises in bf16 unless it is fp32 on a CPU.

    Raises:
        ConfigError: nothing can be trained, or Muon is asked for and the model has no blocks.
    """
    trainable = [(key, parameter) for key, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise ConfigError("Every parameter of the model is frozen.", "Leave at least the head trainable.")
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    matrices = {
        key: parameter
        for key, parameter in trainable
        if parameter.ndim >= 2 and key.endswith("weight") and id(parameter) not in tables
    }
    hidden = {
        key: parameter
        for key, parameter in matrices.items()
        if name == "muon" and "blocks." in key and parameter.ndim in (2, 4)
    }
    if name == "muon" and not hidden:
        raise ConfigError("Muon is for the matrices inside blocks and this model has none.", "Set optimizer=adamw.")
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for key, parameter in [*matrices.items(), *((key, each) for key, each in trainable if key not in matrices)]:
        if key not in hidden:
            kind = (weight_decay if key in matrices else 0.0, (rate_shares or {}).get(key, 1.0))
            group = groups.setdefault(kind, {"params": [], "weight_decay": kind[0], "share": kind[1]})
            group["params"].append(parameter)
    adamw = AdamW(list(groups.values()), lr=learning_rate, fused=True)
    if not hidden:
        return adamw
    on_cpu = next(iter(hidden.values())).device.type == "cpu"
    settings: dict[str, Any] = {
        "lr": learning_rate,
        "weight_decay": weight_decay,
        "adjust_lr_fn": "match_rms_adamw",
        "iteration_dtype": torch.float32 if on_cpu and precision == "fp32" else torch.bfloat16,
    }
    flat = [each for each in hidden.values() if each.ndim == 2]
    filters = [each for each in hidden.values() if each.ndim == 4]
    parts: list[Optimizer] = [StackedMuon(flat, **settings)] if flat else []
    return Together(*parts, *([FilterMuon(filters, **settings)] if filters else []), adamw)


class FilterMuon(StackedMuon):
    """Muon for weights of convolutions: (filters, channels, height, width) as (filters, channels · height · width)."""

    def __init__(self, filters: Sequence[nn.Parameter], **settings: Any) -> None:
        """`filters` must stay where they are in memory: the matrices that are updated are views of them."""
        self._filters = list(filters)
        matrices = [each.detach().flatten(1).requires_grad_() for each in filters]
        super().__init__(matrices, **settings)
        for each, matrix in zip(filters, matrices, strict=True):
            # As soon as there is a gradient, so that a gradient scaler finds it too; both share its memory.
            each.register_post_accumulate_grad_hook(partial(_share_gradient, matrix))

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        matrices = [matrix for group in self.param_groups for matrix in group["params"]]
        for each, matrix in zip(self._filters, matrices, strict=True):
            if matrix.data_ptr() != each.data_ptr():
                raise RuntimeError("The weights of a convolution were moved after its optimizer was built.")
            # Again, for a gradient that was replaced meanwhile.
            matrix.grad = None if each.grad is None else each.grad.flatten(1)
        super().step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for each in self._filters:
            each.grad = None


def _share_gradient(matrix: torch.Tensor, filters: torch.Tensor) -> None:
    matrix.grad = None if filters.grad is None else filters.grad.flatten(1)


class Together(Optimizer):
    """Several optimizers that step as one, so that a gradient scaler and a checkpoint see only one."""

    def __init__(self, *parts: Optimizer) -> None:
        # Not `super().__init__`: groups and state stay with the parts, which replace them when a checkpoint is loaded.
        self.parts = parts
        self.defaults: dict[str, Any] = {}

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of all parts, first part first."""
        return [group for part in self.parts for group in part.param_groups]

    @property
    def state(self) -> dict[torch.Tensor, Any]:  # type: ignore[override]
        """What all parts remember, by parameter."""
        return {parameter: kept for part in self.parts for parameter, kept in part.state.items()}

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, kept in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(kept)


def trainable_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of `model` that ask for a gradient."""
    return (parameter for parameter in model.parameters() if parameter.requires_grad)
