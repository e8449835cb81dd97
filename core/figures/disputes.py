"""Pictures in a sheet that fits any width, each with what is true of it and what every model said."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.figures.overlay import to_data_uri
from core.figures.theme import CATEGORICAL


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One picture.

    Attributes:
        shows: what it shows.
        said: of each model in the order of the legend: its answer, and a mark that tells it without colours, such as
            = or ≠; None for a model that was not asked.
    """

    pixels: np.ndarray
    shows: str
    said: tuple[tuple[str, str] | None, ...]


def answers_sheet(pictures: Sequence[Answered], models: Sequence[str]) -> str:
    """HTML: pictures side by side, as many as fit, under a legend of the models."""
    legend = "".join(
        f"<span style='white-space:nowrap'>{_square(place)} {html.escape(title)}</span>"
        for place, title in enumerate(models)
    )
    return (
        "<div style='font-size:.9rem'><div style='display:flex;flex-wrap:wrap;gap:.2rem 1rem;padding-bottom:.5rem'>"
        f"{legend}</div><div style='display:grid;gap:.7rem;grid-template-columns:repeat(auto-fill,minmax(7.2rem,1fr))'>"
        f"{''.join(map(_tile, pictures))}</div></div>"
    )


def _tile(picture: Answered) -> str:
    lines = "".join(
        f"<div style='overflow-wrap:anywhere'>{_square(place)} {html.escape(said[1])} {html.escape(said[0])}</div>"
        for place, said in enumerate(picture.said)
        if said is not None
    )
    small = "image-rendering:pixelated;" * (picture.pixels.shape[0] < 96)
    return (
        f"<div><img src='{to_data_uri(picture.pixels)}' alt='{html.escape(picture.shows, quote=True)}' "
        f"style='width:100%;border-radius:.3rem;{small}'><div><b>{html.escape(picture.shows)}</b></div>{lines}</div>"
    )


def _square(place: int) -> str:
    colour = CATEGORICAL[place % len(CATEGORICAL)]
    return f"<span style='display:inline-block;width:.7em;height:.7em;border-radius:.15em;background:{colour}'></span>"
