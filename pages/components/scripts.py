"""The scripts of components, as Streamlit wants them: one text, with what all of them share in front."""

from __future__ import annotations

from pathlib import Path

COMMON = Path(__file__).parent / "common.js"


def script(*files: Path) -> str:
    """The files as one module, in this order."""
    return "\n".join(file.read_text(encoding="utf-8") for file in (COMMON, *files))
