"""Names from outside draw no links in a figure."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from core.figures.curves import Curve, plot_learning_curves, plot_metric
from core.figures.theme import finish, spread

LINK = "<a href='http://evil.test'>x</a><img src=http://evil.test/p.png>"


def test_a_run_called_like_a_link_is_drawn_by_its_letters() -> None:
    history = [{"epoch": 1, "step": 1, "val_accuracy": 0.5}, {"epoch": 2, "step": 2, "val_accuracy": 0.6}]
    for figure in (
        plot_learning_curves([Curve(title=LINK, history=history, test=(0.5, 0.4, 0.6))] * 2, "accuracy"),
        plot_metric([Curve(title=LINK, history=history)], "val_accuracy"),
    ):
        text = figure.to_json()
        assert "evil.test" in text
        for tag in ("<a ", "<img", "\\u003ca ", "\\u003cimg"):
            assert tag not in text


def test_words_anywhere_are_taken_literally_and_our_own_tags_stay() -> None:
    figure = go.Figure(
        go.Scatter(
            x=[LINK, "b"], y=np.array([1.0, 2.0]), text=["<b>ours</b><br>", LINK], name=LINK,
            customdata=[[LINK, 1], ["c", 2]],
            hovertemplate="<b>%{customdata[0]}</b><extra></extra>",
        )
    )  # fmt: skip
    figure.add_annotation(text=f"<b>{LINK}</b>")
    figure.update_xaxes(title=LINK, ticktext=[LINK], tickvals=[0])
    found = finish(figure, title=LINK)
    text = found.to_json()
    for tag in ("<a ", "<img", "\\u003ca ", "\\u003cimg"):
        assert tag not in text
    assert found.data[0].text[0] == "<b>ours</b><br>"
    assert found.data[0].hovertemplate == "<b>%{customdata[0]}</b><extra></extra>"
    assert found.data[0].customdata[1][1] == 2
    np.testing.assert_array_equal(found.data[0].y, [1.0, 2.0])


def test_names_of_close_lines_are_pushed_apart_in_their_order() -> None:
    assert spread([0.5, 0.5, 0.1], 0.2) == pytest.approx([0.5, 0.7, 0.1])
    assert spread([0.3, 0.25, 0.2], 0.2) == pytest.approx([0.6, 0.4, 0.2])
    assert spread([], 0.2) == []


def test_lines_of_the_names_axis_do_not_strike_out_what_is_written_beside_lying_bars() -> None:
    bars = go.Bar(x=[1.0], y=["query"], orientation="h", text=["8.0%"])
    second = go.Bar(x=[1.0], y=["query"], orientation="h", yaxis="y2")
    axes = finish(go.Figure([bars, second])).layout
    assert (axes.yaxis.showgrid, axes.yaxis2.showgrid, axes.xaxis.showgrid) == (False, False, None)
    assert finish(go.Figure(bars).update_yaxes(showgrid=True)).layout.yaxis.showgrid is True
    assert finish(go.Figure(go.Bar(x=["query"], y=[1.0]))).layout.yaxis.showgrid is None
