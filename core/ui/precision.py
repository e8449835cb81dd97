"""Measurements of the Precision page: a first look within seconds, the whole protocol in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import numpy as np
import streamlit as st
import torch
from PIL import Image
from torch import nn

from core.configs import from_dict
from core.data.catalogue import installed_datasets, read_dataset, sample_images
from core.data.examples import EXAMPLES, load_example
from core.data.images import image_digest
from core.data.prompts import dataset_labels
from core.data.transforms import to_batch
from core.device import pick_device
from core.errors import CoreError
from core.intervals import wilson_interval
from core.methods.agreement import Agreement, agreement
from core.methods.memory_profile import MemoryProfile, memory_profile
from core.methods.precision import (
    FORMATS,
    Probe,
    Timing,
    TimingPlan,
    ZeroShotNetwork,
    cast,
    forward,
    logits_in,
    measure_latencies,
)
from core.methods.precision_probe import ProcessMemory
from core.methods.timing import Conditions, Latencies, TimedRun
from core.models.spec import LoadedModel
from core.paths import CHECKOUT
from core.reports import roughly
from core.ui.cache import in_use, loaded_model, on_shelf, shelved
from core.ui.pickers import Picture
from core.ui.zero_shot import weights_of

RUNS, WARMUPS = 100, 10
# The first look takes about this long for all its runs, and no format may take longer for one pass.
FIRST_SECONDS, FIRST_PASS_SECONDS = 1.0, 0.4
# Comparing answers in a format that takes longer than this waits for a click.
PATIENCE_SECONDS = 3.0
TEMPLATES = ("a photo of a {}.",)
PARTIAL = "precision-partial"
# How soon a click is noticed while a measuring process is silent.
TICK_SECONDS = 0.25


@dataclass(frozen=True)
class Question:
    """Which pass is measured: the model, the photo that fills the batch, the formats beside fp32 and the device."""

    name: str
    digest: str
    batch_size: int
    formats: tuple[str, ...]
    device: str
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Latencies and memory of one question.

    Attributes:
        profiles: live tensors over the pass, by format.
        memory: of a fresh process by format; empty after a first look.
        whole: the protocol was followed to its end.
    """

    timing: Timing
    profiles: dict[str, MemoryProfile]
    memory: dict[str, ProcessMemory]
    whole: bool


def network_of(model: LoadedModel, labels: tuple[str, ...]) -> nn.Module:
    """What is timed: the classifier, or the image encoder with its labels' vectors. Not to be called under the lock."""
    if not model.spec.lacks("classifier"):
        return model.module
    model.spec.require("image_text", "Comparing number formats")
    return ZeroShotNetwork.of(model.module, weights_of(model.spec.name, labels, TEMPLATES))


def first_look(question: Question, image: Image.Image) -> Measured:
    """A few runs in this very process, so that the page opens with something to see."""

    def work(on_progress: Callable[[float, str], None]) -> Measured:
        model = loaded_model(question.name)
        network, batch = network_of(model, question.labels), _batch(model, question, image)
        device = pick_device(question.device)
        with in_use(question.name):
            plan: TimingPlan | None = None
            runs: dict[str, list[float]] = {}
            for report in measure_latencies(
                network,
                batch,
                [FORMATS[name] for name in question.formats],
                device=device,
                runs=12,
                warmups=2,
                budget_s=2 * FIRST_SECONDS,
                pass_budget_s=FIRST_PASS_SECONDS,
            ):
                if isinstance(report, TimingPlan):
                    plan = report
                    continue
                runs.setdefault(report.name, []).append(report.milliseconds)
                on_progress(0.8 * report.done / report.total, f"A first look: run {report.done} of {report.total}")
                # Enough of a slow network, once every format has had a few turns.
                spent = sum(map(sum, runs.values())) / 1e3
                if spent > FIRST_SECONDS and report.done >= 3 * len(runs) and report.done % len(runs) == 0:
                    break
            assert plan is not None
            profiles = {}
            for number, name in enumerate(plan.formats):
                on_progress(0.8 + 0.2 * number / len(plan.formats), f"Following the memory of {FORMATS[name].title}")
                copied = cast(network, FORMATS[name], device)
                profiles[name] = memory_profile(copied, forward(copied, batch, FORMATS[name]), device)
        return Measured(timing=_timing(plan, runs), profiles=profiles, memory={}, whole=False)

    measured: Measured = shelved(("precision", "first", question), "A first look …", work)
    return measured


