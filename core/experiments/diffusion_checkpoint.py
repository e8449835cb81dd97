"""Finished races of a run on disk, a file each: what a run that was stopped or killed goes on from."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import ConfigError
from core.methods.diffusion.diffusion_classifier import Race, replay
from core.methods.diffusion.sampling_plan import Plan
from core.runs.store import write_atomically


@dataclass(frozen=True, kw_only=True)
class FinishedRaces:
    """Finished races on disk, a file each: what a run goes on from."""

    path: Path
    plan: Plan
    schedule: int

    def write(self, place: int, race: Race) -> None:
        """Keep the errors; all else follows from them."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            allow_pickle=False,
            noise_error=race.noise_error,
            reconstruction_error=race.reconstruction_error,
            time_steps=race.time_steps,
            spent=np.array([race.seconds, race.batches]),
        )
        write_atomically(self._file(place), buffer.getvalue())

    def read(self, most: int) -> list[Race]:
        """The races up to the first that is missing or damaged."""
        found: list[Race] = []
        while len(found) < most:
            try:
                with np.load(self._file(len(found)), allow_pickle=False) as stored:
                    errors = (stored["noise_error"], stored["reconstruction_error"], stored["time_steps"])
                    race = replay(*errors, self.plan, self.schedule)
                    seconds, batches = stored["spent"]
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ConfigError):
                break
            found.append(replace(race, seconds=float(seconds), batches=int(batches)))
        return found

    def _file(self, place: int) -> Path:
        return self.path / f"{place:06d}.npz"
