"""How a pipeline's errors under two prompts differ along its schedule: a small file beside its weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ConfigError, CoreError
from core.files import write_json
from core.finite import require_finite

FILE = "denoising_differences.json"


@dataclass(frozen=True, kw_only=True)
class DifferenceCovariance:
    """How the difference of two prompts' errors varies with the time step, for one pipeline.

    Attributes:
        smooth: (stretches, stretches) K, between equal stretches of the schedule; what is the same at every sample.
        noise: (stretches,) v, of a single sample.
        learned: whether it is some pipeline's own; if not, all samples are taken to tell as much.
        source: on which images it was learned.
    """

    smooth: np.ndarray
    noise: np.ndarray
    learned: bool = True
    source: str = ""

    def __post_init__(self) -> None:
        require_finite("The covariance of the differences", self.smooth, "Learn it anew.")
        require_finite("The noise of the differences", self.noise, "Learn it anew.")
        stretches = len(self.noise)
        if self.smooth.shape != (stretches, stretches) or not stretches or not (self.noise > 0).all():
            raise ConfigError(
                f"A covariance {self.smooth.shape} and noise {self.noise.shape} of differences; expected a square and "
                "as many positive numbers.",
                "Learn it anew.",
            )


def write_covariance(path: Path, covariance: DifferenceCovariance) -> None:
    """As JSON, to be put beside a pipeline's `model_index.json`."""
    write_json(
        path,
        {
            "about": "How the squared noise error's difference between two prompts varies over equal stretches of the "
            "schedule: its covariance, and the variance of a single sample about it. See "
            "core/methods/diffusion/forecast.py.",
            "source": covariance.source,
            "smooth": [[float(f"{value:.4g}") for value in row] for row in covariance.smooth],
            "noise": [float(f"{value:.4g}") for value in covariance.noise],
        },
    )


def read_covariance(folder: Path) -> DifferenceCovariance | None:
    """What `write_covariance` left in the folder of a pipeline; None where there is nothing.

    Raises:
        CoreError: it cannot be read.
    """
    path = folder / FILE
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return DifferenceCovariance(
            smooth=np.array(values["smooth"], dtype=np.float64),
            noise=np.array(values["noise"], dtype=np.float64),
            source=str(values["source"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoreError(f"{path.name} cannot be read ({error}).", "Learn it anew, or delete it.") from error