def whole_measurement(question: Question) -> Measured | None:
    """The protocol's figures, if they were taken; or what this session had when it stopped them."""
    found: Measured | None = on_shelf(("precision", "whole", question))
    if found is not None:
        return found
    kept: tuple[Question, Measured] | None = st.session_state.get(PARTIAL)
    return kept[1] if kept is not None and kept[0] == question else None


def measure_whole(question: Question, image: Image.Image, profiles: dict[str, MemoryProfile]) -> Measured:
    """The whole protocol, in processes of their own; ends with this script, so any click stops it between two runs.

    Raises:
        CoreError: somebody else is measuring, or the process failed.
    """
    if not _measuring().acquire(blocking=False):
        raise CoreError("Another visitor is measuring on this machine, and two at once would slow each other.", "Wait.")
    try:
        return _measure_whole(question, image, profiles)
    finally:
        _measuring().release()


def _measure_whole(question: Question, image: Image.Image, profiles: dict[str, MemoryProfile]) -> Measured:
    model = loaded_model(question.name)

    def work(on_progress: Callable[[float, str], None]) -> Measured:
        with tempfile.TemporaryDirectory(prefix="vitrine-precision-") as folder:
            command = _command(question, model, image, Path(folder))
            timing = _time(question, command, profiles, on_progress)
            memory = {}
            for number, name in enumerate(timing.plan.formats):
                share = 0.7 + 0.3 * number / len(timing.plan.formats)
                tick = partial(on_progress, share, f"{FORMATS[name].title}: memory of a fresh process")
                tick()
                for values in _lines([*command[:3], "memory", *command[4:], "--formats", name], tick):
                    memory[name] = from_dict(ProcessMemory, values)
        return Measured(timing=timing, profiles=profiles, memory=memory, whole=True)

    measured: Measured = shelved(("precision", "whole", question), "Starting a process of its own …", work)
    return measured


def _time(
    question: Question,
    command: list[str],
    profiles: dict[str, MemoryProfile],
    on_progress: Callable[[float, str], None],
) -> Timing:
    """The timing process; what is there so far is kept for this session after every run."""
    plan: TimingPlan | None = None
    runs: dict[str, list[float]] = {}
    formats = ",".join(question.formats) or "fp32"
    state = [(0.0, "Starting a process of its own …")]
    for values in _lines([*command, "--formats", formats], lambda: on_progress(*state[-1])):
        if "formats" in values:
            plan = _read_plan(values)
            continue
        assert plan is not None
        report = from_dict(TimedRun, values)
        runs.setdefault(report.name, []).append(report.milliseconds)
        kept = Measured(timing=_timing(plan, runs), profiles=profiles, memory={}, whole=False)
        if len(runs) == len(plan.formats):
            st.session_state[PARTIAL] = (question, kept)
        medians = ", ".join(f"{FORMATS[name].title} {np.median(each):.3g} ms" for name, each in runs.items())
        state.append((0.7 * report.done / report.total, f"Run {report.done} of {report.total}: medians {medians}"))
        on_progress(*state[-1])
    assert plan is not None
    return _timing(plan, runs)


def logits_of_set(
    question: Question, number_format: str, source: str, pictures: list[Picture], seconds_per_image: float = 0.0
) -> np.ndarray:
    """(pictures, classes) float64 in one format; stops between two batches when somebody clicks elsewhere.

    `seconds_per_image`: a batch of a slow format is kept short.
    """

    def work(on_progress: Callable[[float, str], None]) -> np.ndarray:
        model = loaded_model(question.name)
        network, chosen = network_of(model, question.labels), FORMATS[number_format]
        device = pick_device(question.device)
        size = 1 if seconds_per_image > 0.5 else 8
        parts = []
        with in_use(question.name):
            copied = cast(network, chosen, device)
            for start in range(0, len(pictures), size):
                on_progress(start / len(pictures), f"{chosen.title}: image {start + 1} of {len(pictures)}")
                images = [picture.image for picture in pictures[start : start + size]]
                parts.append(logits_in(copied, to_batch(images, model.network.preprocessing), chosen, batch_size=size))
        return np.concatenate(parts)

    key = ("precision", "logits", question.name, question.labels, question.device, number_format, source, len(pictures))
    logits: np.ndarray = shelved((*key, pictures[0].digest), f"Asking in {FORMATS[number_format].title} …", work)
    return logits


