"""The same network with half the bits: how long it takes, what it holds, and what it answers."""

from __future__ import annotations

import streamlit as st

from core.figures.precision import plot_agreement, plot_latencies, plot_memory
from core.methods.precision.agreement import Agreement
from core.shares import counted
from pages.precision.precision import Measured, PrecisionRequest
from pages.precision.precision_panel import (
    answers,
    controls,
    gallery,
    how_measured,
    measuring,
    sentence,
    table_of,
    what_is_weighed,
    without_answers,
)
from pages.precision.precision_pictures import OWN, compared_pictures, own_photos
from pages.shared.cache import loaded_model
from pages.shared.charts import show_chart
from pages.shared.errors import guard
from pages.shared.export import Export, export_popover
from pages.shared.foreign import plain
from pages.shared.framing import framing_popover
from pages.shared.layout import control_bar, heading, teaching_cards
from pages.shared.pickers import image_picker, model_picker, own_model_form
from pages.shared.recipes import filled_recipe, picture_setting

heading("Precision", "What does half the bits cost?")
bar = control_bar([3, 3, 2, 2, 2], whole=2)
with bar[0]:
    picture = image_picker(default="example:coffee")
with bar[1]:
    name = model_picker(("classifier", "image_text"), preferred=("efficientnet_lite0", "clip_small", "vit_p4"))
with bar[3]:
    own_model_form()
model = loaded_model(name)
with bar[2]:
    framing_popover(picture, model.network.preprocessing)


def show() -> None:
    question, source, count = controls(name, picture)
    top = st.container()
    measured = measuring(question, picture)
    plan = measured.timing.plan
    left, right = st.columns([5, 4], gap="large")
    with left:
        show_chart(
            plot_latencies(measured.timing.latencies),
            key="latencies",
            alt="Histograms of the time of one forward pass, one a format; the table below has the figures.",
        )
        st.caption(plain(how_measured(measured)))
        for why in plan.left_out.values():
            st.caption(f":material/timer_off: {plain(why)}")
        show_chart(
            plot_memory(measured.profiles),
            key="memory",
            alt="Parameters and live activations over one forward pass, one line a format.",
        )
        st.caption(plain(what_is_weighed(question)))
    pictures = [picture, *(each for each in compared_pictures(source, count) if each.digest != picture.digest)]
    titles = [each.title for each in pictures]
    with right:
        results = answers(question, pictures, measured)
        classes = question.labels or model.classes
        if results:
            show_chart(
                plot_agreement(results, titles, classes),
                key="agreement",
                alt="Probabilities in fp32 against those in the shorter formats, and their differences.",
            )
            st.caption(
                f"The {min(5, next(iter(results.values())).reference.shape[1])} likeliest classes of "
                f"{counted(len(titles), 'image')}; the large dots are the likeliest in fp32, "
                "crosses are changed answers. Softmax in float64, whatever the logits were computed in."
            )
        else:
            st.info(without_answers(question))
    with top:
        for each in question.formats:
            if words := sentence(each, measured, results.get(each)):
                st.markdown(f"#### {words}")  # ours: numbers, formats of ours
    if results:
        gallery(pictures, results, classes)
    st.markdown("#### All figures")
    st.dataframe(table_of(measured, results), hide_index=True, width="stretch")
    with bar[4]:
        export_popover(lambda: make_export(question, source, count, measured, titles, results), key="export")


def make_export(
    question: PrecisionRequest,
    source: str,
    count: int,
    measured: Measured,
    titles: list[str],
    results: dict[str, Agreement],
) -> Export:
    figures = {"latencies": plot_latencies(measured.timing.latencies), "memory": plot_memory(measured.profiles)}
    arrays = {f"milliseconds_{each}": found.milliseconds for each, found in measured.timing.latencies.items()}
    if results:
        figures["agreement"] = plot_agreement(results, titles, question.labels or model.classes)
        arrays["probabilities_fp32"] = next(iter(results.values())).reference
        arrays |= {f"probabilities_{each}": result.reduced for each, result in results.items()}
    return Export(
        stem="precision",
        recipe=filled_recipe(
            "precision",
            model=name,
            image=picture_setting(picture.key),
            formats=list(question.formats),
            batch_size=question.batch_size,
            labels=list(question.labels),
            device=question.device,
            compared="images" if source == OWN else source,
            images=[picture_setting(each.key, f"compared{place}") for place, each in enumerate(own_photos(), 1)]
            if source == OWN
            else [],
            count=count,
        ),
        figures=figures,
        table=table_of(measured, results),
        facts={
            "model": name,
            "image": picture.title,
            "sha256": picture.digest,
            "batch": question.batch_size,
            "compared": source,
            "images": titles,
            "device": question.device,
            "labels": list(question.labels),
            "how": how_measured(measured),
            "left out": measured.timing.plan.left_out,
        },
        arrays=arrays,
    )


with guard():
    show()
teaching_cards("precision")
