"""The two curves of a style transfer."""

from __future__ import annotations

import numpy as np

from core.figures.style_transfer import LEAST_SHARE, plot_style_losses


def test_both_losses_and_those_of_the_layers_are_drawn_over_the_steps() -> None:
    content, style = np.array([0.0, 0.1, 0.2]), np.array([1.0, 0.4, 0.05])
    figure = plot_style_losses(content, style, steps=8, layers={"conv1_1": np.array([1.0, 0.5, 0.1])})
    drawn = {trace.name: trace for trace in figure.data}
    assert list(drawn) == ["style, conv1_1", "style", "content"]
    np.testing.assert_array_equal(drawn["style"].y, style)
    assert list(drawn["style"].x) == [0, 1, 2]
    # Nothing has a place on a logarithmic axis where there is no loss yet.
    assert np.isnan(drawn["content"].y[0])
    assert list(drawn["content"].y[1:]) == [0.1, 0.2]
    assert figure.layout.xaxis.range == (0, 8)
    assert figure.layout.yaxis.range[0] == np.log10(LEAST_SHARE)
    assert [trace.showlegend for trace in figure.data] == [False, True, True]
