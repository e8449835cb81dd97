"""The scripts of components, as Streamlit wants them: one text, with what all of them share in front."""

from __future__ import annotations

from pathlib import Path

COMMON = Path(__file__).parent / "common.js"
# Lines over the stops of a slider, for the components that draw them: a script, and the style of what it draws.
LINE_CHART = Path(__file__).parent / "line_chart.js"
LINE_CHART_CSS = """
svg { cursor: ew-resize; touch-action: pan-y; font-size: 12.5px; }
svg text { fill: var(--st-text-color); font-family: var(--st-font); }
.grid { stroke: var(--st-text-color); opacity: .16; }
.band { opacity: .22; }
polyline { fill: none; stroke-linejoin: round; }
.known { fill: currentColor; stroke: none; }
.now { stroke: #ffc400; stroke-width: 2; }
.point { fill: #ffc400; stroke: #222; stroke-width: 2; }
ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; font-size: .9rem; }
li { display: flex; align-items: center; gap: .4rem; }
li i { width: 1.3rem; border-radius: 2px; }
li i.wide { opacity: .5; }
"""


def script(*files: Path) -> str:
    """The files as one module, in this order."""
    return "\n".join(file.read_text(encoding="utf-8") for file in (COMMON, *files))
