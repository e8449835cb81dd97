"""How far a measured proportion can be trusted."""

from __future__ import annotations

import math


def wilson_interval(correct: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927), sensible at 0 and 1 too; 95 % by default."""
    if count == 0:
        return 0.0, 1.0
    share, spread = correct / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    # Rounding must not push the ends out of [0, 1].
    return max(0.0, centre - half), min(1.0, centre + half)