def agreement_of(
    question: Question, number_format: str, source: str, pictures: list[Picture], slow: float
) -> Agreement:
    """The answers in fp32 and in `number_format`; `slow`: predicted seconds an image."""
    reference = logits_of_set(question, "fp32", source, pictures)
    return agreement(reference, logits_of_set(question, number_format, source, pictures, slow))


def seconds_an_image(timing: Timing, number_format: str) -> float:
    """What a format takes for one image here, measured or as its probe predicts."""
    if number_format in timing.latencies:
        return timing.latencies[number_format].median / timing.plan.batch_size / 1e3
    probe = timing.plan.probes.get(number_format)
    return probe.pass_ms / timing.plan.batch_size / 1e3 if probe is not None else 0.0


@st.cache_resource(max_entries=8, show_spinner=False)
def compared_pictures(source: str, count: int) -> tuple[Picture, ...]:
    """The images whose answers are compared: the example photos, or `count` random ones of a data set's split."""
    if source == "examples":
        found = [(EXAMPLES[name].title, load_example(name)) for name in EXAMPLES]
    else:
        name, _, split = source.partition("/")
        titles = class_titles(name)
        found = [(titles[label], image) for image, label in sample_images(name, split, count, 0)]
    return tuple(
        Picture(key=f"{source}/{number}", title=title, image=image, digest=image_digest(image))
        for number, (title, image) in enumerate(found)
    )


def picture_sources() -> dict[str, str]:
    """What can be compared on this machine, with titles."""
    found = {"examples": f"The {len(EXAMPLES)} example photos"}
    for name, card in installed_datasets().items():
        for split in card["splits"]:
            if split in ("test", "val") or len(card["splits"]) == 1 or not {"test", "val"} & set(card["splits"]):
                found[f"{name}/{split}"] = f"{card['title']}, {split}"
    return found


def class_titles(name: str) -> tuple[str, ...]:
    """Readable names of a data set's classes, in label order."""
    card = read_dataset(name)
    return dataset_labels(card["classes"], card.get("class_titles"))


def default_labels(source: str) -> tuple[str, ...]:
    """Labels for a zero-shot classifier on these images."""
    if source == "examples":
        return tuple(dict.fromkeys(example.word or example.title for example in EXAMPLES.values()))
    return tuple(dict.fromkeys(class_titles(source.partition("/")[0])))


def sentence(number_format: str, measured: Measured, result: Agreement | None) -> str:
    """What a format changes, in one Markdown sentence computed from the numbers."""
    title = FORMATS[number_format].title
    timing = measured.timing
    parts = []
    if result is not None:
        same, count = int(result.same_answer.sum()), len(result)
        low, high = wilson_interval(same, count)
        parts.append(f"the same answer on **{same} of {count}** images (95 % interval {low:.0%} to {high:.0%})")
        if result.finite.any():
            largest = 100 * float(result.max_difference[result.finite].max())
            parts.append(f"no probability moves by more than {largest:.2g} points")
    if number_format in timing.latencies:
        ours, base = timing.latencies[number_format].median, timing.latencies["fp32"].median
        ratio = f"{base / ours:.2g} times as fast" if ours <= base else f"{ours / base:.2g} times as slow"
        parts.append(f"a pass takes {ours:.3g} ms where fp32 takes {base:.3g} (**{ratio}**)")
    elif number_format in timing.plan.probes:
        parts.append(f"about {timing.plan.probes[number_format].factor:,.0f} times as slow here, so not timed")
    if number_format in measured.profiles:
        ours_mib, base_mib = measured.profiles[number_format].total_mib, measured.profiles["fp32"].total_mib
        parts.append(f"{ours_mib / base_mib:.0%} of the memory")
    return f"**{title}**: " + "; ".join(parts) + "." if parts else ""


