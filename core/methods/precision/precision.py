"""What half the bits cost: the same network in bf16 and fp16 beside fp32.

`.half()` halves the weights; autocast leaves them in fp32 and computes matrix products and convolutions in the shorter
format. Both are here, because their speed, memory and error differ.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from core.device import autocast, dtype_of
from core.errors import CoreError, IncompatibleError, UnknownNameError
from core.methods.anatomy.anatomy import text_tensors
from core.methods.precision.timing import Conditions, Latencies, TimedRun, conditions, interleaved_runs
from core.reports import roughly
from core.timing import seconds_of

# A format that takes up to so many times as long as fp32 is never left out: fp32 is measured in any case.
TOLERATED_FACTOR = 3.0


@dataclass(frozen=True, kw_only=True)
class NumberFormat:
    """One way to hold numbers.

    Attributes:
        weights: what weights and inputs are cast to.
        autocast: what products and convolutions are computed in, if that is something else.
        spacing: the relative distance of neighbouring numbers (machine epsilon) of the computing format.
        largest: the largest number of it.
    """

    name: str
    title: str
    weights: Literal["fp32", "bf16", "fp16"]
    autocast: Literal["bf16", "fp16"] | None = None
    spacing: float
    largest: float

    @property
    def computes(self) -> Literal["fp32", "bf16", "fp16"]:
        """The format of products and convolutions."""
        return self.autocast or self.weights


def _format(
    name: str, title: str, weights: Literal["fp32", "bf16", "fp16"], inner: Literal["bf16", "fp16"] | None = None
) -> NumberFormat:
    info = torch.finfo(dtype_of(inner or weights))
    return NumberFormat(
        name=name, title=title, weights=weights, autocast=inner, spacing=float(info.eps), largest=float(info.max)
    )


FORMATS: dict[str, NumberFormat] = {
    each.name: each
    for each in (
        _format("fp32", "fp32", "fp32"),
        _format("bf16", "bf16", "bf16"),
        _format("fp16", "fp16", "fp16"),
        _format("bf16_autocast", "bf16 autocast", "fp32", "bf16"),
        _format("fp16_autocast", "fp16 autocast", "fp32", "fp16"),
    )
}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a format would cost here, before it is allowed to.

    Attributes:
        pass_ms: one pass; predicted where `measured` is False.
        factor: times as long as the fp32 pass.
        measured: whether a pass was made, or only a small product and convolution.
    """

    pass_ms: float
    factor: float
    measured: bool

    def predicted_s(self, passes: int) -> float:
        """Seconds that so many passes would take."""
        return self.pass_ms * passes / 1e3


@dataclass(frozen=True, kw_only=True)
class TimingPlan:
    """What is going to be timed, decided by probes.

    Attributes:
        formats: names of those that are timed, fp32 first.
        probes: by format, fp32 aside.
        left_out: by format, why it is not timed, in words.
        runs, warmups: of each format.
        batch_size: images in a pass.
    """

    formats: tuple[str, ...]
    probes: dict[str, Probe]
    left_out: dict[str, str]
    conditions: Conditions
    runs: int
    warmups: int
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The runs of a plan by format; fewer than planned where it was stopped."""

    plan: TimingPlan
    latencies: dict[str, Latencies]


class ZeroShotNetwork(nn.Module):
    """An image encoder with a row of text vectors for a head, so that it can be cast like any classifier.

    Of a model of images and texts it keeps the image tower alone: the text tower has done its work when the labels'
    vectors are there, and is neither timed nor weighed.

    `weights`: (labels, dim) unit vectors, computed once in fp32.
    """

    weights: Tensor

    def __init__(self, encoder: nn.Module, weights: np.ndarray, *, scale: float, bias: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("weights", torch.from_numpy(np.array(weights, dtype=np.float32)))
        self.scale, self.bias = scale, bias

    @classmethod
    def of(cls, encoder: nn.Module, weights: np.ndarray) -> ZeroShotNetwork:
        """With the scale and bias that `encoder`, an `ImageTextEncoder`, has learned."""
        scale, bias = float(encoder.logit_scale), float(encoder.logit_bias)  # type: ignore[arg-type]
        return cls(image_tower(encoder), weights, scale=scale, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, labels) logits: scale · cosine + bias."""
        vectors: Tensor = self.encoder.embed(images)  # type: ignore[operator]
        cosines = nn.functional.normalize(vectors, dim=-1) @ self.weights.to(vectors.dtype).T
        return self.scale * cosines + self.bias


