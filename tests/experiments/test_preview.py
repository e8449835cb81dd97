"""What is said of a training before it begins."""

from __future__ import annotations

import pytest

from core.errors import UnknownNameError
from core.experiments.preview import feature_shapes


def test_shapes_of_features_are_those_of_the_paper_without_weights() -> None:
    """He et al. 2016, table 1: the maps of ResNet-152 at 224 pixels; none of its weights are here."""
    shapes = {depth: layer.shape_words(128) for depth, layer in feature_shapes("resnet152").items()}
    assert shapes == {"early": "128×256×56×56", "middle": "128×512×28×28", "late": "128×2048×7×7"}
    assert feature_shapes("resnet18", 64)["early"].shape_words(1) == "1×64×16×16"
    assert feature_shapes("vit_p4")["late"].shape_words(8) == "8×65×192"
    with pytest.raises(UnknownNameError):
        feature_shapes("nonsense")
