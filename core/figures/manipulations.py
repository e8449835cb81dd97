"""Curves over the strength of a manipulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from core.figures.attention import short_label
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.accuracy.predictions import class_name
from core.methods.manipulations.catalogue import Manipulation
from core.methods.manipulations.photo import PhotoAnswers

# Of models, in their order; blue and orange tell whether an answer is the first one.
MODEL_COLOURS = (CATEGORICAL[2], CATEGORICAL[3], CATEGORICAL[6], CATEGORICAL[4], CATEGORICAL[5], BASELINE)


def plot_strengths(
    row: Manipulation, strengths: Sequence[float], answers: Mapping[str, PhotoAnswers], *, current: float | None = None
) -> go.Figure:
    """The probability of what each model names on the unchanged photo, against the strength; a line a model.

    Args:
        answers: by what the model is called; of each strength a version.
        current: the strength that is marked.
    """
    figure = go.Figure()
    for place, (title, found) in enumerate(answers.items()):
        colour = MODEL_COLOURS[place % len(MODEL_COLOURS)]
        first = short_label(class_name(found.classes, found.clean_answer), 20)
        said = [
            f"{row.words(strength)}: {kept:.0%} {first}<br>says {short_label(class_name(found.classes, int(answer)))} "
            f"{shares[answer]:.0%}"
            for strength, kept, answer, shares in zip(
                strengths, found.kept, found.answers, found.probabilities, strict=True
            )
        ]
        figure.add_trace(
            go.Scatter(
                x=list(strengths),
                y=100 * found.kept,
                mode="lines+markers",
                name=f"{title}: {first}",
                line={"color": colour, "width": 3},
                # Filled where it still names the same: told without colours, too.
                marker={
                    "size": 11,
                    "symbol": ["circle" if same else "x" for same in found.same],
                    "color": colour,
                },
                customdata=said,
                hovertemplate="%{customdata}<extra>" + title.replace("<", "&lt;") + "</extra>",
            )
        )
    for strength, dash in ((row.neutral, "dot"), (current, "solid")):
        if strength is not None:
            figure.add_vline(x=strength, line={"color": "rgba(128,128,128,0.8)", "width": 2, "dash": dash})
    ticks = {"tickvals": list(strengths), "ticktext": [row.words(each) for each in strengths]} if row.names else {}
    figure.update_xaxes(title=f"{row.title} ({row.unit})", **ticks)
    figure.update_yaxes(title="probability of the first answer (%)", range=[-3, 103])
    return finish(figure, height=400)
