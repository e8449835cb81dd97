"""What `benchmarks/mixers.py` measured on the six trained mixers, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from core.errors import CoreError
from core.json_files import read_json
from core.models.mixer import OPERATOR_TITLES, OperatorName


@dataclass(frozen=True, kw_only=True)
class MixerResult:
    """One operator as a token mixer.

    Attributes:
        accuracy: mean over seeds, in [0, 1].
        interval: 95 %, of the mean over seeds; of one seed over its images.
        seeds: how many.
        images: of the split that was read, by each seed.
        split: "test", or "val" where the test split was left alone.
        multiply_adds: of one image, products of matrices and of single numbers.
        images_per_second: forward, at `batch` images.
        field_share: of all pixels, the fewest that hold 90 % of the gradient of the centre patch; mean over seeds.
        reach_share: of all pixels, those that the definition allows to be read.
    """

    operator: OperatorName
    accuracy: float
    interval: tuple[float, float]
    seeds: int
    images: int
    split: str
    parameters: int
    multiply_adds: int
    images_per_second: float
    batch: int
    field_share: float
    reach_share: float

    @property
    def title(self) -> str:
        """As people read it."""
        return OPERATOR_TITLES[self.operator]


@dataclass(frozen=True, kw_only=True)
class MixerResults:
    """The table, and how it came to be."""

    rows: tuple[MixerResult, ...]
    command: str
    date: str
    device: str


def read_mixer_results(path: Path) -> MixerResults | None:
    """The table in a result file; None where there is none yet.

    Raises:
        CoreError: the file is damaged, or of another form.
    """
    if not path.is_file():
        return None
    try:
        values = cast(dict[str, Any], read_json(path))
        return MixerResults(
            rows=tuple(_row(cast(OperatorName, name), row) for name, row in values["operators"].items()),
            command=str(values["command"]),
            date=str(values["date"]),
            device=str(values["machine"]["device"]),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise CoreError(
            f"{path.name} is not what benchmarks/mixers.py writes ({type(error).__name__}: {error}).",
            "Measure again: python -m benchmarks.mixers",
        ) from error


def _row(operator: OperatorName, values: Mapping[str, Any]) -> MixerResult:
    if operator not in OPERATOR_TITLES:
        raise ValueError(f"there is no operator {operator!r}")
    seeds, split = values["seeds"], values["split"]
    interval = values["accuracy"]["interval_95"] or seeds[0][f"{split}_interval_95"]
    fields = values["receptive_field"]
    return MixerResult(
        operator=operator,
        accuracy=float(values["accuracy"]["mean"]),
        interval=(float(interval[0]), float(interval[1])),
        seeds=len(seeds),
        images=int(seeds[0][f"{split}_count"]),
        split=str(split),
        parameters=int(values["parameters"]),
        multiply_adds=int(sum(values["multiply_adds"].values())),
        images_per_second=float(values["images_per_second"]["forward"]),
        batch=int(values["images_per_second"]["batch"]),
        field_share=float(np.mean([each["area_holding_90_percent"] for each in fields])),
        reach_share=float(fields[0]["theoretical_share"]),
    )
