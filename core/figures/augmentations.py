"""What regimes of augmentation did to one network: validation accuracy over the epochs, training accuracy behind it."""

from __future__ import annotations

import plotly.graph_objects as go

from core.figures.theme import CATEGORICAL, finish
from core.training.augmentation_results import AugmentationResults


def plot_augmentations(results: AugmentationResults, *, height: int = 260) -> go.Figure:
    """A thick line a regime on validation images, a dotted one of the same colour on its augmented training images."""
    figure = go.Figure()
    for colour, each in zip(CATEGORICAL, results.regimes, strict=False):
        name = each.regime.replace("_", " ")
        epochs = list(range(1, len(each.val_curve) + 1))
        for curve, kind, line in (
            (each.train_curve, "training", {"dash": "dot", "width": 1.5}),
            (each.val_curve, "validation", {"width": 3}),
        ):
            figure.add_trace(
                go.Scatter(
                    x=epochs,
                    y=curve,
                    mode="lines",
                    name=name,
                    legendgroup=name,
                    showlegend=kind == "validation",
                    line={"color": colour, **line},
                    hovertemplate=f"{name}, {kind}: %{{y:.1%}}<extra>epoch %{{x}}</extra>",
                )
            )
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title="accuracy", tickformat=".0%", range=[0, 1])
    return finish(figure, height=height)
