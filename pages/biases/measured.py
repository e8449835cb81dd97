"""What was measured once and comes with Vitrine, shown until something is measured on this machine."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from typing import Any

import streamlit as st

from core.models.stamps import earlier_sentence
from core.paths import FILES
from pages.shared.foreign import plain
from pages.shared.layout import command_block, command_details

RESULTS = FILES / "benchmarks" / "results" / "biases.json"


def measured_table(name: str) -> dict[str, Any] | None:
    """A table of `benchmarks/biases.py`; None where it was never measured."""
    return measured_tables().get(name)


def measured_tables() -> dict[str, dict[str, Any]]:
    """All of them, by name."""
    return dict(_measured(RESULTS.stat().st_mtime_ns if RESULTS.is_file() else 0)["tables"])


def measured_titles() -> dict[str, str]:
    """What the models of all tables are called."""
    return dict(_measured(RESULTS.stat().st_mtime_ns if RESULTS.is_file() else 0)["titles"])


def title_of(name: str) -> str:
    """A model's title; of a run its name."""
    return measured_titles().get(name, name.removeprefix("run:"))


@st.cache_data(show_spinner=False)
def _measured(stamp: int) -> dict[str, Any]:
    if not stamp:
        return {"tables": {}, "titles": {}}
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return found


def bundled_note(table: dict[str, Any], key: str) -> None:
    """Says that a picture was measured elsewhere, when and by which commands, and what differs from published ones."""
    earlier = earlier_sentence(table["weight_files"], measured_titles())
    st.caption(
        f"Measured with Vitrine on {plain(table['date'])}, seed {plain(table['seed'])}; not on this machine. "
        f"{plain(table['differs'])} {plain(earlier)}"
    )
    with command_details(f"{key}_commands", "Commands") as is_open:
        if is_open:
            command_block("\n".join(map(str, table["commands"])))


def overrides_of(command: str) -> list[str]:
    """The `key=value` settings of a command, as the shared recipe takes them."""
    words = shlex.split(command)
    return [value for option, value in pairwise(words) if option == "--set"]
