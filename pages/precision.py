"""The same network with half the bits: how long it takes, what it holds, and what it answers."""

from __future__ import annotations

import pandas as pd
import streamlit as st
import torch

from core.data.prompts import parse_labels
from core.errors import CoreError
from core.figures.attention import short_label
from core.figures.precision import plot_agreement, plot_latencies, plot_memory
from core.intervals import wilson_interval
from core.methods.agreement import Agreement, reason
from core.methods.precision import FORMATS
from core.methods.predictions import class_name
from core.reports import roughly
from core.ui.cache import loaded_model
from core.ui.errors import guard
from core.ui.export import Export, export_popover
from core.ui.layout import heading, teaching_cards
from core.ui.pickers import Picture, image_picker, model_picker, own_model_form
from core.ui.precision import (
    PATIENCE_SECONDS,
    RUNS,
    Measured,
    Question,
    agreement_of,
    compared_pictures,
    default_labels,
    first_look,
    how_measured,
    measure_whole,
    picture_sources,
    prediction,
    seconds_an_image,
    sentence,
    whole_measurement,
)
from core.ui.recipes import precision_recipe

SHORTER = [name for name in FORMATS if name != "fp32"]
BATCHES = [1, 8, 32]
COUNTS = [32, 64, 128, 256, 512]
SHOWN = 6

heading("Precision", "What does half the bits cost?")
bar = st.columns([3, 4, 2, 2], vertical_alignment="bottom")
with bar[0]:
    picture = image_picker(default="example:coffee")
with bar[1]:
    name = model_picker(("classifier", "image_text"), preferred=("efficientnet_lite0", "clip_small", "vit_p4"))
with bar[2]:
    own_model_form()
model = loaded_model(name)
classifies = not model.spec.lacks("classifier")
sources = picture_sources()


def controls() -> tuple[Question, str, int]:
    """The widgets of the view: the question, and which images are compared."""
    first, second, third, fourth = st.columns([5, 3, 4, 3], vertical_alignment="bottom")
    formats = first.pills(
        "Beside fp32",
        SHORTER,
        format_func=lambda each: FORMATS[each].title,
        selection_mode="multi",
        default=["bf16", "fp16"],
        key="formats",
        bind="query-params",
        help="Plain names hold weights and activations in the format (“half”). Autocast keeps the weights in fp32 and "
        "computes products and convolutions in the format.",
    )
    batch = second.segmented_control(
        "Batch", BATCHES, default=1, required=True, key="batch", bind="query-params", help="Images in one pass."
    )
    source = third.selectbox(
        "Compare the answers to", list(sources), format_func=sources.__getitem__, key="compared", bind="query-params"
    )
    count = fourth.select_slider(
        "Images", COUNTS, value=64, key="count", bind="query-params", disabled=source == "examples"
    )
    device = "cpu"
    if torch.cuda.is_available():
        device = st.segmented_control(
            "Device", ["cuda", "cpu"], default="cuda", required=True, key="device", bind="query-params"
        )
    labels: tuple[str, ...] = ()
    if not classifies:
        typed = st.text_input(
            "Labels to choose from",
            ", ".join(default_labels(source)),
            key=f"labels-{source}",
            help="Each becomes “a photo of a …”; their vectors are computed once, in fp32.",
        )
        labels = parse_labels(typed).names
        if len(labels) < 2:
            raise CoreError("There is one label, so there is nothing to choose.", "Type at least two, with commas.")
    chosen = tuple(each for each in SHORTER if each in formats)
    question = Question(name, picture.digest, int(batch), chosen, device, labels)
    return question, source, int(count)


def measuring(question: Question) -> Measured:
    """The best figures there are, and the button for better ones."""
    measured = whole_measurement(question)
    if measured is None:
        measured = first_look(question, picture.image)
    if measured.whole:
        return measured
    slot = st.container(horizontal=True, vertical_alignment="center")
    with slot:
        wanted = st.button(f"Measure {RUNS} runs of each", icon=":material/timer:", type="primary", key="measure")
        st.caption(f"About {prediction(measured)}, and a fresh process for the memory of each format.")
    if wanted:
        with slot:
            st.button("Stop", icon=":material/stop:", key="stop", help="What is measured so far is kept.")
        with guard():
            measure_whole(question, picture.image, measured.profiles)
            st.rerun()
    return measured


def answers(question: Question, source: str, pictures: list[Picture], measured: Measured) -> dict[str, Agreement]:
    """What each format says; a slow one waits for a click."""
    results = {}
    for each in question.formats:
        seconds = seconds_an_image(measured.timing, each)
        cost = seconds * len(pictures)
        if each in measured.timing.plan.left_out and cost > PATIENCE_SECONDS:
            slow = f"anyway-{each}"
            if not st.session_state.get(slow) and not st.button(
                f"Compare the answers of {FORMATS[each].title} anyway: about {roughly(cost)}", key=f"{slow}-button"
            ):
                continue
            st.session_state[slow] = True
        with guard():
            results[each] = agreement_of(question, each, source, pictures, seconds)
    return results


