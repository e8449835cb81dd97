"""Best classes first, with honest probabilities."""

from __future__ import annotations

import numpy as np
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.methods.accuracy.predictions import softmax, top_predictions


@given(arrays(np.float32, (7,), elements=st.floats(-80, 80, width=32)))
def test_softmax_equals_scipys(logits: np.ndarray) -> None:
    np.testing.assert_allclose(softmax(logits), scipy.special.softmax(logits.astype(np.float64)), rtol=1e-9)


def test_order_names_and_unnamed_classes() -> None:
    found = top_predictions(np.array([0.0, 3.0, 1.0]), ("cat", "dog"), count=3)
    assert [entry.label for entry in found] == ["dog", "class 2", "cat"]
    assert abs(sum(entry.probability for entry in found) - 1) < 1e-9
    assert found[0].class_index == 1
