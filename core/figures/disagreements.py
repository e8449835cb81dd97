"""CLIP beside a network trained on ImageNet: how often each names a picture, and where in WordNet their answers lie."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.figures.attention import short_label
from core.figures.overlay import to_data_uri
from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.clip.disagreements import Disagreements, TreeNode, Verdict
from core.shares import counted

CLIP_COLOUR, CLASSIFIER_COLOUR, TRUE_COLOUR, BOTH_COLOUR = (
    CATEGORICAL[0],
    CATEGORICAL[1],
    CATEGORICAL[2],
    CATEGORICAL[3],
)

# Dark enough for white words, on light pages and dark ones.
INNER_COLOUR = "#5F6670"


@dataclass(frozen=True, kw_only=True)
class PictureCard:
    """One picture of a row: its thumbnail, what it shows, and a line below."""

    pixels: np.ndarray
    shows: str
    line: str


def picture_row(title: str, colour: str, cards: Sequence[PictureCard]) -> str:
    """A row of pictures as HTML, framed in `colour`."""
    tiles = "".join(
        f"<div title='{html.escape(card.shows, quote=True)}'><img src='{to_data_uri(card.pixels)}' "
        f"alt='{html.escape(card.shows, quote=True)}' style='width:100%;aspect-ratio:1;border:3px solid {colour};"
        "border-radius:.4rem;display:block'><div style='font-size:.85rem;white-space:nowrap;overflow:hidden;"
        f"text-overflow:ellipsis'><b>{html.escape(card.shows)}</b></div><div style='font-size:.75rem;opacity:.75'>"
        f"{html.escape(card.line)}</div></div>"
        for card in cards
    )
    return (
        f"<div style='padding:.3rem 0'><div style='font-size:1.05rem;padding-bottom:.3rem'>"
        f"<span style='color:{colour}'>■</span> {html.escape(title)}</div><div style='display:grid;gap:.5rem;"
        f"grid-template-columns:repeat(auto-fill,minmax(6.2rem,1fr))'>{tiles}</div></div>"
    )


def plot_outcomes(found: Disagreements, clip: str, classifier: str) -> go.Figure:
    """One bar of all pictures: named by both, by one only, by neither."""
    parts = (
        ("both", "both", BOTH_COLOUR),
        ("only_clip", f"only {clip}", CLIP_COLOUR),
        ("only_classifier", f"only {classifier}", CLASSIFIER_COLOUR),
        ("neither", "neither", BASELINE),
    )
    total = max(1, len(found.verdicts))
    figure = go.Figure()
    for who, title, colour in parts:
        count = found.count(who)  # type: ignore[arg-type]
        figure.add_trace(
            go.Bar(
                x=[100 * count / total],
                y=[""],
                orientation="h",
                name=html.escape(title),
                marker={"color": colour},
                text=f"{count}" if count else "",
                textposition="inside",
                insidetextanchor="middle",
                textfont={"color": "white"},
                hovertemplate=f"{html.escape(title)}: {count} of {counted(total, 'picture')}<extra></extra>",
            )
        )
    figure.update_xaxes(title=f"of {counted(total, 'picture')} (%), named in the best {found.top}", range=[0, 100])
    figure.update_yaxes(showticklabels=False)
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "traceorder": "normal"}
    return finish(figure, height=150, barmode="stack", legend=legend, margin={"l": 8, "r": 8, "t": 36, "b": 8})


def plot_answers(verdict: Verdict, names: Sequence[str], clip: str, classifier: str) -> go.Figure:
    """The best classes of both models for one picture; the true one is green."""
    figure = go.Figure()
    sides = ((clip, verdict.clip_top, CLIP_COLOUR), (classifier, verdict.classifier_top, CLASSIFIER_COLOUR))
    for side, (title, top, colour) in enumerate(sides):
        figure.add_trace(
            go.Bar(
                x=[100 * probability for _, probability in top],
                # The two lists may share classes: a place of their own keeps them apart.
                y=[side * (len(top) + 1.2) + place for place in range(len(top))],
                orientation="h",
                marker={"color": [TRUE_COLOUR if index == verdict.label else colour for index, _ in top]},
                text=[f"{html.escape(names[index])} {probability:.1%}" for index, probability in top],
                textposition="auto",
                hovertemplate="%{text}<extra></extra>",
                showlegend=False,
                cliponaxis=False,
            )
        )
        figure.add_annotation(
            x=0, y=side * (len(top) + 1.2) - 0.95, text=f"<b>{html.escape(title)}</b>", showarrow=False,
            xanchor="left", font={"color": colour, "size": 15},
        )  # fmt: skip
    rows = len(verdict.clip_top) + len(verdict.classifier_top)
    figure.update_yaxes(autorange="reversed", showticklabels=False, showgrid=False)
    figure.update_xaxes(title="probability (%)", rangemode="tozero")
    return finish(figure, height=130 + 30 * rows, margin={"l": 8, "r": 60, "t": 8, "b": 8})


def plot_class_tree(nodes: Sequence[TreeNode], verdict: Verdict) -> go.Figure:
    """The true class and both models' best ones in WordNet's tree, from the most general on the left.

    Green is the truth, blue what only CLIP says, orange what only the other says, pink what both say.
    """
    clip, classifier = ({index for index, _ in top} for top in (verdict.clip_top, verdict.classifier_top))

    def colour(node: TreeNode) -> str:
        if node.leaf is None:
            return INNER_COLOUR
        if node.leaf == verdict.label:
            return TRUE_COLOUR
        if node.leaf in clip and node.leaf in classifier:
            return BOTH_COLOUR
        return CLIP_COLOUR if node.leaf in clip else CLASSIFIER_COLOUR

    figure = go.Figure(
        go.Icicle(
            ids=[node.wnid for node in nodes],
            labels=[html.escape(short_label(node.title, 26)) for node in nodes],
            parents=[node.parent for node in nodes],
            # A class that has another below it is a place of its own, too.
            values=[1 if node.leaf is not None else 0 for node in nodes],
            branchvalues="remainder",
            marker={
                "colors": [colour(node) for node in nodes],
                "line": {"width": 1, "color": "rgba(255,255,255,0.35)"},
            },
            customdata=[[node.wnid, "<br>".join(textwrap.wrap(html.escape(node.gloss), 60))] for node in nodes],
            hovertemplate="<b>%{label}</b> %{customdata[0]}<br>%{customdata[1]}<extra></extra>",
            tiling={"orientation": "h"},
            sort=False,
            textfont={"size": 14, "color": "white"},
        )
    )
    leaves = sum(node.leaf is not None for node in nodes)
    return finish(figure, height=80 + 36 * leaves, margin={"l": 4, "r": 4, "t": 4, "b": 4})
