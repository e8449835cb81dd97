"""Linear probes at home and in a domain that they never saw, and on classes of another kind."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from core.figures.theme import BASELINE, CATEGORICAL, finish
from core.methods.biases.shifts import ShiftReport
from core.shares import share_with_interval


def plot_domains(shifts: Sequence[ShiftReport], titles: Mapping[str, str]) -> go.Figure:
    """Every domain left out once: hollow at home, filled away, a colour a model; dotted: chance.

    Args:
        titles: of the models, by name.
    """
    found = [each for each in shifts if each.shift == "covariate"]
    domains = list(dict.fromkeys(each.place for each in found))
    models = list(dict.fromkeys(each.model for each in found))
    figure = go.Figure()
    for place, model in enumerate(models):
        colour, title = CATEGORICAL[place % len(CATEGORICAL)], html.escape(titles.get(model, model))
        mine = [each for each in found if each.model == model]
        # Side by side within a domain, so that intervals do not cover each other.
        across = [
            domains.index(each.place) + 0.7 * (place - (len(models) - 1) / 2) / max(1, len(models)) for each in mine
        ]
        for each, x in zip(mine, across, strict=True):
            figure.add_trace(
                go.Scatter(
                    x=[x, x], y=[100 * (each.home_accuracy or 0), 100 * each.test_accuracy], mode="lines",
                    line={"color": colour, "width": 2, "dash": "dot"}, hoverinfo="skip", showlegend=False,
                )
            )  # fmt: skip
        for home in (True, False):
            figure.add_trace(_points(mine, across, colour, place, title, home=home))
    if found:
        figure.add_hline(y=100 / found[0].classes, line={"color": BASELINE, "width": 2, "dash": "dot"})
    names = [html.escape(domain.replace("_", " ")) for domain in domains]
    figure.update_xaxes(tickvals=list(range(len(domains))), ticktext=names, title="domain left out", showgrid=False)
    figure.update_yaxes(title="accuracy (%), 95 % intervals", rangemode="tozero")
    return finish(figure, height=460)


def plot_other_classes(
    shifts: Sequence[ShiftReport], titles: Mapping[str, str], datasets: Mapping[str, str]
) -> go.Figure:
    """Probes for the classes of other data sets, a colour a model; a grey bar at the chance of each.

    Args:
        datasets: titles by name.
    """
    found = [each for each in shifts if each.shift == "semantic"]
    places = list(dict.fromkeys(each.place for each in found))
    models = list(dict.fromkeys(each.model for each in found))
    figure = go.Figure()
    for place, model in enumerate(models):
        mine = [each for each in found if each.model == model]
        across = [
            places.index(each.place) + 0.7 * (place - (len(models) - 1) / 2) / max(1, len(models)) for each in mine
        ]
        title = html.escape(titles.get(model, model))
        figure.add_trace(_points(mine, across, CATEGORICAL[place % len(CATEGORICAL)], place, title, home=False))
    for place, name in enumerate(places):
        chance = 100 / next(each.classes for each in found if each.place == name)
        figure.add_shape(
            type="line", x0=place - 0.4, x1=place + 0.4, y0=chance, y1=chance,
            line={"color": BASELINE, "width": 2, "dash": "dot"},
        )  # fmt: skip
    names = [html.escape(datasets.get(name, name)) for name in places]
    figure.update_xaxes(
        tickvals=list(range(len(places))), ticktext=names, showgrid=False, range=[-0.6, len(places) - 0.4]
    )
    figure.update_yaxes(title="accuracy (%), 95 % intervals", rangemode="tozero")
    return finish(figure, height=420)


def _aside(place: int, count: int) -> float:
    """Models stand side by side, so that their intervals do not cover each other."""
    return 0.7 * (place - (count - 1) / 2) / max(1, count)


def _points(
    mine: Sequence[ShiftReport], across: Sequence[float], colour: str, symbol: int, title: str, *, home: bool
) -> go.Scatter:
    """The accuracies of one model, at home or away."""
    values, lows, highs, words = [], [], [], []
    for each in mine:
        value, low, high, count = (
            (each.home_accuracy, each.home_low, each.home_high, each.home_count)
            if home
            else (each.test_accuracy, each.test_low, each.test_high, each.test_count)
        )
        right = round((value or 0) * (count or 0))
        values.append(100 * (value or 0))
        lows.append(values[-1] - 100 * (low or 0))
        highs.append(100 * (high or 0) - values[-1])
        where = "at home" if home else html.escape(each.place.replace("_", " "))
        words.append(f"{where}: {share_with_interval(right, count or 0)}")
    return go.Scatter(
        x=list(across), y=values, mode="markers", name=f"{title}, at home" if home else title, showlegend=not home,
        marker={
            "size": 11, "color": colour, "symbol": f"{_SYMBOLS[symbol % len(_SYMBOLS)]}{'-open' * home}",
            "line": {"width": 2, "color": colour},
        },
        error_y={"type": "data", "array": highs, "arrayminus": lows, "color": colour, "thickness": 1.5, "width": 3},
        customdata=words, hovertemplate="%{customdata}<extra>" + title + "</extra>",
    )  # fmt: skip


_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "triangle-down", "star")
