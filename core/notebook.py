"""Results that draw themselves in a notebook.

A result of `core.methods` does not know how it is drawn: `core.figures.notebook` does, and is asked by name when a
notebook shows the result, so that computing needs no Plotly.
"""

from __future__ import annotations

import importlib


class Drawn:
    """A result that a notebook shows as its figure."""

    def _repr_html_(self) -> str:
        """HTML that needs no network."""
        return str(importlib.import_module("core.figures.notebook").as_html(self))
