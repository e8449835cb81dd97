"""Measuring in a browser: the process of its own runs, a click stops it at once, and what was measured stays."""

from __future__ import annotations

import re
from typing import Any

import psutil

from tests.runs.conftest import wait_until


def probing() -> list[psutil.Process]:
    """The measuring processes on this machine that this test's server started."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "core.methods.precision.precision_probe" in (process.info["cmdline"] or []):
            parents = {parent.pid for parent in process.parents()}
            if parents & {child.pid for child in psutil.Process().children()}:
                found.append(process)
    return found


def test_measuring_can_be_stopped_between_runs(server: str, page: Any) -> None:
    page.goto(f"{server}/precision?model=vit_p4&formats=bf16&batch=32")
    page.get_by_role("button", name="Measure 100 runs of each").click()
    # The second run at least: only then every format has been timed, and there is something to keep.
    page.get_by_text(re.compile(r"run ([2-9]|\d\d+) of 200")).wait_for()
    assert probing()  # it is not at its end
    # A picture of the page may have a bar of its own beside it.
    line = page.get_by_test_id("stHorizontalBlock").filter(has_text=re.compile(r"run \d+ of 200")).last
    line.get_by_role("button", name="Stop").click()
    wait_until(lambda: not probing(), "the end of the measuring process")
    page.get_by_text("stopped before its end").wait_for()
    page.get_by_role("button", name="Measure 100 runs of each").wait_for()
