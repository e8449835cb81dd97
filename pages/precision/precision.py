"""Measurements of the Precision page: a first look within seconds, the whole protocol in processes of its own."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from core.configs import from_dict
from core.data.transforms import to_batch
from core.device import pick_device
from core.errors import CoreError
from core.methods.precision.agreement import Agreement, agreement
from core.methods.precision.memory_profile import MemoryProfile, memory_profile
from core.methods.precision.precision import (
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
from core.methods.precision.precision_probe import ProcessMemory
from core.methods.precision.timing import Conditions, Latencies, TimedRun
from core.models.spec import LoadedModel
from core.reports import OnProgress, silent
from pages.shared.cache import in_use, loaded_model
from pages.shared.pickers import Picture
from pages.shared.probe_process import printed_by
from pages.shared.results import SharedResults, shared, store
from pages.shared.zero_shot import weights_of

RUNS, WARMUPS = 100, 10
# The first look takes about this long for all its runs, and no format may take longer for one pass.
FIRST_SECONDS, FIRST_PASS_SECONDS = 1.0, 0.4
# Held by whoever measures: timings taken at once would measure each other.
_MEASURING = threading.Lock()
TEMPLATES = ("a photo of a {}.",)


@dataclass(frozen=True)
class PrecisionRequest:
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
    """What is timed: the classifier, or the image encoder alone with its labels' vectors. Not to be called locked."""
    if not model.spec.lacks("classifier"):
        return model.module
    model.spec.require("image_text", "Comparing number formats")
    return ZeroShotNetwork.of(model.module, weights_of(model.spec.name, labels, TEMPLATES))


@shared("A first look …")
def first_look(question: PrecisionRequest, _image: Image.Image, *, on_progress: OnProgress = silent) -> Measured:
    """A few runs in this very process, so that the page opens with something to see."""
    model = loaded_model(question.name)
    network, batch = network_of(model, question.labels), _batch(model, question, _image)
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
            warmups=1,
            budget_s=2 * FIRST_SECONDS,
            pass_budget_s=FIRST_PASS_SECONDS,
        ):
            if isinstance(report, TimingPlan):
                plan = report
                continue
            runs.setdefault(report.name, []).append(report.milliseconds)
            on_progress(0.8 * report.done / report.total, f"run {report.done} of {report.total}")
            # Enough of a slow network, once every format has had a few turns.
            spent = sum(map(sum, runs.values())) / 1e3
            assert plan is not None
            if spent > FIRST_SECONDS and report.done >= 3 * len(plan.formats) and report.done % len(plan.formats) == 0:
                break
        assert plan is not None
        profiles = {}
        for number, name in enumerate(plan.formats):
            on_progress(0.8 + 0.2 * number / len(plan.formats), f"the memory of {FORMATS[name].title}")
            copied = cast(network, FORMATS[name], device)
            profiles[name] = memory_profile(copied, forward(copied, batch, FORMATS[name]), device)
    return Measured(timing=_timing(plan, runs), profiles=profiles, memory={}, whole=False)


def whole_measurement(question: PrecisionRequest) -> Measured | None:
    """The protocol's figures, if they were taken; or what there was when somebody stopped them."""
    known = _measure_whole.known(question, None, {})
    return known if known is not None else next(iter(_partial().get((question,))), None)


def measure_whole(question: PrecisionRequest, image: Image.Image, profiles: dict[str, MemoryProfile]) -> Measured:
    """The whole protocol, in processes of their own, which end when nobody waits for them.

    Raises:
        CoreError: somebody else is measuring, or the process failed.
    """
    return _measure_whole(question, image, profiles)


@shared("Measuring", stays_stopped=False)
def _measure_whole(
    question: PrecisionRequest,
    _image: Image.Image | None,
    _profiles: dict[str, MemoryProfile],
    *,
    on_progress: OnProgress = silent,
) -> Measured:
    assert _image is not None
    if not _MEASURING.acquire(blocking=False):
        raise CoreError("Another visitor is measuring on this machine, and two at once would slow each other.", "Wait.")
    try:
        return _protocol(question, _image, _profiles, on_progress)
    finally:
        _MEASURING.release()


def _protocol(
    question: PrecisionRequest, image: Image.Image, profiles: dict[str, MemoryProfile], on_progress: OnProgress
) -> Measured:
    with tempfile.TemporaryDirectory(prefix="vitrine-precision-") as folder:
        command = _command(question, loaded_model(question.name), image, Path(folder))
        timing = _time(question, command, profiles, on_progress)
        memory = {}
        for number, name in enumerate(timing.plan.formats):
            share = 0.7 + 0.3 * number / len(timing.plan.formats)
            tick = partial(on_progress, share, f"{FORMATS[name].title}: memory of a fresh process")
            tick()
            for values in printed_by([*command[:3], "memory", *command[4:], "--formats", name], tick):
                memory[name] = from_dict(ProcessMemory, values)
    return Measured(timing=timing, profiles=profiles, memory=memory, whole=True)


