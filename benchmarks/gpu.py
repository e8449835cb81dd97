"""Every page's computation and a short run of every recipe on the GPU, compared with the CPU's results.

    python -m benchmarks.gpu                     the first GPU; says so and ends with 0 where there is none
    python -m benchmarks.gpu --device mps
    python -m benchmarks.gpu --only diffusion    one page's, or "train"

Prints a table: largest difference (as a share of the largest magnitude), milliseconds on both, and the ratio. Ends
with 1 if anything differs by more than its tolerance or fails. Models that are not on this machine are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.gpu_computations import Arrays, Computation, computations, differences, save_noise
from benchmarks.report import machine, parse, write
from core.device import device_of, pick_device
from core.models.spec import LoadedModel
from core.models.weights import load
from core.paths import weights_root
from core.timing import wait_for

REPEATS = 3


@dataclass
class Row:
    """What came of one computation."""

    page: str
    name: str
    difference: float = float("nan")
    worst: str = ""
    tolerance: float = 0.0
    cpu_ms: float = float("nan")
    device_ms: float = float("nan")
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error and self.difference <= self.tolerance


@dataclass
class Models:
    """Models by name and device, each loaded once; whoever moves one is found out.

    Each device has a home of its own, so that none reads from a cache what another computed.
    """

    homes: Path
    repeats: int = REPEATS
    kept: dict[tuple[str, str], LoadedModel] = field(default_factory=dict)

    def load(self, name: str, device: str) -> LoadedModel:
        if (name, device) not in self.kept:
            self.kept[name, device] = load(name, device)
        return self.kept[name, device]

    def moved(self) -> list[str]:
        """Models that are no longer where they were loaded."""
        return [
            f"{name} was moved from {device} to {device_of(model.module)}"
            for (name, device), model in self.kept.items()
            if device_of(model.module).type != torch.device(device).type
        ]


def compare(each: Computation, device: str, models: Models) -> Row:
    """One computation on the CPU and on `device`."""
    row = Row(page=each.page, name=each.name, tolerance=each.tolerance)
    try:
        expected, row.cpu_ms = _timed(each, "cpu", models)
        found, row.device_ms = _timed(each, device, models)
        by_array = differences(expected, found)
        row.worst = max(by_array, key=lambda key: by_array[key])
        row.difference = by_array[row.worst]
        if moved := models.moved():
            row.error = "; ".join(moved)
    except Exception as error:  # one broken computation must not hide the others
        row.error = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        traceback.print_exc()
    return row


def _timed(each: Computation, device: str, models: Models) -> tuple[Arrays, float]:
    """Its arrays and the median milliseconds after a first run, which loads and compiles."""
    place, seconds = torch.device(device), []
    os.environ["VITRINE_HOME"] = str(models.homes / device.replace(":", "-"))
    began = time.perf_counter()
    found = each.run(device, models.load)
    wait_for(place)
    if not each.twice or not models.repeats:
        return found, 1e3 * (time.perf_counter() - began)
    for _ in range(models.repeats):
        began = time.perf_counter()
        each.run(device, models.load)
        wait_for(place)
        seconds.append(time.perf_counter() - began)
    return found, 1e3 * statistics.median(seconds)


def table(rows: list[Row]) -> str:
    """For people, one computation a line."""
    lines = [f"{'page':<14}{'computation':<28}{'difference':>11}  {'of':<20}{'CPU ms':>9}{'GPU ms':>9}{'ratio':>7}"]
    for row in rows:
        verdict = "" if row.passed else f"  FAILED {row.error or f'(tolerance {row.tolerance:g})'}"
        lines.append(
            f"{row.page:<14}{row.name:<28}{row.difference:>11.1e}  {row.worst:<20}{row.cpu_ms:>9.1f}"
            f"{row.device_ms:>9.1f}{row.cpu_ms / max(row.device_ms, 1e-9):>7.1f}{verdict}"
        )
    return "\n".join(lines)


def main(words: list[str] | None = None) -> None:
    """Compare, print the table, write `results/gpu.json`; exit 1 on any mismatch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only", default="", help="computations whose page or name contains this")
    parser.add_argument("--out", type=Path, default=None, help="a folder to write the table into, too")
    arguments = parse(parser, words, only="attention")
    device = str(pick_device(arguments.device))
    if device == "cpu":
        print("There is no GPU on this machine: nothing was compared.")
        return
    where = machine()
    with tempfile.TemporaryDirectory() as home:
        weights = weights_root()
        for each in ("cpu", device):
            own = Path(home) / each.replace(":", "-")
            own.mkdir()
            os.environ["VITRINE_HOME"] = str(own)
            if weights.is_dir():
                (own / "weights").symlink_to(weights.absolute())
            save_noise({"train": 200, "val": 40, "test": 20})
        models = Models(homes=Path(home))
        chosen = [each for each in computations() if arguments.only in f"{each.page} {each.name}"]
        rows = []
        for computation in chosen:
            rows.append(compare(computation, device, models))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    print("\n" + table(rows))
    failed = [row for row in rows if not row.passed]
    print(f"\n{len(rows) - len(failed)} of {len(rows)} agree on {device}.")
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "gpu.txt").write_text(table(rows) + "\n", encoding="utf-8")
    if not arguments.only or arguments.quick:
        found = [{**vars(row), "passed": row.passed} for row in rows]
        write("gpu", {"machine": where, "device": device, "rows": found}, quick=arguments.quick)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
