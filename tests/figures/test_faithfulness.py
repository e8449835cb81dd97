"""The faithfulness figures draw each curve on its side, and gains with both ends of their intervals."""

from __future__ import annotations

import numpy as np

from core.figures.faithfulness import plot_faithfulness, plot_track_record
from core.methods.masking.faithfulness import Faithfulness, FaithfulnessCurves, Gain, RandomBaseline, TrackRecord


def test_deletion_is_on_the_left_and_insertion_on_the_right() -> None:
    result = Faithfulness(
        shares=np.array([0, 0.5, 1]),
        methods={
            "rollout": FaithfulnessCurves(
                deletion=np.array([0.9, 0.2, 0.1]), insertion=np.array([0.1, 0.8, 0.9]),
                deletion_area=0.35, insertion_area=0.65,
            )
        },
        random=RandomBaseline(
            deletion=np.array([[0.9, 0.5, 0.1], [0.9, 0.4, 0.1]]), insertion=np.array([[0.1, 0.5, 0.9]] * 2),
            deletion_areas=np.zeros(2), insertion_areas=np.zeros(2), seeds=(0, 1),
        ),
        grid=(2, 2),
        fill="mean",
    )  # fmt: skip
    figure = plot_faithfulness(result, {"rollout": "Rollout"}, measure="probability")
    sides = {axis: [trace for trace in figure.data if trace.xaxis == axis] for axis in ("x", "x2")}
    for side, drawn in {"x": "deletion", "x2": "insertion"}.items():
        *orders, method = sides[side]
        np.testing.assert_array_equal([trace.y for trace in orders], getattr(result.random, drawn))
        np.testing.assert_array_equal(method.y, getattr(result.methods["rollout"], drawn))
        np.testing.assert_array_equal(method.x, [0, 50, 100])
        assert {trace.name for trace in orders} == {"random, 2 orders"}
    # Each name once in the legend.
    assert [trace.name for trace in figure.data if trace.showlegend] == ["random, 2 orders", "Rollout"]
    assert figure.layout.xaxis.title.text == "deleted (%)"
    assert figure.layout.xaxis2.title.text == "inserted (%)"


def test_gains_are_drawn_with_both_ends_of_their_intervals_and_the_first_on_top() -> None:
    def track(method: str, gain: float) -> TrackRecord:
        return TrackRecord(
            method=method, count=200, deletion_area=0.3, insertion_area=0.6, random_deletion_area=0.4,
            random_insertion_area=0.5, deletion_gain=Gain(mean=gain, low=gain - 0.01, high=gain + 0.03),
            insertion_gain=Gain(mean=-gain, low=-gain - 0.02, high=-gain + 0.04),
            gain=Gain(mean=0, low=-1, high=1), outcome="no better",
        )  # fmt: skip

    figure = plot_track_record({"a": track("a", 0.1), "b": track("b", 0.2)}, {"a": "First"})
    deletion, insertion = figure.data
    np.testing.assert_allclose(deletion.x, [0.2, 0.1])
    np.testing.assert_allclose(insertion.x, [-0.2, -0.1])
    np.testing.assert_allclose(deletion.error_x.array, [0.03, 0.03])
    np.testing.assert_allclose(deletion.error_x.arrayminus, [0.01, 0.01])
    np.testing.assert_allclose(insertion.error_x.arrayminus, [0.02, 0.02])
    # Rows of one method lie beside each other, and no row is cut off.
    np.testing.assert_allclose(np.mean([deletion.y, insertion.y], axis=0), [0, 1])
    assert all(deletion.y > insertion.y)
    low, high = figure.layout.yaxis.range
    assert low < min(insertion.y)
    assert max(deletion.y) < high
    assert list(figure.layout.yaxis.ticktext) == ["b", "First"]
    assert list(figure.layout.yaxis.tickvals) == [0, 1]