def _time(
    question: PrecisionRequest,
    command: list[str],
    profiles: dict[str, MemoryProfile],
    on_progress: OnProgress,
) -> Timing:
    """The timing process; what is there so far is kept after every run."""
    plan: TimingPlan | None = None
    runs: dict[str, list[float]] = {}
    formats = ",".join(question.formats) or "fp32"
    state = [(0.0, "starting a process of its own")]
    for values in printed_by([*command, "--formats", formats], lambda: on_progress(*state[-1])):
        if "formats" in values:
            plan = _read_plan(values)
            continue
        assert plan is not None
        report = from_dict(TimedRun, values)
        runs.setdefault(report.name, []).append(report.milliseconds)
        kept = Measured(timing=_timing(plan, runs), profiles=profiles, memory={}, whole=False)
        if len(runs) == len(plan.formats):
            _partial().put((question,), kept)
        medians = ", ".join(f"{FORMATS[name].title} {np.median(each):.3g} ms" for name, each in runs.items())
        state.append((0.7 * report.done / report.total, f"run {report.done} of {report.total}, medians {medians}"))
        on_progress(*state[-1])
    assert plan is not None
    return _timing(plan, runs)


@shared(lambda name, labels, device, number_format, *_: f"Asking in {FORMATS[number_format].title} …")
def logits_of_set(
    name: str,
    labels: tuple[str, ...],
    device: str,
    number_format: str,
    digests: tuple[str, ...],
    _pictures: Sequence[Picture],
    _seconds_per_image: float = 0.0,
    *,
    on_progress: OnProgress = silent,
) -> np.ndarray:
    """(pictures, classes) float64 in one format; stops between two batches when somebody clicks elsewhere.

    `_seconds_per_image`: a batch of a slow format is kept short.
    """
    model = loaded_model(name)
    network, chosen = network_of(model, labels), FORMATS[number_format]
    size = 1 if _seconds_per_image > 0.5 else 8
    parts = []
    with in_use(name):
        copied = cast(network, chosen, pick_device(device))
        for start in range(0, len(_pictures), size):
            on_progress(start / len(_pictures), f"image {start + 1} of {len(_pictures)}")
            images = [picture.image for picture in _pictures[start : start + size]]
            parts.append(logits_in(copied, to_batch(images, model.network.preprocessing), chosen, batch_size=size))
    return np.concatenate(parts)


def agreement_of(question: PrecisionRequest, number_format: str, pictures: Sequence[Picture], slow: float) -> Agreement:
    """The answers in fp32 and in `number_format`; `slow`: predicted seconds an image."""
    asked = (question.name, question.labels, question.device)
    digests = tuple(picture.digest for picture in pictures)
    reference = logits_of_set(*asked, "fp32", digests, pictures)
    return agreement(reference, logits_of_set(*asked, number_format, digests, pictures, slow))


def seconds_an_image(timing: Timing, number_format: str) -> float:
    """What a format takes for one image here, measured or as its probe predicts."""
    if number_format in timing.latencies:
        return timing.latencies[number_format].median / timing.plan.batch_size / 1e3
    probe = timing.plan.probes.get(number_format)
    return probe.pass_ms / timing.plan.batch_size / 1e3 if probe is not None else 0.0


def _timing(plan: TimingPlan, runs: dict[str, list[float]]) -> Timing:
    latencies = {
        name: Latencies(milliseconds=np.array(runs[name], dtype=np.float32)) for name in plan.formats if name in runs
    }
    return Timing(plan=plan, latencies=latencies)


def _batch(model: LoadedModel, question: PrecisionRequest, image: Image.Image) -> torch.Tensor:
    return to_batch([image], model.network.preprocessing).repeat(question.batch_size, 1, 1, 1)


def _command(question: PrecisionRequest, model: LoadedModel, image: Image.Image, folder: Path) -> list[str]:
    """The timing process of a question; its inputs are written into `folder`."""
    np.save(folder / "batch.npy", _batch(model, question, image).numpy())
    command = [
        sys.executable, "-m", "core.methods.precision.precision_probe", "timing", "--model", question.name,
        "--batch", str(folder / "batch.npy"), "--runs", str(RUNS), "--warmups", str(WARMUPS),
        "--device", question.device, "--threads", str(torch.get_num_threads()),
    ]  # fmt: skip
    if model.spec.lacks("classifier"):
        np.save(folder / "weights.npy", weights_of(question.name, question.labels, TEMPLATES))
        command += ["--text-weights", str(folder / "weights.npy")]
    return command


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


def _partial() -> SharedResults:
    """What was measured of protocols that somebody stopped."""
    return store("partial protocols", 8)
