"""Several pictures by several classifiers: a table of what each says of each, as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.figures.attention import short_label
from core.figures.overlay import to_data_uri
from core.methods.accuracy.classify import Answer

_RIGHT, _OTHER = "rgba(0,158,115,.38)", "rgba(0,114,178,.20)"


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """One picture: (height, width, 3) uint8, its name, its true class ("" unknown), and an answer of each model."""

    pixels: np.ndarray
    title: str
    true_label: str
    answers: Sequence[Answer]


def answer_table(models: Sequence[tuple[str, str]], rows: Sequence[AnswerRow]) -> str:
    """A column a model, a row a picture; in each cell the likeliest classes as bars, the true one green and ticked.

    Args:
        models: titles, and a line for each below.
    """
    heads = "".join(
        f"<th style='text-align:left;vertical-align:bottom;padding:.3rem .6rem;min-width:11rem'>{html.escape(title)}"
        f"<div style='font-weight:400;font-size:.8rem;opacity:.8'>{html.escape(line)}</div></th>"
        for title, line in models
    )
    return (
        "<div style='overflow-x:auto' tabindex='0' role='region' aria-label='Answers of all classifiers'>"
        "<table style='border-collapse:collapse;width:100%'>"
        f"<thead><tr><th style='text-align:left;vertical-align:bottom;padding:.3rem'>Picture</th>{heads}</tr></thead>"
        f"<tbody>{''.join(map(_row, rows))}</tbody></table></div>"
    )


def _row(row: AnswerRow) -> str:
    title = html.escape(row.title, quote=True)
    known = f"<div style='font-size:.8rem;opacity:.8'>is: {html.escape(row.true_label)}</div>" if row.true_label else ""
    return (
        "<tr style='border-top:1px solid rgba(128,128,128,.3)'><td style='padding:.4rem .3rem;vertical-align:top'>"
        # Its title is right below it.
        f"<img src='{to_data_uri(row.pixels)}' alt='' style='width:6.5rem;border-radius:.4rem;display:block'>"
        f"<div style='font-size:.85rem;max-width:7.5rem;overflow-wrap:anywhere'>{title}</div>{known}</td>"
        + "".join(f"<td style='padding:.4rem .6rem;vertical-align:top'>{_cell(each)}</td>" for each in row.answers)
        + "</tr>"
    )


def _cell(answer: Answer) -> str:
    if answer.problem:
        return f"<span style='opacity:.8'>not read: {html.escape(answer.problem)}</span>"
    lines = []
    for place, each in enumerate(answer.top):
        right = each.class_index in answer.truth
        share = 100 * min(1.0, each.probability)
        lines.append(
            f"<div title='{html.escape(each.label, quote=True)}' style='display:flex;justify-content:space-between;"
            f"gap:.5rem;padding:.05rem .35rem;margin-bottom:2px;border-radius:.2rem;white-space:nowrap;"
            f"{'font-weight:600' if place == 0 else 'font-size:.85rem'};background:linear-gradient(to right,"
            f"{_RIGHT if right else _OTHER} {share:.1f}%,transparent {share:.1f}%)'>"
            f"<span>{'✓ ' if right else ''}{html.escape(short_label(each.label, 26))}</span>"
            f"<span>{each.probability:.1%}</span></div>"
        )
    below = ""
    if answer.place > len(answer.top):
        below = f"the true class is number {answer.place:,}"
    return "".join(lines) + (f"<div style='font-size:.8rem;opacity:.8'>{below}</div>" if below else "")
