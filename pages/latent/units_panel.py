"""What every latent carries: its KL, mean and log-variance, and whether it is used at all."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.errors import CoreError
from core.figures.latent import plot_moments, plot_spread, plot_units
from core.methods.latent.collapse import Units, units_finding
from core.methods.latent.statistics import ACTIVE_DELTA
from pages.latent.given import ChosenInputs
from pages.latent.latent import card_of, statistics_of
from pages.latent.words import unit_table
from pages.shared.charts import show_chart
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.layout import page_link
from pages.shared.recipes import filled_recipe

DELTAS = (0.0001, 0.001, 0.005, ACTIVE_DELTA, 0.02, 0.05, 0.1, 0.2, 0.5)


def delta_slider(key: str) -> float:
    """δ, above which a latent counts as active."""
    return float(
        st.select_slider(
            "Active above δ", DELTAS, value=ACTIVE_DELTA, format_func=lambda each: f"{each:g}", key=key,
            bind="query-params",
            help="The variance of a latent’s posterior means over pictures. Burda et al. take 0.01.",
        )
    )  # fmt: skip


def units_panel(name: str, given: ChosenInputs) -> Callable[[], Export]:
    """Bars, moments, histogram and table of the pictures that are shown."""
    delta = delta_slider("delta")
    statistics = statistics_of(name, given.address)
    try:
        free_bits = float(card_of(name).metrics.get("objective", {}).get("free_bits", 0.0))
    except CoreError:
        free_bits = 0.0
    units = Units(kl=statistics.kl, spread=statistics.spread, delta=delta, free_bits=free_bits)
    st.markdown(f"#### {plain(units_finding(units))}")
    count = len(given.images.images)
    if count < 2:
        st.info("Of one picture nothing varies, so no latent can be active. Choose more.", icon=":material/filter_1:")
    left, right = st.columns([3, 2], gap="medium")
    bars, spread = plot_units(units), plot_spread(units)
    moments = plot_moments(statistics, statistics.order())
    table = unit_table(units, statistics)
    with left:
        show_chart(bars, key="units", alt="KL of every latent, the largest first.")
        show_chart(moments, key="moments", alt="Posterior means and log-variances of every latent.")
    with right:
        show_chart(spread, key="spread", alt="Histogram of the variances of the means, with δ.")
        st.dataframe(table, hide_index=True, width="stretch", height=400)
    st.caption(
        f"Over {count:,} pictures: {plain(given.images.title)}. Points: averages; bars: from the 5 % to the 95 % "
        "quantile of pictures. A latent at the prior has mean 0 and log-variance 0."
    )
    if given.address.startswith("data:"):
        page_link(
            "embeddings", "The latents as a plane, by PCA, t-SNE or UMAP", "scatter_plot", encoder=name,
            set=given.address,
        )  # fmt: skip

    def export() -> Export:
        return Export(
            stem="latent_units",
            recipe=filled_recipe("latent", "units", model=name, pictures=given.address, delta=delta),
            figures={"kl": bars, "moments": moments, "spread": spread},
            table=table,
            facts={
                "model": name,
                "pictures": given.address,
                "count": count,
                "delta": delta,
                "finding": units_finding(units),
            },
            arrays={
                "means": statistics.means,
                "log_variances": statistics.log_variances,
                "labels": given.images.labels,
            },
        )

    return export
