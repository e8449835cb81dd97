"""Numbers that are none: NaN compares as nothing and sorts anywhere, so that a method would answer all the same.

One rule at the edge of `core.methods`: what comes in, and what a network gives, must be finite; if not, the error names
it. The exception is `core.methods.precision.agreement`, where numbers that leave their range are what is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.errors import NotFiniteError

if TYPE_CHECKING:  # what is known of arrays must not wait for torch
    from torch import Tensor

WEIGHTS = "Check the model's weights, or compute in fp32."


def require_finite(name: str, values: np.ndarray | Tensor, remedy: str = WEIGHTS) -> None:
    """Raise unless all of `values` are finite numbers.

    Args:
        name: what they are, as a sentence begins: "The logits".

    Raises:
        NotFiniteError: some are NaN or infinite; says how many, and where the first one is.
    """
    # Of a tensor, a sum of finite numbers may not be finite: each is asked.
    finite = values.isfinite() if hasattr(values, "isfinite") else np.isfinite(values)
    if bool(finite.all()):
        return
    found = ~(finite.detach().cpu().numpy() if hasattr(finite, "detach") else finite)
    first = tuple(int(index) for index in np.argwhere(found)[0]) if found.ndim else ()
    raise NotFiniteError(
        f"{name} of shape {tuple(found.shape)}: {int(found.sum()):,} of {found.size:,} are not numbers "
        + "(NaN or infinite)"
        + (f", the first at {list(first)}." if first else "."),
        remedy,
    )
