"""Two trainings on one screen, and all of them as points of rate and distortion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from core.errors import CoreError
from core.figures.curves import Curve, plot_metric
from core.figures.latent import plot_rate_distortion, plot_units
from core.figures.overlay import to_data_uri
from core.figures.patches import image_sheet
from core.figures.theme import Figure
from core.methods.latent.collapse import contest_finding, units_of
from core.methods.latent.pictures import as_bytes
from core.methods.latent.rate_distortion import rate_distortion
from core.models.checkpoint import ModelCard
from core.models.priors import UNIT_VARIANCE
from pages.latent.given import SHOWN, current_pictures, digest_of
from pages.latent.latent import card_of, drawn_of, reencoded_of, title_of, vae_runs
from pages.latent.units_panel import delta_slider
from pages.latent.words import contest_table, rate_table, seeds_results, seeds_table, seeds_words
from pages.shared.address import all_asked
from pages.shared.charts import show_chart
from pages.shared.errors import guard, show_error
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.layout import page_link
from pages.shared.pickers import second_model_picker
from pages.shared.recipes import filled_recipe

_CURVES = {
    "val_elbo": "ELBO of validation images, at β = 1",
    "val_kl": "KL",
    "val_reconstruction": "reconstruction",
    "val_active_units": "active latents",
}
_SAMPLES = 24


def runs_panel() -> Callable[[], Export] | None:
    """Pickers, the sentence, and everything of both models beside each other."""
    left, right = st.columns(2)
    with left:
        first = second_model_picker("latent", name="vae_a", label="First", preferred=("vae_collapsed",))
    with right:
        second = second_model_picker("latent", name="vae_b", label="Second", preferred=("vae_warmup", "vae_bernoulli"))
    if first is None or second is None:
        return None
    delta = delta_slider("delta_runs")
    cards = [card_of(first), card_of(second)]
    finding = contest_finding(cards[0], cards[1], delta)
    st.markdown(f"#### {plain(finding)}")
    titles = _titles(first, second)
    bars: dict[str, Figure] = {}
    sheets: dict[str, np.ndarray] = {}
    top = max(float(units_of(card, delta).kl.max()) for card in cards) * 1.05
    for number, (column, name, card) in enumerate(zip(st.columns(2, gap="large"), (first, second), cards, strict=True)):
        with column:
            figure = plot_units(units_of(card, delta), height=270, title=titles[number])
            figure.update_yaxes(range=[0, top])
            bars[f"units_{number + 1}"] = figure
            show_chart(figure, key=f"units_{number}", alt=f"KL of every latent: {titles[number]}")
            sheets |= _sheets(name, number)
    st.caption(
        "Bars: measured for the model’s card, on the test images. Drawings: from the same latents of the Normal prior. "
        "Reconstructions: originals above."
    )
    curves = [Curve(title=title, history=card.history) for title, card in zip(titles, cards, strict=True)]
    figures = {name: plot_metric(curves, name, height=250) for name in _CURVES if _known(cards, name)}
    for column, (name, figure) in zip(st.columns(2) * 2, figures.items(), strict=False):
        with column:
            if name in ("val_elbo", "val_reconstruction"):  # far from 0, and the differences are what counts
                figure.update_yaxes(rangemode="normal")
            st.markdown(f"**{_CURVES[name]}**")
            show_chart(figure, key=f"curve_{name}", alt=f"{_CURVES[name]}, epoch by epoch.")
    table = contest_table(dict(zip(titles, cards, strict=True)), delta)
    st.dataframe(table, hide_index=True, width="stretch", height="content")
    _seeds()

    def export() -> Export:
        return Export(
            stem="latent_runs",
            recipe=filled_recipe("latent", "comparison", first=first, second=second, delta=delta),
            pictures=sheets,
            figures=bars | figures,
            table=table,
            facts={
                "models": [first, second], "commands": [card.command for card in cards], "delta": delta,
                "finding": finding,
            },
        )  # fmt: skip

    return export


def _titles(first: str, second: str) -> list[str]:
    titles = [title_of(name) for name in (first, second)]
    return (
        titles
        if titles[0] != titles[1]
        else [f"{title} ({name})" for title, name in zip(titles, (first, second), strict=True)]
    )


def _known(cards: list[ModelCard], name: str) -> bool:
    return any(name in line for card in cards for line in card.history)


def _sheets(name: str, number: int) -> dict[str, np.ndarray]:
    """Drawings and reconstructions of one of the two."""
    given = current_pictures(name)
    drawn = as_bytes(drawn_of(name, "normal", _SAMPLES, 0, UNIT_VARIANCE, given.address).pictures)
    samples = image_sheet(np.split(drawn, 2), cell=48, gap=3, first_apart=False)
    images = given.images.images[:SHOWN]
    found = reencoded_of(name, 1, digest_of(images), images)
    rebuilt = image_sheet([as_bytes(each) for each in found.pictures], cell=48, gap=3)
    st.image(to_data_uri(samples, quality=100), width="stretch", alt=f"{_SAMPLES} drawings from the Normal prior")
    st.image(to_data_uri(rebuilt, quality=100), width="stretch", alt="Originals above, their reconstructions below")
    return {f"samples_{number + 1}": samples, f"reconstructions_{number + 1}": rebuilt}


def _seeds() -> None:
    """The measurement over several seeds, where it was made."""
    st.markdown("#### Measured over seeds")
    results = seeds_results()
    for result in results:
        st.dataframe(seeds_table(result), hide_index=True, width="stretch", height="content")
        st.caption(plain(seeds_words(result)))
    if not results:
        st.caption(
            "One training may be lucky. `python -m benchmarks.vae_collapse` trains both again with other seeds; its "
            "table appears here. Published on Fashion-MNIST: 14.88 + 7.98 = 22.86 nats without constants, 6 of 20 "
            "latents active, and all 20 with warm-up over 10 epochs and free bits of 0.05."
        )
    elif all(result["dataset"] != "Fashion-MNIST" for result in results):
        st.caption(
            "On equal terms: `python -m core data get fashion_mnist`, then `python -m benchmarks.vae_collapse "
            "--dataset fashion_mnist`; its table appears here."
        )


def rates_panel() -> Callable[[], Export] | None:
    """One point for every trained VAE."""
    known = vae_runs()
    asked = [name for name in all_asked("rate_of") if name in known]
    wanted = asked or [name for name in known if name.startswith("vae_") and name != "vae_2d"] or list(known)[:12]
    chosen = st.multiselect(
        "Models and finished runs", list(known), default=wanted, format_func=lambda name: plain(known[name]),
        key="rate_models", max_selections=40, help="A sweep over β is a row of runs: choose its trials.",
    )  # fmt: skip
    st.query_params["rate_of"] = chosen
    cards = {}
    for name in chosen:
        try:
            card = card_of(name)
            title = known[name] if known[name] not in cards else f"{known[name]} ({name})"
            rate_distortion({title: card})
            cards[title] = card
        except CoreError as error:
            show_error(error)
    if not cards:
        st.info("Choose at least one model.", icon=":material/scatter_plot:")
        return None
    found = rate_distortion(cards)
    st.markdown(f"#### {plain(_rate_words(found.comparable, len(cards)))}")
    figure, table = plot_rate_distortion(found), rate_table(found)
    show_chart(figure, key="rates", alt="Rate and distortion of every model; the table has them.")
    st.dataframe(table, hide_index=True, width="stretch")
    st.caption(
        "A sweep over β makes the curve: `python -m core sweep vae --name rates --trials 8 --set dataset=mnist "
        "--space objective.beta=log:0.1..10`"
    )
    with guard():
        page_link("train", "Train another", "model_training", recipe="vae")

    def export() -> Export:
        return Export(
            stem="latent_rates",
            recipe=filled_recipe("latent", "rates", models=list(chosen)),
            figures={"rates": figure},
            table=table,
            facts={"models": list(chosen), "comparable": found.comparable},
        )

    return export


def _rate_words(comparable: bool, count: int) -> str:
    if count == 1:
        return "One model is one point: what its latents cost in nats, and what is lost all the same."
    if comparable:
        return "What latents cost (rate) against what is lost (distortion): along a dotted line the ELBO is the same."
    return (
        "Decoders or splits differ, so nats of distortion do not compare: the squared error of a picture stands in, "
        "which does."
    )
