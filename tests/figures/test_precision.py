"""What the precision figures draw is what was measured."""

from __future__ import annotations

import numpy as np

from core.figures.precision import plot_agreement, plot_latencies, plot_memory
from core.methods.precision.agreement import agreement
from core.methods.precision.memory_profile import MemoryProfile
from core.methods.precision.timing import Latencies


def test_every_run_is_in_a_histogram_also_those_beyond_the_edge() -> None:
    fast, slow = np.full(30, 2.0, dtype=np.float32), np.full(30, 4.0, dtype=np.float32)
    slow[:3] = 500
    figure = plot_latencies({"fp32": Latencies(milliseconds=slow), "bf16": Latencies(milliseconds=fast)})
    assert [len(trace.x) for trace in figure.data] == [30, 30]
    assert max(figure.data[0].x) <= figure.layout.xaxis2.range[1] < 20
    words = [annotation.text for annotation in figure.layout.annotations]
    assert "3 beyond" in words[0]
    assert "beyond" not in words[1]
    assert "median 2 ms" in words[1]


def test_changed_answers_are_crossed_and_numbers_that_overflowed_left_out() -> None:
    reference = np.array([[2.0, 1.0, 0.0], [2.0, 1.9, 0.0], [1.0, 0.0, 0.0]])
    reduced = np.array([[2.0, 1.0, 0.1], [1.9, 2.0, 0.0], [np.inf, 0.0, 0.0]])
    figure = plot_agreement({"fp16": agreement(reference, reduced)}, ["a", "b", "c"], ["x", "y", "z"])
    crosses = [trace for trace in figure.data if trace.marker.symbol == "x"]
    assert [len(trace.x) for trace in crosses] == [1, 1]
    assert "b<br>x" in crosses[0].customdata[0]
    assert not any("c<br>" in str(each) for trace in figure.data for each in np.atleast_1d(trace.customdata))


def test_memory_names_the_peak() -> None:
    profile = MemoryProfile(
        modules=("first", "", "last"),
        peak_mib=np.array([1.0, 3.0, 2.0]),
        after_mib=np.array([1.0, 2.0, 0.0]),
        parameters_mib=5.0,
    )
    figure = plot_memory({"fp32": profile})
    assert [trace.type for trace in figure.data] == ["bar", "scatter", "scatter", "scatter"]
    assert figure.data[2].x[0] == 1
    assert (figure.data[3].x[0], figure.data[3].y[0]) == (1, 3)
    assert figure.data[3].text[0] == "  3 MiB"
    assert list(figure.data[1].customdata) == ["first", "(between parts)", "last"]


def test_peaks_that_are_the_same_are_named_one_above_the_other() -> None:
    profile = MemoryProfile(
        modules=("first", "last"),
        peak_mib=np.array([1.0, 2.0]),
        after_mib=np.array([1.0, 0.0]),
        parameters_mib=5.0,
    )
    figure = plot_memory({"fp32": profile, "bf16": profile, "fp16": profile})
    heights = [trace.y[0] for trace in figure.data if trace.type == "scatter" and trace.mode == "text"]
    assert np.diff(heights).min() > 0.1
    assert max(heights) < figure.layout.yaxis2.range[1]
