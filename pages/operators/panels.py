"""The parts of the Operators page under the six columns: the identity trap, and the operators as trained mixers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from core.figures.operators import plot_identity_trap, plot_mixers
from core.figures.theme import Figure
from core.methods.operators.identity_trap import IdentityTrap
from core.methods.operators.mixer_results import MixerResults, read_mixer_results
from core.methods.operators.picture import small_picture
from core.methods.operators.trap_curves import trap_curves
from core.paths import CHECKOUT
from pages.operators.layers import layers_now
from pages.operators.view import OperatorsView
from pages.operators.words import mixers_caption, mixers_sentence, trap_sentence
from pages.shared.charts import show_chart
from pages.shared.foreign import code, plain
from pages.shared.pickers import Picture
from pages.shared.results import shared

RESULTS = CHECKOUT / "benchmarks" / "results" / "mixers.json"
TEMPERATURES = tuple(float(f"{value:.3g}") for value in np.geomspace(0.1, 100, 13))


def trap_of(view: OperatorsView, picture: Picture, temperatures: tuple[float, ...]) -> dict[str, IdentityTrap]:
    """What stays on the diagonal by temperature, without projections and with those of the self-attention column."""
    place = (view.trained, view.block, view.head)
    return _trap(view, place, picture.digest, temperatures, picture.image)


@shared("Weighing the diagonal …")
def _trap(
    view: OperatorsView,
    place: tuple[bool, int, int],
    digest: str,
    temperatures: tuple[float, ...],
    _image: Image.Image,
) -> dict[str, IdentityTrap]:
    layers = layers_now(view, Picture(key=view.image, title="", image=_image, digest=digest))
    picture = None if view.trained else small_picture(_image, view.side)
    return trap_curves(layers.values(), temperatures, picture=picture, seed=view.settings.seed)


def trap_panel(view: OperatorsView, picture: Picture) -> None:
    """The sentence, and the curves."""
    temperature = view.settings.temperature
    now = trap_of(_at_rest(view), picture, (temperature,))
    st.markdown("#### The identity trap")
    if not now:
        st.caption("None of the trained mixers here compares positions.")
        return
    st.markdown(plain(trap_sentence(now, temperature)))
    show_chart(trap_figure(view, picture), key="trap", alt="Weight that a position keeps for itself, by T.")


def trap_figure(view: OperatorsView, picture: Picture) -> Figure:
    """The curves, with the slider's temperature."""
    return plot_identity_trap(trap_of(_at_rest(view), picture, TEMPERATURES), view.settings.temperature)


def mixers_panel() -> None:
    """The table and the plot of the trained mixers, or how to get them."""
    st.markdown("#### As token mixers")
    results = read_mixer_results(RESULTS)
    if results is None:
        st.caption(
            "The same small network six times, one operator each, trained on CIFAR-10: not measured in this checkout "
            f"yet. {code('python -m benchmarks.mixers')} trains and measures them."
        )
        return
    st.markdown(plain(mixers_sentence(results)))
    left, right = st.columns([5, 4])
    percent = st.column_config.NumberColumn(format="percent")
    shares = ("accuracy", "95 % from", "95 % to", "receptive field (90 %)", "may read")
    left.dataframe(
        mixers_table(results),
        hide_index=True,
        width="stretch",
        column_config=dict.fromkeys(shares, percent)
        | {"images/s": st.column_config.NumberColumn(format="localized")}
        | {"parameters": st.column_config.NumberColumn(format="localized")}
        | {"multiply-adds": st.column_config.NumberColumn(format="compact")},
    )
    show_chart(
        plot_mixers(results.rows), key="mixers", alt="Accuracy against images a second; a table beside.", place=right
    )
    st.caption(plain(mixers_caption(results)))


def mixers_table(results: MixerResults) -> pd.DataFrame:
    """One row an operator."""
    return pd.DataFrame(
        [
            {
                "operator": row.title,
                "accuracy": row.accuracy,
                "95 % from": row.interval[0],
                "95 % to": row.interval[1],
                "parameters": row.parameters,
                "multiply-adds": row.multiply_adds,
                "images/s": round(row.images_per_second),
                "receptive field (90 %)": row.field_share,
                "may read": row.reach_share,
                "seeds": row.seeds,
            }
            for row in results.rows
        ]
    )


def _at_rest(view: OperatorsView) -> OperatorsView:
    """The view without what the trap does not depend on: fewer things to compute and to keep."""
    settings = replace(view.settings, kernel_size=1, temperature=1.0, weight=1.0)
    return replace(view, settings=settings, position=(0, 0), operator="pre", channel=0)
