"""Numbers that are none: NaN compares as nothing and sorts anywhere, so that a method would answer all the same.

One rule at the edge of `core.methods`: what comes in, and what a network gives, must be finite; if not, the error names
it. The exception is `core.methods.precision.agreement`, where numbers that leave their range are what is measured.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.errors import NotFiniteError

WEIGHTS = "Check the model's weights, or compute in fp32."


def require_finite(name: str, values: np.ndarray | Tensor, remedy: str = WEIGHTS) -> None:
    """Raise unless all of `values` are finite numbers.

    Args:
        name: what they are, as a sentence begins: "The logits".

    Raises:
        NotFiniteError: some are NaN or infinite; says how many, and where the first one is.
    """
    finite = torch.isfinite(values) if isinstance(values, Tensor) else np.isfinite(values)
    if bool(finite.all()):
        return
    found = ~(finite.detach().cpu().numpy() if isinstance(finite, Tensor) else finite)
    first = tuple(int(index) for index in np.argwhere(found)[0]) if found.ndim else ()
    raise NotFiniteError(
        f"{name} of shape {tuple(found.shape)}: {int(found.sum()):,} of {found.size:,} are not numbers "
        + "(NaN or infinite)"
        + (f", the first at {list(first)}." if first else "."),
        remedy,
    )
