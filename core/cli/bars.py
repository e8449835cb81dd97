"""Progress bars of the command line."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import typer

from core.reports import OnProgress, Progress, finish, told


def with_bar(work: Generator[Progress, None, Any]) -> Any:
    """What a generator returns, under a bar on standard error."""
    with typer.progressbar(length=1000, file=sys.stderr) as bar:
        return finish(work, told(advance(bar)))


def advance(bar: object) -> OnProgress:
    """Move a progress bar of 1000 steps to a share of its length."""

    def on_progress(share: float, text: str) -> None:
        bar.update(max(0, int(share * 1000) - bar.pos))  # type: ignore[attr-defined]

    return on_progress
