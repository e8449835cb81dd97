"""Finished classifications of a run on disk, a file each: what a run that was stopped or killed goes on from."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import ConfigError
from core.files import replaced
from core.methods.diffusion.diffusion_classifier import Classification, replay
from core.methods.diffusion.sampling_plan import Plan
from core.models.denoising_differences import DifferenceCovariance


@dataclass(frozen=True, kw_only=True)
class FinishedClassifications:
    """Finished classifications on disk, a file each: what a run goes on from."""

    path: Path
    plan: Plan
    schedule: int
    covariance: DifferenceCovariance | None

    def write(self, place: int, classification: Classification) -> None:
        """Keep the errors; all else follows from them."""
        with replaced(self._file(place)) as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                noise_error=classification.noise_error,
                reconstruction_error=classification.reconstruction_error,
                time_steps=classification.time_steps if classification.planned is None else classification.planned,
                spent=np.array([classification.seconds, classification.batches]),
            )

    def read(self, most: int) -> list[Classification]:
        """The classifications up to the first that is missing or damaged."""
        found: list[Classification] = []
        while len(found) < most:
            try:
                with np.load(self._file(len(found)), allow_pickle=False) as stored:
                    errors = (stored["noise_error"], stored["reconstruction_error"], stored["time_steps"])
                    classification = replay(*errors, self.plan, self.schedule, self.covariance)
                    seconds, batches = stored["spent"]
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ConfigError):
                break
            found.append(replace(classification, seconds=float(seconds), batches=int(batches)))
        return found

    def _file(self, place: int) -> Path:
        return self.path / f"{place:06d}.npz"
