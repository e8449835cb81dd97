"""The parts of the Precision page: its controls, the measuring button, the gallery, the table, and what they say."""

from __future__ import annotations

import pandas as pd
import streamlit as st
import torch

from core.data.prompts import join_labels, parse_labels
from core.errors import CoreError
from core.figures.attention import short_label
from core.methods.accuracy.predictions import class_name
from core.methods.precision.agreement import TOP, Agreement, class_changes, reason
from core.methods.precision.precision import FORMATS, parameter_count
from core.reports import roughly
from core.shares import interval_words
from pages.precision.precision import (
    RUNS,
    WARMUPS,
    Measured,
    PrecisionRequest,
    agreement_of,
    first_look,
    measure_whole,
    network_of,
    seconds_an_image,
    whole_measurement,
)
from pages.precision.precision_pictures import OWN, OWN_DEFAULT, OWN_PICKER, default_labels, picture_sources
from pages.shared.cache import loaded_model
from pages.shared.errors import guard
from pages.shared.foreign import literal, plain
from pages.shared.layout import control_strip
from pages.shared.pickers import Picture, pictures_picker

SHORTER = [name for name in FORMATS if name != "fp32"]
BATCHES = [1, 8, 32]
COUNTS = [32, 64, 128, 256, 512]
SHOWN = 6
MOST_CHOSEN = 12
# Comparing answers in a format that takes longer than this waits for a click.
PATIENCE_SECONDS = 3.0


def controls(name: str, picture: Picture) -> tuple[PrecisionRequest, str, int]:
    """The widgets of the view: the question, and which images are compared.

    Raises:
        CoreError: fewer than two labels for a model of images and texts.
    """
    sources = picture_sources()
    first, second, third, fourth = control_strip("precision").columns([5, 3, 4, 3], vertical_alignment="bottom")
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
        "Images", COUNTS, value=64, key="count", bind="query-params", disabled=source in ("examples", OWN)
    )
    if source == OWN:
        pictures_picker(name=OWN_PICKER, default=OWN_DEFAULT, label="Photos to compare, one a class")
    device = "cpu"
    if torch.cuda.is_available():
        device = st.segmented_control(
            "Device", ["cuda", "cpu"], default="cuda", required=True, key="device", bind="query-params"
        )
    labels: tuple[str, ...] = ()
    if loaded_model(name).spec.lacks("classifier"):
        usual = join_labels(default_labels(source))
        typed = st.text_input(
            "Labels to choose from",
            usual,
            # Other photos of one's own are other classes, until somebody writes some.
            key=f"labels-{source}-{usual}" if source == OWN else f"labels-{source}",
            help="Each becomes “a photo of a …”; their vectors are computed once, in fp32.",
        )
        labels = parse_labels(typed).names
        if len(labels) < 2:
            raise CoreError("There is one label, so there is nothing to choose.", "Type at least two, with commas.")
    chosen = tuple(each for each in SHORTER if each in formats)
    question = PrecisionRequest(name, picture.digest, int(batch), chosen, device, labels)
    return question, source, int(count)


def measuring(question: PrecisionRequest, picture: Picture) -> Measured:
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
        with guard():
            measure_whole(question, picture.image, measured.profiles)
            st.rerun()
    return measured


def answers(question: PrecisionRequest, pictures: list[Picture], measured: Measured) -> dict[str, Agreement]:
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
            results[each] = agreement_of(question, each, pictures, seconds)
    return results


def gallery(pictures: list[Picture], results: dict[str, Agreement], classes: tuple[str, ...]) -> None:
    """The images that the shorter format changed most, or those that were chosen, and why."""
    first, second, third = st.columns([3, 2, 3], vertical_alignment="bottom")
    chosen = second.segmented_control(
        "Differences of",
        list(results),
        format_func=lambda each: FORMATS[each].title,
        default=next(iter(results)),
        required=True,
        key="differences",
        bind="query-params",
        label_visibility="collapsed",
    )
    result, title = results[chosen], FORMATS[chosen].title
    changed = len(result.flips)
    said = f"{changed} changed answer{'s' * (changed > 1)}" if changed else "no answer changed"
    wanted = third.multiselect(
        "Look at",
        range(len(pictures)),
        format_func=lambda place: f"{place + 1}. {literal(pictures[place].title, 30)}",
        key="looked_at",
        max_selections=MOST_CHOSEN,
        placeholder="the largest differences; or choose images",
        label_visibility="collapsed",
    )
    shown = [each for each in wanted if each < len(pictures)] or list(map(int, result.largest(SHOWN)))
    first.markdown(
        f"#### {'The chosen images in' if wanted else 'Where'} {title}{'' if wanted else ' differs most'}: {said}"
    )
    names = tuple(map(short_label, classes))
    columns = st.columns(3)
    for place, image in enumerate(shown):
        with columns[place % 3], st.container(border=True):
            best = int(result.reference[image].argmax())
            after = f"{result.reduced[image][best]:.2%}" if result.finite[image] else "no number"
            mark = "" if result.same_answer[image] else ":red[:material/swap_horiz:] "
            with st.container(horizontal=True, gap="small"):
                st.image(pictures[image].image, width=80, alt=plain(pictures[image].title))
                st.markdown(
                    f"{mark}**{plain(pictures[image].title)}**  \n{plain(class_name(names, best))} "
                    f"{result.reference[image][best]:.2%} → {after}",
                    width=200,
                )
            st.caption(plain(reason(result, image, FORMATS[chosen], names)))
            if result.finite[image]:
                st.markdown(_changes(result, image, title, names))


