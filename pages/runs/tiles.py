"""Runs on Home."""

from __future__ import annotations

from core.figures.curves import plot_learning_curves
from pages.shared.pickers import Picture
from pages.shared.run_views import all_views
from pages.shared.tiles import Tiles, chart_tile


def curves(picture: Picture) -> None:
    """The curves of what is trained or was, whatever the photo."""
    views = all_views()
    shown = [view for view in views if view.active and view.history] or [view for view in views if view.history]
    chart_tile(
        plot_learning_curves([view.curve() for view in shown[:4]], "accuracy", height=300),
        "Runs",
        "Accuracy epoch by epoch, of what is running now or else of the newest trainings and the bundled ones.",
        "runs",
        key="home_curves",
        alt="Accuracy over the epochs of the newest trainings.",
    )


TILES: Tiles = ((2, curves),)
