"""Labels against pictures: ranked bars, strategies as parallel slopes, single prompts, similarity of many to many."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.figures.attention import short_label
from core.figures.overlay import to_data_uri
from core.figures.theme import BASELINE, CATEGORICAL, colour_table, finish
from core.methods.clip.zero_shot import ZeroShotScores

HIGHLIGHTED = 6
_CELLS_WITH_NUMBERS = 150


def plot_label_bars(scores: ZeroShotScores, *, image: int = 0, most: int = 20) -> go.Figure:
    """A bar per label, best on top, probabilities in percent."""
    order = scores.order(image)[:most]
    values = 100 * scores.probabilities[image, order]
    places = list(range(len(order)))
    figure = go.Figure(
        go.Bar(
            x=values,
            y=places,
            orientation="h",
            text=[f"{value:.1f} %" for value in values],
            textposition="outside",
            cliponaxis=False,
            customdata=[[scores.labels[label], scores.cosines[image, label]] for label in order],
            marker_color=[CATEGORICAL[0]] + ["rgba(0,114,178,0.45)"] * (len(order) - 1),
            hovertemplate="%{customdata[0]}: %{x:.2f} %, cosine %{customdata[1]:.3f}<extra></extra>",
        )
    )
    ticks = [f"{short_label(scores.labels[label], 40)} " for label in order]
    figure.update_yaxes(autorange="reversed", tickvals=places, ticktext=ticks)
    figure.update_xaxes(range=[0, max(10.0, float(values.max())) * 1.15], title=_measure(scores))
    return finish(figure, height=90 + 34 * len(order), showlegend=False)


def leading_labels(results: Sequence[ZeroShotScores], *, image: int = 0, count: int = HIGHLIGHTED) -> np.ndarray:
    """The labels that any of `results`, of the same labels, ever puts high; the highest first."""
    peak = np.stack([result.probabilities[image] for result in results]).max(axis=0)
    return np.argsort(-peak, kind="stable")[:count]


def plot_strategy_slopes(results: Sequence[ZeroShotScores], titles: Sequence[str], *, image: int = 0) -> go.Figure:
    """Strategies side by side, a line per label: how its probability depends on how one asks.

    `results`: of the same labels, one a strategy. The leading labels are in colour.
    """
    values = 100 * np.stack([result.probabilities[image] for result in results])
    shown = leading_labels(results, image=image, count=5 * HIGHLIGHTED)
    traces, words = [], []  # added at once: one by one, Plotly checks all of them each time
    places = list(range(len(titles)))
    for rank, label in enumerate(shown):
        highlighted = rank < HIGHLIGHTED
        name = short_label(results[0].labels[label], 24)
        traces.append(
            go.Scatter(
                x=places,
                y=values[:, label],
                mode="lines+markers",
                name=name,
                line={"color": CATEGORICAL[rank] if highlighted else BASELINE, "width": 3 if highlighted else 1},
                marker={"size": 9 if highlighted else 4},
                opacity=1.0 if highlighted else 0.5,
                showlegend=False,
                customdata=[[title] for title in titles],
                hovertemplate=f"{html.escape(name)}, %{{customdata[0]}}: %{{y:.1f}} %<extra></extra>",
            )
        )
    ends = values[-1, shown[:HIGHLIGHTED]]
    reach = float(values.max()) or 1.0
    for rank, place in enumerate(_spaced(ends, reach * 0.07)):
        label = shown[rank]
        words.append(
            {
                "x": places[-1],
                "y": place,
                "text": html.escape(short_label(results[0].labels[label], 20)),
                "font": {"color": CATEGORICAL[rank], "size": 14},
                "xanchor": "left",
                "xshift": 10,
                "showarrow": False,
            }
        )
    figure = go.Figure(traces, layout={"annotations": words})
    figure.update_xaxes(
        tickvals=places,
        ticktext=[title.replace(" ", "<br>", 1) if len(title) > 14 else title for title in titles],
        range=[-0.15, len(titles) - 1 + 0.28 * max(1, len(titles) - 1)],
        showgrid=True,
    )
    figure.update_yaxes(title=_measure(results[0]), range=[-0.04 * reach, 1.08 * reach])
    return finish(figure, height=380)


def plot_template_scores(
    templates: Sequence[str], labels: Sequence[str], probabilities: np.ndarray, together: np.ndarray
) -> go.Figure:
    """A dot per sentence and label, and a line where the mean of all sentences stands.

    Args:
        probabilities: (templates, labels) in [0, 1], each sentence as a classifier of its own.
        together: (labels,) in [0, 1], the ensemble.
    """
    traces, lines = [], []
    jitter = np.linspace(-0.26, 0.26, len(templates)) if len(templates) > 1 else np.zeros(1)
    for place, label in enumerate(labels):
        traces.append(
            go.Scatter(
                x=100 * probabilities[:, place],
                y=place + jitter,
                mode="markers",
                marker={"size": 8, "color": CATEGORICAL[place % len(CATEGORICAL)], "opacity": 0.7},
                customdata=[[template.replace("{}", label)] for template in templates],
                hovertemplate="“%{customdata[0]}”: %{x:.1f} %<extra></extra>",
                showlegend=False,
            )
        )
        lines.append(
            {
                "type": "line",
                "x0": 100 * together[place],
                "x1": 100 * together[place],
                "y0": place - 0.38,
                "y1": place + 0.38,
                "line": {"color": CATEGORICAL[place % len(CATEGORICAL)], "width": 4},
            }
        )
    figure = go.Figure(traces, layout={"shapes": lines})
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=[f"{html.escape(short_label(label, 24))} " for label in labels],
        autorange="reversed",
    )
    figure.update_xaxes(title="probability (%): a dot each sentence, the line all together", rangemode="tozero")
    return finish(figure, height=110 + 44 * len(labels))


def plot_similarity_matrix(
    values: np.ndarray, photos: Sequence[np.ndarray], names: Sequence[str], texts: Sequence[str], *, measure: str
) -> go.Figure:
    """Pictures across, texts down, a cell for each pair; the best text of each picture is framed.

    Args:
        values: (images, texts) cosines, or percentages.
        photos: one square (side, side, 3) uint8 a picture.
    """
    table = values.T
    rows, columns = table.shape
    numbered = rows * columns <= _CELLS_WITH_NUMBERS
    figure = go.Figure(
        go.Heatmap(
            z=table,
            # As rgb(): Streamlit takes Inferno's "#000004" for one of its own placeholders and turns it pink.
            colorscale=[f"rgb{tuple(map(int, colour))}" for colour in colour_table()[::17]],
            customdata=[[[name, text] for name in names] for text in texts],
            hovertemplate="%{customdata[0]}<br>“%{customdata[1]}”: %{z:.3g}<extra></extra>",
            showscale=not numbered,
            colorbar={"title": {"text": measure, "side": "right"}, "thickness": 12},
            xgap=2,
            ygap=2,
        )
    )
    low, high = float(table.min()), float(table.max())
    if numbered:
        digits = 0 if high > 2 else 2
        for row in range(rows):
            for column in range(columns):
                bright = (table[row, column] - low) / max(high - low, 1e-9) > 0.62
                figure.add_annotation(
                    x=column,
                    y=row,
                    text=f"{table[row, column]:.{digits}f}",
                    showarrow=False,
                    font={"size": 13, "color": "black" if bright else "white"},
                )
    for column in range(columns):
        row = int(table[:, column].argmax())
        figure.add_shape(
            type="rect",
            x0=column - 0.47,
            x1=column + 0.47,
            y0=row - 0.46,
            y1=row + 0.46,
            line={"color": "#56B4E9", "width": 3},
        )
    # Thumbnails stand above the matrix, in units of its cells so that they stay over their columns.
    for column, photo in enumerate(photos):
        figure.add_layout_image(
            source=to_data_uri(photo),
            x=column,
            y=-0.62,
            xref="x",
            yref="y",
            xanchor="center",
            yanchor="bottom",
            sizex=0.94,
            sizey=1.5,
            sizing="contain",
        )
    figure.update_xaxes(tickvals=list(range(columns)), ticktext=["" for _ in names], showgrid=False)
    figure.update_yaxes(
        tickvals=list(range(rows)),
        ticktext=[_two_lines(text) for text in texts],
        range=[rows - 0.5, -2.2],
        showgrid=False,
        tickfont={"size": 14},
    )
    return finish(figure, height=160 + 46 * rows, margin={"l": 8, "r": 8, "t": 8, "b": 8})


def _two_lines(text: str, width: int = 20) -> str:
    """A sentence in up to two short lines, so that the matrix has room beside it on a narrow screen."""
    lines = textwrap.wrap(text, width, max_lines=2, placeholder=" …") or [text[:width]]
    return "<br>".join(html.escape(line) for line in lines)


# Text keeps a contrast of 4.5 and more on it, dark on light and light on dark.
MOST_GROUND = 0.5


def word_marks(words: Sequence[str], relevance: np.ndarray) -> str:
    """Words as HTML, each on a ground that is the stronger the more relevant it is; the strongest is full."""
    most = max(float(relevance.max()), 1e-12) if len(relevance) else 1.0
    marks = []
    for word, value in zip(words, relevance, strict=True):
        share = max(0.0, float(value)) / most
        ground = f"rgba(230,159,0,{MOST_GROUND * share:.2f})"
        marks.append(
            f"<span title='{share:.0%} of the strongest word' style='background:{ground};"
            f"padding:.15em .3em;border-radius:.3em;margin:.05em;display:inline-block'>{html.escape(word)}</span>"
        )
    return f"<span style='font-size:1.15rem;line-height:1.9'>{' '.join(marks)}</span>"


def _measure(scores: ZeroShotScores) -> str:
    return "probability among these labels (%)" if scores.kind == "softmax" else "probability of each label (%)"


def _spaced(values: np.ndarray, least: float) -> list[float]:
    """`values` moved apart until neighbours are `least` from each other, in their own order."""
    order = np.argsort(values, kind="stable")
    places = values[order].astype(float)
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + least)
    found = np.empty_like(places)
    found[order] = places
    return found.tolist()