def gallery(pictures: list[Picture], results: dict[str, Agreement], classes: tuple[str, ...]) -> None:
    """The images that the shorter format changed most, and why."""
    first, second = st.columns([3, 2], vertical_alignment="bottom")
    chosen = second.segmented_control(
        "Differences of",
        list(results),
        format_func=lambda each: FORMATS[each].title,
        default=next(iter(results)),
        required=True,
        key="differences",
        label_visibility="collapsed",
    )
    result, title = results[chosen], FORMATS[chosen].title
    changed = len(result.flips)
    said = f"{changed} changed answer{'s' * (changed > 1)}" if changed else "no answer changed"
    first.markdown(f"#### Where {title} differs most: {said}")
    names = tuple(map(short_label, classes))
    columns = st.columns(3)
    for place, image in enumerate(map(int, result.largest(SHOWN))):
        with columns[place % 3], st.container(border=True):
            left, right = st.columns([1, 3], gap="small")
            left.image(pictures[image].image, width="stretch")
            best = int(result.reference[image].argmax())
            after = f"{result.reduced[image][best]:.2%}" if result.finite[image] else "no number"
            mark = "" if result.same_answer[image] else ":red[:material/swap_horiz:] "
            right.markdown(
                f"{mark}**{pictures[image].title}**  \n{class_name(names, best)} "
                f"{result.reference[image][best]:.2%} → {after}"
            )
            st.caption(reason(result, image, FORMATS[chosen], names))


def table_of(measured: Measured, results: dict[str, Agreement]) -> pd.DataFrame:
    """Every number, one row a format."""
    rows: list[dict[str, object]] = []
    for each in FORMATS:
        row: dict[str, object] = {"format": FORMATS[each].title}
        if each in measured.timing.latencies:
            found = measured.timing.latencies[each]
            row |= {"runs": len(found), "mean ms": found.mean, "± std": found.std, "median ms": found.median}
            row |= {"IQR ms": found.quartiles[1] - found.quartiles[0], "min ms": found.minimum}
        if each in measured.profiles:
            profile = measured.profiles[each]
            row |= {"weights MiB": profile.parameters_mib, "activations MiB": float(profile.peak_mib.max())}
        if each in measured.memory:
            row |= {
                "process loaded MiB": measured.memory[each].loaded_mib,
                "process peak MiB": measured.memory[each].peak_mib,
            }
        if each in results:
            result = results[each]
            same, count = int(result.same_answer.sum()), len(result)
            low, high = wilson_interval(same, count)
            row |= {
                "same answer": f"{same}/{count} ({low:.0%}–{high:.0%})",
                "top 5 shared": f"{result.top_overlap.mean():.1%}",
            }
            if result.finite.any():
                known = result.finite
                row |= {"max |Δp|": result.max_difference[known].max(), "mean KL (nats)": result.kl[known].mean()}
                row |= {
                    "mean TV": result.total_variation[known].mean(),
                    "max |Δ logit|": result.logit_error[known].max(),
                }
        if len(row) > 1:
            rows.append(row)
    return pd.DataFrame(rows)


def show() -> None:
    question, source, count = controls()
    top = st.container()
    measured = measuring(question)
    plan = measured.timing.plan
    left, right = st.columns([5, 4], gap="large")
    with left:
        st.plotly_chart(
            plot_latencies(measured.timing.latencies),
            width="stretch",
            key="latencies",
            alt="Histograms of the time of one forward pass, one a format; the table below has the figures.",
        )
        st.caption(how_measured(measured))
        for words in plan.left_out.values():
            st.caption(f":material/timer_off: {words}")
        st.plotly_chart(
            plot_memory(measured.profiles),
            width="stretch",
            key="memory",
            alt="Parameters and live activations over one forward pass, one line a format.",
        )
        st.caption(
            "Tensors alive in this pass, to the byte; scratch space inside kernels is not seen."
            if question.device == "cpu"
            else "The GPU allocator's figures; the CUDA context comes on top."
        )
    pictures = [picture, *(each for each in compared_pictures(source, count) if each.digest != picture.digest)]
    titles = [each.title for each in pictures]
    with right:
        results = answers(question, source, pictures, measured)
        classes = question.labels or model.classes
        if results:
            st.plotly_chart(
                plot_agreement(results, titles, classes),
                width="stretch",
                key="agreement",
                alt="Probabilities in fp32 against those in the shorter formats, and their differences.",
            )
            st.caption(
                f"The five likeliest classes of {len(titles)} images; the large dots are the likeliest in fp32, "
                "crosses are changed answers. Softmax in float64, whatever the logits were computed in."
            )
        else:
            st.info("Choose a format beside fp32 to compare its answers.")
    with top:
        for each in question.formats:
            if words := sentence(each, measured, results.get(each)):
                st.markdown(f"##### {words}")
    if results:
        gallery(pictures, results, classes)
    st.markdown("#### All figures")
    st.dataframe(table_of(measured, results), hide_index=True, width="stretch")
    with bar[3]:
        export_popover(lambda: make_export(question, source, measured, titles, results), key="export")


def make_export(
    question: Question, source: str, measured: Measured, titles: list[str], results: dict[str, Agreement]
) -> Export:
    figures = {"latencies": plot_latencies(measured.timing.latencies), "memory": plot_memory(measured.profiles)}
    arrays = {f"milliseconds_{each}": found.milliseconds for each, found in measured.timing.latencies.items()}
    if results:
        figures["agreement"] = plot_agreement(results, titles, question.labels or model.classes)
        arrays["probabilities_fp32"] = next(iter(results.values())).reference
        arrays |= {f"probabilities_{each}": result.reduced for each, result in results.items()}
    return Export(
        stem="precision",
        recipe=precision_recipe(name, picture.key, question.formats, question.batch_size, question.labels),
        figures=figures,
        table=table_of(measured, results),
        facts={
            "model": name,
            "image": picture.title,
            "sha256": picture.digest,
            "batch": question.batch_size,
            "compared": source,
            "how": how_measured(measured),
            "left out": measured.timing.plan.left_out,
        },
        arrays=arrays,
    )


with guard():
    show()
teaching_cards("precision")
