"""A run worked on in this process, in sight."""

from __future__ import annotations

import sys
import time

import typer

from core.runs.store import RunFolder


def train_here(folder: RunFolder) -> None:
    """Work on a run in this process, with a line for every report and one that counts the steps."""
    from core.experiments.run_precision import read_precision
    from core.launch.execute import execute
    from core.reports import Progress, as_duration, as_line
    from core.runs.status import eta_seconds, read_state

    if folder.stop.exists():
        folder.stop.unlink()
    shown, counter, told = 0.0, sys.stderr.isatty(), False
    for report in execute(folder):
        if not told and (settled := read_precision(folder)) is not None:
            typer.echo(settled.sentence())
            told = True
        if not isinstance(report, Progress):
            typer.echo(("\r\x1b[K" if counter else "") + as_line(report))
        elif counter and time.monotonic() - shown > 0.5:
            shown, left = time.monotonic(), eta_seconds(folder)
            rest = f", {as_duration(left)} left" if left is not None else ""
            typer.echo(f"\r\x1b[K{as_line(report)}{rest}", nl=False, err=True)
    state = read_state(folder)
    if state.status == "stopped":
        typer.echo(f"\nStopped at step {state.step} of {state.steps}; the same command continues.", err=True)
        raise typer.Exit(130)
