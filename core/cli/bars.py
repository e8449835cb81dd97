"""Progress bars of the command line."""

from __future__ import annotations

from core.reports import OnProgress


def advance(bar: object) -> OnProgress:
    """Move a progress bar of 1000 steps to a share of its length."""

    def on_progress(share: float, text: str) -> None:
        bar.update(max(0, int(share * 1000) - bar.pos))  # type: ignore[attr-defined]

    return on_progress