def _changes(result: Agreement, image: int, title: str, names: tuple[str, ...]) -> str:
    """The likeliest classes as a table: probabilities in both formats, and how far logits lie behind the best."""
    rows = [
        f"| {plain(class_name(names, each.class_index))} | {each.before:.3%} | {each.after:.3%} | "
        + (f"{each.behind:.3g} ({each.moved:+.2g}) |" if place else "best |")
        for place, each in enumerate(class_changes(result, image))
    ]
    return "\n".join([f"| class | fp32 | {title} | logit behind (change) |", "|---|--:|--:|--:|", *rows])


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
            ends = interval_words(same, count, 0)
            top = min(TOP, result.reference.shape[1])
            row |= {
                "same answer": f"{same} of {count}" + (f" ({ends})" if ends else ""),
                f"top {top} shared": f"{result.top_overlap.mean():.1%}",
                "no number": count - int(result.finite.sum()),
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


def sentence(number_format: str, measured: Measured, result: Agreement | None) -> str:
    """What a format changes, in one Markdown sentence computed from the numbers."""
    title = FORMATS[number_format].title
    timing = measured.timing
    parts = []
    if result is not None:
        same, count = int(result.same_answer.sum()), len(result)
        ends = interval_words(same, count, 0)
        parts.append(f"the same answer on **{same} of {count}** images" + (f" (95 % interval {ends})" if ends else ""))
        lost = count - int(result.finite.sum())
        if lost:
            parts.append(f"**no number at all on {lost}**, where it left its range")
        if lost < count:
            largest = 100 * float(result.max_difference[result.finite].max())
            parts.append(f"no {'other ' * bool(lost)}probability moves by more than {largest:.2g} points")
    if number_format in timing.latencies:
        ours, base = timing.latencies[number_format].median, timing.latencies["fp32"].median
        ratio = f"{base / ours:.2g} times as fast" if ours <= base else f"{ours / base:.2g} times as slow"
        if 0.95 < ours / base < 1.05:
            ratio = "about as fast"
        parts.append(f"a pass takes {ours:.3g} ms where fp32 takes {base:.3g} (**{ratio}**)")
    elif number_format in timing.plan.probes:
        parts.append(f"about {timing.plan.probes[number_format].factor:,.0f} times as slow here, so not timed")
    if number_format in measured.profiles:
        ours_mib, base_mib = measured.profiles[number_format].total_mib, measured.profiles["fp32"].total_mib
        parts.append(f"{ours_mib / base_mib:.0%} of the memory for weights and activations")
    return f"**{title}**: " + "; ".join(parts) + "." if parts else ""


def how_measured(measured: Measured) -> str:
    """Where the latencies come from, for the caption."""
    plan = measured.timing.plan
    counts = {len(each) for each in measured.timing.latencies.values()}
    runs = "–".join(map(str, sorted({min(counts), max(counts)})))
    where = "in a process of its own" if measured.whole else "in the app's own process: a first look, not the protocol"
    if not measured.whole and plan.runs == RUNS:
        where = "in a process of its own, stopped before its end"
    warmups = f"{plan.warmups} warm-up{'s' * (plan.warmups > 1)}"
    return (
        f"{runs} runs of each after {warmups}, taking turns, batch of {plan.batch_size}, {where}. "
        f"{plan.conditions.sentence()}."
    )


def what_is_weighed(question: PrecisionRequest) -> str:
    """Which memory is drawn, for the caption."""
    whose = ""
    if question.labels:
        model = loaded_model(question.name)
        alone, whole = (parameter_count(each) for each in (network_of(model, question.labels), model.module))
        whose = (
            f"Of the image encoder alone, {alone:,} of the model's {whole:,} parameters, the labels' vectors for a "
            "head: the text encoder has done its work before. "
        )
    where = (
        "Tensors alive in this pass, to the byte; scratch space inside kernels is not seen."
        if question.device == "cpu"
        else "The GPU allocator's figures; the CUDA context comes on top."
    )
    return whose + where


def without_answers(question: PrecisionRequest) -> str:
    """Why no answers are compared."""
    if not question.formats:
        return "Choose a format beside fp32 to compare its answers."
    titles = " and ".join(FORMATS[each].title for each in question.formats)
    return f"No answers of {titles} yet."


def prediction(measured: Measured) -> str:
    """How long the whole protocol would take."""
    timing = measured.timing
    passes = sum(each.median for each in timing.latencies.values()) * (RUNS + WARMUPS) / 1e3
    # Two or more processes import PyTorch and load the model.
    return roughly(passes + 6 * (1 + len(timing.latencies)))
