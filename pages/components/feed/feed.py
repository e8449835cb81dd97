"""Tell a component on the page what became known while the script went on: Streamlit draws each but once a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.components.scripts import script

_COMPONENT = st.components.v2.component(
    "vitrine_feed", html="<i hidden></i>", css="", js=script(Path(__file__).with_suffix(".js"))
)


class Feed:
    """What is told on a channel, again and again; a component listens by `listenTo` of `common.js`.

    Args:
        channel: another for all that a component may be asked to show: what was told on one is kept in the browser.
    """

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self._slot: DeltaGenerator = st.empty()
        self._count = 0

    def tell(self, told: Mapping[str, Any]) -> None:
        """All that is known now, instead of what was told before."""
        self._count += 1
        with self._slot.container():
            _COMPONENT(key=f"feed_{self.channel}_{self._count}", data={"channel": self.channel, "told": dict(told)})
