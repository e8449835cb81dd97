"""Pictures through the model and back, once or again and again; and pictures drawn from distributions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from core.figures.overlay import to_data_uri
from core.figures.patches import image_sheet
from core.methods.latent.drawing import Drawn, Source
from core.methods.latent.pictures import as_bytes
from core.models.priors import UNIT_VARIANCE
from pages.latent.given import SHOWN, ChosenInputs, digest_of, my_panel
from pages.latent.latent import config_of, drawn_of, reencoded_of
from pages.latent.words import reencoding_words
from pages.shared.address import bound
from pages.shared.export import Export
from pages.shared.foreign import plain
from pages.shared.recipes import filled_recipe

SOURCES: dict[Source, str] = {
    "normal": "Normal prior",
    "laplace": "Laplace prior",
    "posterior": "Aggregate posterior",
    "mixture": "Mixture fitted to it",
}
_COUNTS = (16, 36, 64)


def reconstructions_panel(name: str, given: ChosenInputs) -> Callable[[], Export]:
    """Originals, reconstructions, and what is left after more passes."""
    config = config_of(name)
    left, right = st.columns([2, 7], gap="large")
    with left:
        mine = my_panel(config)
    with right:
        passes = st.slider(
            "Passes", 1, 12, 3, key="passes", bind="query-params", help="Each encodes what the last drew."
        )
        images, titles = _shown(given, [(each.title, each.pixels) for each in mine])
        found = reencoded_of(name, passes, digest_of(images), images)
        st.markdown(f"#### {plain(reencoding_words(found, config))}")
        rows = [as_bytes(each) for each in found.pictures]
        st.image(
            to_data_uri(image_sheet(rows, cell=76), quality=100), width="stretch",
            alt=f"{len(images)} pictures above, and below each what the model makes of it after 1 to {passes} passes.",
        )  # fmt: skip
        st.caption(
            "First row: what the model is given"
            + (" (black or white, as this one sees it)" if config.binarise else "")
            + ". Each row below: the decoded mean of the row above."
        )
        table = _errors(found.squared_error, titles)
        with st.expander("Figures"):
            st.dataframe(table, hide_index=True, width="stretch")

    def export() -> Export:
        return Export(
            stem="latent_reconstructions",
            recipe=filled_recipe(
                "latent", "reconstructions", model=name, pictures=given.address, shown=SHOWN, passes=passes,
                files=["pictures"] if mine else [], inverted=bool(st.session_state.get("latent_invert")),
            ),
            pictures={"passes": image_sheet(rows, cell=112)},
            table=table,
            facts={
                "model": name, "pictures": given.address, "passes": passes, "finding": reencoding_words(found, config),
            },
            arrays={"pictures": found.pictures, "latents": found.latents, "squared_error": found.squared_error},
        )  # fmt: skip

    return export


def _shown(given: ChosenInputs, mine: list[tuple[str, np.ndarray]]) -> tuple[np.ndarray, list[str]]:
    """The visitor's pictures and the first of the set."""
    rest = max(1, SHOWN - len(mine))
    images = [*(pixels for _, pixels in mine), *given.images.images[:rest]]
    titles = [title for title, _ in mine] + [given.title(place) for place in range(min(rest, len(given.images.images)))]
    return np.stack(images), titles


def _errors(errors: np.ndarray, titles: list[str]) -> pd.DataFrame:
    """Squared errors, a row for every picture."""
    columns = {f"pass {number}": row for number, row in enumerate(errors, 1)}
    return pd.DataFrame({"picture": titles, **columns})


def samples_panel(name: str, given: ChosenInputs) -> Callable[[], Export]:
    """Drawings from several distributions beside each other."""
    config = config_of(name)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.segmented_control(
            "How many", _COUNTS, default=36, required=True, key="sample_count", bind="query-params"
        )
        seed = st.number_input("Seed", 0, 9999, 0, key="sample_seed", bind=bound("sample_seed"), width=130)
        scale = st.number_input(
            "Scale b of the Laplace", 0.1, 5.0, round(UNIT_VARIANCE, 3), step=0.1, key="laplace_scale",
            bind=bound("laplace_scale"), width=190,
            help="Its variance is 2b²: 1/√2 = 0.707 has the variance of the Normal, b = 1 twice as much.",
        )  # fmt: skip
    exact = UNIT_VARIANCE if abs(scale - UNIT_VARIANCE) < 0.001 else float(scale)
    drawn = {source: drawn_of(name, source, int(count), int(seed), exact, given.address) for source in SOURCES}
    side = int(count) ** 0.5
    sheets = {
        source: image_sheet(np.split(as_bytes(each.pictures), int(side)), cell=48, gap=3, first_apart=False)
        for source, each in drawn.items()
    }
    trained: Source = "normal" if config.prior == "normal" else "laplace"
    st.markdown(f"#### {plain(_sample_words(drawn, trained))}")
    for column, (source, sheet) in zip(st.columns(4, gap="medium"), sheets.items(), strict=True):
        with column:
            st.markdown(f"**{SOURCES[source]}**")
            st.image(to_data_uri(sheet, quality=100), width="stretch", alt=f"{count} drawings: {SOURCES[source]}")
            st.caption(_source_words(source, trained, 2 * exact**2))
    st.caption(f"The posteriors are those of: {plain(given.images.title)}, {len(given.images.images):,} pictures.")

    def export() -> Export:
        return Export(
            stem="latent_samples",
            recipe=filled_recipe(
                "latent", "samples", model=name, pictures=given.address, count=int(count), seed=int(seed), scale=exact
            ),
            pictures={str(source): sheet for source, sheet in sheets.items()},
            facts={"model": name, "pictures": given.address, "seed": seed, "laplace_scale": exact},
            arrays={f"latents_{source}": each.latents for source, each in drawn.items()},
        )

    return export


def _sample_words(drawn: dict[Source, Drawn], trained: Source) -> str:
    """How far from the centre each distribution goes, from the latents that were drawn."""
    lengths = {source: float(np.linalg.norm(each.latents, axis=1).mean()) for source, each in drawn.items()}
    return (
        f"Pictures lie {lengths['posterior']:.2f} from the centre on average; the {trained.capitalize()} prior, which "
        f"the model was trained for, draws at {lengths[trained]:.2f}."
    )


def _source_words(source: Source, trained: str, variance: float) -> str:
    if source == "posterior":
        return "Latents of pictures: what the decoder was in fact shown."
    if source == "mixture":
        return "Ten Gaussians fitted to the aggregate posterior."
    if source == trained:
        return "What the KL was trained for."
    return f"A stress test: variance {variance:.2f} with {'heavier' if source == 'laplace' else 'lighter'} tails."