def parameter_count(module: nn.Module) -> int:
    """Numbers that were learned; shared ones count once."""
    return sum(each.numel() for each in {id(each): each for each in module.parameters()}.values())


def image_tower(encoder: nn.Module) -> nn.Module:
    """`encoder` without the tensors that only texts pass through; the others are shared with it, not copied."""
    shared: dict[int, object] = {id(each): each for each in (*encoder.parameters(), *encoder.buffers())}
    tokenizer = getattr(encoder, "tokenizer", None)
    if tokenizer is not None:
        shared[id(tokenizer)] = tokenizer
    copied = copy.deepcopy(encoder, shared)
    for name in text_tensors(encoder):
        place, _, own = name.rpartition(".")
        owner = copied.get_submodule(place)
        (owner._parameters if own in owner._parameters else owner._buffers)[own] = None
    return copied


def find_format(name: str) -> NumberFormat:
    """The number format called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in FORMATS:
        raise UnknownNameError("number format", name, FORMATS)
    return FORMATS[name]


def cast(module: nn.Module, number_format: NumberFormat, device: torch.device) -> nn.Module:
    """A copy of `module` on `device` with its weights in the format; the module itself stays what it is."""
    return copy.deepcopy(module).to(device, dtype_of(number_format.weights)).eval()


def forward(module: nn.Module, images: Tensor, number_format: NumberFormat) -> Callable[[], Tensor]:
    """A pass of an already cast `module` over `images`, which are brought to its device and format once, now.

    The pass raises `IncompatibleError` where the network cannot compute in the format.
    """
    device = next(module.parameters()).device
    fixed = images.to(device, dtype_of(number_format.weights))

    def work() -> Tensor:
        try:
            with torch.inference_mode(), autocast(device, number_format.autocast or "fp32"):
                logits: Tensor = module(fixed)
                return logits
        except (RuntimeError, NotImplementedError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise CoreError(
                    f"{number_format.title} ran out of memory on {device}.", "Use a smaller batch."
                ) from error
            reason = str(error).strip().splitlines()[0][:200]
            raise IncompatibleError(
                f"This model cannot compute in {number_format.title}: {reason}", "Choose another number format."
            ) from error

    return work


def logits_in(module: nn.Module, images: Tensor, number_format: NumberFormat, *, batch_size: int = 32) -> np.ndarray:
    """(images, classes) float64, as an already cast `module` computed them in the format."""
    parts = [forward(module, batch, number_format)() for batch in images.split(batch_size)]
    return np.concatenate([part.detach().cpu().double().numpy() for part in parts])


def measure_latencies(
    module: nn.Module,
    images: Tensor,
    formats: Sequence[NumberFormat],
    *,
    device: torch.device,
    runs: int = 100,
    warmups: int = 10,
    budget_s: float = 120.0,
    pass_budget_s: float = 5.0,
) -> Generator[TimingPlan | TimedRun, None, Timing]:
    """Time passes of `module` over `images` in every format, in turns; can be stopped between any two of them.

    First the plan is yielded, then every run.

    Args:
        formats: fp32 is always measured too, and first.
        budget_s: a format that is much slower than fp32 and whose probe predicts more for all its passes is left out,
            and why is said.
        pass_budget_s: see `probe`.
    """
    plain = FORMATS["fp32"]
    passes = {plain.name: forward(cast(module, plain, device), images, plain)}
    probes: dict[str, Probe] = {}
    left_out: dict[str, str] = {}
    now = conditions(device)
    for each in formats:
        if each.name == plain.name:
            continue
        work = forward(cast(module, each, device), images, each)
        try:
            found = probe(passes[plain.name], work, each, device, pass_budget_s=pass_budget_s)
        except CoreError as error:
            left_out[each.name] = str(error)
            continue
        probes[each.name] = found
        too_long = found.predicted_s(runs + warmups) > budget_s and found.factor > TOLERATED_FACTOR
        if not found.measured or too_long:
            left_out[each.name] = why_left_out(each, found, runs + warmups, device)
        else:
            passes[each.name] = work
    plan = TimingPlan(
        formats=tuple(passes),
        probes=probes,
        left_out=left_out,
        conditions=now,
        runs=runs,
        warmups=warmups,
        batch_size=len(images),
    )
    yield plan
    latencies = yield from interleaved_runs(passes, runs=runs, warmups=warmups, device=device)
    return Timing(plan=plan, latencies=latencies)


def why_left_out(number_format: NumberFormat, found: Probe, passes: int, device: torch.device) -> str:
    """The sentence for a format that was too slow to be timed."""
    how = "one pass was" if found.measured else "a small product and convolution were"
    reason = (
        f"{number_format.title} was not timed: {how} {found.factor:,.0f} times as slow as in fp32, so {passes} passes "
        f"would take about {roughly(found.predicted_s(passes))}."
    )
    if device.type == "cpu" and number_format.computes == "fp16":
        reason += " This processor has no fast fp16; it is a format for GPUs."
    return reason


def _milliseconds(work: Callable[[], object], device: torch.device) -> float:
    return 1e3 * seconds_of(work, device)


def probe(
    reference: Callable[[], object],
    reduced: Callable[[], object],
    number_format: NumberFormat,
    device: torch.device,
    *,
    pass_budget_s: float,
) -> Probe:
    """How long one pass takes in `number_format`, without ever waiting much longer than `pass_budget_s` for it.

    fp16 has no fast kernels on most CPUs and is dozens of times slower there, so on a CPU a small product and a small
    convolution are timed first; where they predict a pass longer than the budget, no pass is made.
    """
    base = min(_milliseconds(reference, device) for _ in range(2))
    if device.type == "cpu":
        factor = _kernel_factor(dtype_of(number_format.computes))
        if base * factor > pass_budget_s * 1e3 and factor > TOLERATED_FACTOR:
            return Probe(pass_ms=base * factor, factor=factor, measured=False)
    pass_ms = _milliseconds(reduced, device)
    if pass_ms < pass_budget_s * 1e3:  # a first pass is partly preparation
        pass_ms = min(pass_ms, _milliseconds(reduced, device))
    return Probe(pass_ms=pass_ms, factor=pass_ms / base, measured=True)


@torch.inference_mode()
def _kernel_factor(dtype: torch.dtype) -> float:
    """How many times longer a small product and convolution take than in fp32, the mean of both logarithms."""
    cpu = torch.device("cpu")
    product, image = torch.ones(96, 96), torch.ones(1, 32, 24, 24)
    kernel = torch.ones(32, 32, 3, 3)
    times = []
    for each in (torch.float32, dtype):
        first, picture, weights = product.to(each), image.to(each), kernel.to(each)
        works: list[Callable[[], Tensor]] = [
            lambda first=first: first @ first,  # type: ignore[misc]
            lambda picture=picture, weights=weights: nn.functional.conv2d(picture, weights),  # type: ignore[misc]
        ]
        times.append([min(seconds_of(work, cpu) for _ in range(5)) for work in works])
    return float(np.exp(np.mean(np.log(np.array(times[1]) / np.array(times[0])))))