def how_measured(measured: Measured) -> str:
    """Where the latencies come from, for the caption."""
    plan = measured.timing.plan
    counts = {len(each) for each in measured.timing.latencies.values()}
    runs = "–".join(map(str, sorted({min(counts), max(counts)})))
    where = "in a process of its own" if measured.whole else "in the app's own process: a first look, not the protocol"
    if not measured.whole and plan.runs == RUNS:
        where = "in a process of its own, stopped before its end"
    return (
        f"{runs} runs of each after {plan.warmups} warm-ups, taking turns, batch of {plan.batch_size}, {where}. "
        f"{plan.conditions.sentence()}."
    )


def prediction(measured: Measured) -> str:
    """How long the whole protocol would take."""
    timing = measured.timing
    passes = sum(each.median for each in timing.latencies.values()) * (RUNS + WARMUPS) / 1e3
    # Two or more processes import PyTorch and load the model.
    return roughly(passes + 6 * (1 + len(timing.latencies)))


def _timing(plan: TimingPlan, runs: dict[str, list[float]]) -> Timing:
    latencies = {
        name: Latencies(milliseconds=np.array(runs[name], dtype=np.float32)) for name in plan.formats if name in runs
    }
    return Timing(plan=plan, latencies=latencies)


def _batch(model: LoadedModel, question: Question, image: Image.Image) -> torch.Tensor:
    return to_batch([image], model.network.preprocessing).repeat(question.batch_size, 1, 1, 1)


def _command(question: Question, model: LoadedModel, image: Image.Image, folder: Path) -> list[str]:
    """The timing process of a question; its inputs are written into `folder`."""
    np.save(folder / "batch.npy", _batch(model, question, image).numpy())
    command = [
        sys.executable, "-m", "core.methods.precision_probe", "timing", "--model", question.name,
        "--batch", str(folder / "batch.npy"), "--runs", str(RUNS), "--warmups", str(WARMUPS),
        "--device", question.device, "--threads", str(torch.get_num_threads()),
    ]  # fmt: skip
    if model.spec.lacks("classifier"):
        np.save(folder / "weights.npy", weights_of(question.name, question.labels, TEMPLATES))
        command += ["--text-weights", str(folder / "weights.npy")]
    return command


def _lines(command: list[str], tick: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """What a probing process prints, without its "kind"; `tick` is called while it is silent, and may raise to stop.

    Raises:
        CoreError: it said why it cannot, or died.
    """
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    printed: Queue[str | None] = Queue()
    # A thread of plain Python: this one must not be stuck in reading when somebody wants to stop.
    reader = threading.Thread(target=_read_into, args=(process, printed), daemon=True)
    reader.start()
    try:
        while True:
            try:
                line = printed.get(timeout=TICK_SECONDS)
            except Empty:
                tick()
                continue
            if line is None:
                break
            if line.startswith("{"):
                values = json.loads(line)
                if values.pop("kind") == "error":
                    raise CoreError(values["cause"], values["remedy"])
                yield values
        if process.wait() != 0:
            assert process.stderr is not None
            said = process.stderr.read().strip().splitlines()
            raise CoreError("The measuring process did not get through.", said[-1] if said else "")
    finally:
        # Also when the visitor clicks elsewhere, which ends this script at its next element.
        process.kill()
        process.wait()


def _read_into(process: subprocess.Popen[str], printed: Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        printed.put(line)
    printed.put(None)


def _read_plan(values: dict[str, Any]) -> TimingPlan:
    """A plan as the process prints it."""
    probes = {name: from_dict(Probe, each) for name, each in values["probes"].items()}
    return TimingPlan(
        formats=tuple(values["formats"]),
        probes=probes,
        left_out=values["left_out"],
        conditions=from_dict(Conditions, values["conditions"]),
        runs=values["runs"],
        warmups=values["warmups"],
        batch_size=values["batch_size"],
    )


@st.cache_resource(show_spinner=False)
def _measuring() -> threading.Lock:
    """Held by whoever measures: timings taken at once would measure each other."""
    return threading.Lock()
