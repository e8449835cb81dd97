"""The table of a figure holds every number that is drawn, under the names of the axes, and nothing that only guides."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from core.figures.table import figure_table
from core.figures.theme import finish


def test_lines_and_points() -> None:
    figure = finish(go.Figure(), xaxis_title="epoch", yaxis_title="accuracy")
    figure.add_trace(go.Scatter(x=[1, 2, 3], y=[0.2, None, 0.4], name="<b>ViT</b>", error_y={"array": [0.1, 0, 0.2]}))
    figure.add_trace(go.Scatter(x=[0, 3], y=[0.1, 0.1], hoverinfo="skip", name="chance"))
    figure.add_trace(go.Scatter(x=[None], y=[None], name="of the legend alone"))
    table = figure_table(figure)
    assert table["series"].tolist() == ["ViT", "ViT"]
    assert table["epoch"].tolist() == [1, 3]
    assert table["accuracy"].tolist() == [0.2, 0.4]
    assert table["accuracy, bound above"].tolist() == pytest.approx([0.3, 0.6])
    assert table["accuracy, bound below"].tolist() == pytest.approx([0.1, 0.2])


def test_bars_with_labels_and_bounds_that_differ() -> None:
    bounds = {"array": [0.1, 0.2], "arrayminus": [0.3, 0.4]}
    figure = go.Figure(go.Bar(y=["cat", "dog"], x=[0.7, 0.6], orientation="h", error_x=bounds, text=["70 %", "60 %"]))
    table = figure_table(figure)
    assert "series" not in table
    assert table["label"].tolist() == ["70 %", "60 %"]
    assert table["y"].tolist() == ["cat", "dog"]
    assert table["x, bound above"].tolist() == pytest.approx([0.8, 0.8])
    assert table["x, bound below"].tolist() == pytest.approx([0.4, 0.2])


def test_a_heat_map_has_a_row_for_each_cell() -> None:
    values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    figure = go.Figure(go.Heatmap(z=values, x=["a", "b", "c"], colorbar={"title": {"text": "κ"}}))
    table = figure_table(finish(figure, yaxis_title="layer"))
    assert table["κ"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["layer"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["x"].tolist() == ["a", "b", "c"] * 2


def test_panels_keep_their_own_axes_and_what_is_measured_keeps_its_name() -> None:
    figure = finish(go.Figure(), xaxis_title="step", yaxis_title="loss", xaxis2={"title": {"text": "share"}})
    figure.add_trace(go.Scatter(y=[3.0, 2.0]))
    figure.add_trace(go.Histogram(x=[1, 1, 4], xaxis="x2", name="spread"))
    table = figure_table(figure)
    assert table["step"].tolist()[:2] == [0, 1]
    assert table["loss"].tolist()[:2] == [3, 2]
    assert table["share"].tolist()[2:] == [1, 1, 4]
    parts = figure_table(go.Figure(go.Treemap(labels=["all", "head"], parents=["", "all"], values=[5, 2])))
    assert parts.to_dict("list") == {"part": ["all", "head"], "of": ["", "all"], "value": [5, 2]}
    assert figure_table(go.Figure()).empty
