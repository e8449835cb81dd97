"""The parts of Streamlit's frontend: a browser has each of them fetched and compiled for the first element of its kind.

On a laptop the first click on another page spent half a second on that, one part after the other. What Vitrine's pages
are drawn with is therefore made ready while nobody waits.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st

CHARTS = "PlotlyChart"
# By the names of their files, at once what stands together: first what is small, then what keeps a browser busy.
USED = (
    (
        *("Selectbox", "ButtonGroup", "Slider", "WidgetLabel", "TextInput", "NumberInput", "Checkbox", "Multiselect"),
        *("FileUploader", "DownloadButton", "MenuButton", "Progress", "rehype-raw", "rehype-katex"),
    ),
    (CHARTS,),
    ("DataFrame",),
)


@cache
def scripts_of(*kinds: str) -> tuple[str, ...]:
    """File names in the folder `static/js` of the frontend, in this order; what another Streamlit lacks is left out."""
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    return tuple(path.name for kind in kinds for path in sorted(folder.glob(f"{kind}.*.js")))
