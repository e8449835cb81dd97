"""Take it with you: pictures, figures, data and a recipe that makes them again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.figures.export import can_draw, figure_html, figure_image
from core.figures.overlay import to_png
from core.figures.theme import Figure
from pages.shared.errors import guard
from pages.shared.foreign import plain

IMAGE_KINDS: tuple[Literal["png", "svg"], ...] = ("png", "svg")


@dataclass(frozen=True, kw_only=True)
class Export:
    """What a view offers for download; everything is made on demand."""

    stem: str
    recipe: str
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    table: pd.DataFrame | None = None
    facts: dict[str, object] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    documents: dict[str, Callable[[], str]] = field(default_factory=dict)  # whole HTML pages
    files: dict[str, Callable[[], bytes]] = field(default_factory=dict)  # other data, by the end of the file's name


def export_popover(make: Callable[[], Export], *, key: str) -> None:
    """The export menu of a page; `make` runs only when it is open."""
    with st.popover("Export", icon=":material/download:", width="stretch", key=key, on_change="rerun") as menu:
        if menu.open:
            with guard():
                _menu(make())


def _menu(export: Export) -> None:
    """The buttons, grouped by what they give."""
    if export.documents:
        st.caption("One page with everything")
    for name, page in export.documents.items():
        _button(f"{plain(name)} (HTML page)", partial(_encoded, page), f"{export.stem}_page.html", "text/html")
    st.caption("Pictures and figures")
    for name, pixels in export.pictures.items():
        _button(f"{plain(name)} (PNG)", partial(to_png, pixels), f"{export.stem}_{name}.png", "image/png")
    for name, figure in export.figures.items():
        _button(f"{plain(name)} (HTML)", partial(figure_html, figure), f"{export.stem}_{name}.html", "text/html")
        if can_draw():
            for kind in IMAGE_KINDS:
                _button(
                    f"{plain(name)} ({plain(kind.upper())})",
                    partial(figure_image, figure, kind),
                    f"{export.stem}_{name}.{kind}",
                    f"image/{kind}",
                )
    if export.figures and not can_draw():
        st.caption("PNG and SVG of charts need Chromium on this machine; the HTML file's tool bar saves SVG.")
    st.caption("Data")
    if export.table is not None:
        table = export.table
        _button("Table (CSV)", lambda: table.to_csv(index=False).encode(), f"{export.stem}.csv", "text/csv")
    if export.facts:
        text = json.dumps(export.facts, indent=2, default=float)
        _button("Figures in words (JSON)", lambda: text.encode(), f"{export.stem}.json", "application/json")
    for name, make in export.files.items():
        stem, _, suffix = name.rpartition(".")
        _button(f"{plain(stem)} ({plain(suffix.upper())})", make, f"{export.stem}_{name}", "application/octet-stream")
    if export.arrays:
        _button("Maps (NPZ)", lambda: _npz(export.arrays), f"{export.stem}.npz", "application/octet-stream")
    st.caption("Python that makes it again")
    _button("Recipe (PY)", lambda: export.recipe.encode(), f"{export.stem}.py", "text/x-python")
    st.code(export.recipe, language="python", height=220)


def _button(label: str, make: Callable[[], bytes], file_name: str, mime: str) -> None:
    st.download_button(label, make, file_name, mime, on_click="ignore", width="stretch", key=f"save_{file_name}")


def _encoded(page: Callable[[], str]) -> bytes:
    return page().encode()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
