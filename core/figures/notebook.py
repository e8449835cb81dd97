"""The figure of each result that a notebook shows (`core.notebook.Drawn`)."""

from __future__ import annotations

import html
import threading
from functools import singledispatch
from typing import TypeAlias

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from core.figures.anatomy import plot_comparison, plot_layers
from core.figures.conditions import plot_conditions
from core.figures.diffusion_classifier import plot_classification, view_grid
from core.figures.disagreements import plot_outcomes
from core.figures.elimination_cost import plot_accuracy_by_calls
from core.figures.faithfulness import plot_faithfulness
from core.figures.masking import plot_masking_curves
from core.figures.overlay import mosaic, to_data_uri
from core.figures.positional import plot_distance_profile, positional_tiles
from core.figures.zero_shot import plot_label_bars, word_marks
from core.methods.anatomy.parts import Anatomy, Comparison
from core.methods.anatomy.positional import DistanceProfile, PositionalSimilarity
from core.methods.attention.attention import AttentionMaps, readout_maps
from core.methods.clip.conditions import ConditionResult
from core.methods.clip.disagreements import Disagreements
from core.methods.clip.image_text_relevance import ImageTextRelevance
from core.methods.clip.zero_shot import ZeroShotScores
from core.methods.diffusion.denoising_view import DenoisingView
from core.methods.diffusion.diffusion_classifier import Classification
from core.methods.diffusion.elimination_cost import BudgetCurve
from core.methods.masking.faithfulness import Faithfulness
from core.methods.masking.orders import MaskingCurve

Drawing: TypeAlias = go.Figure | np.ndarray | str

_GREY = np.full((72, 72, 3), 128, dtype=np.uint8)
_lock = threading.Lock()
_library_sent = False


@singledispatch
def draw(result: object) -> Drawing:
    """The figure of a result, its picture (height, width, 3 or 4) uint8, or its HTML.

    Raises:
        TypeError: nothing is known that would show it.
    """
    raise TypeError(f"Got a {type(result).__name__}; expected a result of core.methods that has a figure.")


def as_html(result: object) -> str:
    """A result as HTML that needs no network.

    The first figure of a process carries Plotly's script (4.5 MB), the others use it: so large a script in every cell
    would make a notebook that nobody can open.
    """
    drawing = draw(result)
    if isinstance(drawing, str):
        return drawing
    if isinstance(drawing, np.ndarray):
        name = html.escape(type(result).__name__)
        return f"<img src='{to_data_uri(drawing)}' alt='{name}' style='max-width:100%'>"
    figure = go.Figure(drawing).update_layout(template="plotly_white", paper_bgcolor="white", plot_bgcolor="white")
    return _library() + figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})


def _library() -> str:
    """Plotly's script the first time, nothing afterwards."""
    global _library_sent
    with _lock:
        if _library_sent:
            return ""
        _library_sent = True
    # Notebooks with RequireJS would take the script for a module and leave no global name.
    return f"<script>(function(define, module, exports){{{get_plotlyjs()}\n}}).call(window)</script>"


@draw.register
def _(result: Anatomy) -> Drawing:
    return plot_layers(result)


@draw.register
def _(result: Comparison) -> Drawing:
    return plot_comparison(result, "first", "second")


@draw.register
def _(result: PositionalSimilarity) -> Drawing:
    return positional_tiles(result)


@draw.register
def _(result: DistanceProfile) -> Drawing:
    return plot_distance_profile(result, "")


@draw.register
def _(result: AttentionMaps) -> Drawing:
    # Layers down, heads across; the photo is not part of the result.
    return mosaic(_GREY, readout_maps(result), signed=result.signed)


@draw.register
def _(result: ConditionResult) -> Drawing:
    return plot_conditions(result)


@draw.register
def _(result: Disagreements) -> Drawing:
    return plot_outcomes(result, "CLIP", "the classifier")


@draw.register
def _(result: ImageTextRelevance) -> Drawing:
    return word_marks(result.words, result.word_relevance)


@draw.register
def _(result: ZeroShotScores) -> Drawing:
    return plot_label_bars(result)


@draw.register
def _(result: DenoisingView) -> Drawing:
    return view_grid(result, _prompts(len(result.predicted)))


@draw.register
def _(result: Classification) -> Drawing:
    return plot_classification(result, _prompts(result.noise_error.shape[1]))


@draw.register
def _(result: BudgetCurve) -> Drawing:
    return plot_accuracy_by_calls(result)


@draw.register
def _(result: Faithfulness) -> Drawing:
    return plot_faithfulness(result, {name: name for name in result.methods}, measure="target")


@draw.register
def _(result: MaskingCurve) -> Drawing:
    # The result does not know its strategy; a strategy's name only picks the colour here, for there is one line.
    curves, titles = {"most_attended": result}, {"most_attended": "masking"}
    return plot_masking_curves(curves, titles, None, current=None, classes=(), measure="target")


def _prompts(count: int) -> list[str]:
    return [f"prompt {number}" for number in range(1, count + 1)]
