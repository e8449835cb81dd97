"""Which precision is fast here: bf16 runs at twice the speed of fp32 on some processors, at a tenth on others.

No list of processors is kept: a block of a transformer is timed in both, once for a machine, and the answer is kept
under `VITRINE_HOME/cache/precision`. `VITRINE_PRECISION=fp32` (or bf16) says what "auto" means without a look.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.errors import ConfigError
from core.files import write_json
from core.paths import cache_root
from core.timing import in_turns

if TYPE_CHECKING:  # torch takes seconds to import
    import torch

PrecisionChoice = Literal["auto", "fp32", "bf16", "fp16"]
Work = Literal["training", "inference"]

# bf16 must be worth its digits: it has three, and what it gains is soon lost in a noisy measurement.
LEAST_GAIN = 1.2
# A network of the size that a CPU trains: (images, tokens, dim) and heads.
_SHAPE, _HEADS = (8, 65, 192), 3
_ROUNDS, _BUDGET_S = 9, 0.6

_lock = threading.Lock()
_known: dict[str, Chosen] = {}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What "auto" came to.

    Attributes:
        precision: of matrix products.
        reason: why, as the end of a sentence.
    """

    precision: Literal["fp32", "bf16", "fp16"]
    reason: str

    def sentence(self) -> str:
        """For a log, a card or a page."""
        return f"Precision {self.precision}: {self.reason}."


def choose_precision(asked: PrecisionChoice, device: torch.device, work: Work = "training") -> Chosen:
    """`asked` itself, or for "auto" what is fastest on `device` with as many threads as torch has now.

    On a CPU or an Apple GPU bf16 is chosen where it was measured to be at least `LEAST_GAIN` times as fast, which takes
    a second the first time; fp16 never. On a CUDA GPU it is bf16 from compute capability 8.0 on, fp16 from 7.0 on.

    Raises:
        ConfigError: `VITRINE_PRECISION` names none.
    """
    if asked != "auto":
        return Chosen(precision=asked, reason="as set")
    if (forced := os.environ.get("VITRINE_PRECISION", "")) not in ("", "auto"):
        if forced not in ("fp32", "bf16", "fp16"):
            raise ConfigError(f"VITRINE_PRECISION is {forced!r}.", "Set it to fp32, bf16 or auto.")
        if forced == "fp16" and device.type == "cpu":
            raise ConfigError("VITRINE_PRECISION is fp16, in which a CPU cannot train.", "Set it to fp32 or bf16.")
        return Chosen(precision=forced, reason="VITRINE_PRECISION says so")  # type: ignore[arg-type]
    return _of_gpu(device) if device.type == "cuda" else _measured(device, work)


def known_choice(device: torch.device, work: Work = "training") -> Chosen | None:
    """What `choose_precision("auto", ...)` would say where it need not measure; None where it would."""
    if device.type == "cuda" or os.environ.get("VITRINE_PRECISION", "") not in ("", "auto"):
        return choose_precision("auto", device, work)
    key = _key(device, work)
    return _known.get(json.dumps(key)) or _read(key)


def processor_name() -> str:
    """What Linux calls the processor; elsewhere what Python knows of it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def measure_formats(device: torch.device, work: Work = "training") -> tuple[list[float], list[float]]:
    """Seconds that one block takes in fp32 and in bf16, in turns; nothing where bf16 does not run.

    A processor on which bf16 takes ten times as long is recognised after a few runs of it.
    """
    block, images = _block(device)
    seconds: dict[str, list[float]] = {"fp32": [], "bf16": []}
    works = {precision: partial(_pass, block, images, precision, work) for precision in seconds}
    began = time.perf_counter()
    try:
        for done, (precision, took) in enumerate(in_turns(works, device, rounds=_ROUNDS), 1):
            seconds[precision].append(took)
            if done % 2 == 0 and done >= 6 and time.perf_counter() - began > _BUDGET_S:
                break
    except RuntimeError:  # no bf16 on this device at all
        return [], []
    return seconds["fp32"], seconds["bf16"]


def decide(fp32_s: Sequence[float], bf16_s: Sequence[float]) -> Chosen:
    """The format for these times of the same work, round by round.

    bf16 has to win twice: by the best times, which a busy machine disturbs least, and in most rounds. Where it is
    emulated, choosing it costs a multiple of the time; not choosing it costs a third elsewhere.
    """
    if not bf16_s:
        return Chosen(precision="fp32", reason="bf16 does not run on this device")
    gain = min(min(fp32_s) / min(bf16_s), statistics.median(_gains(fp32_s, bf16_s)))
    if gain >= LEAST_GAIN:
        return Chosen(precision="bf16", reason=f"measured on this machine, bf16 is {gain:.1f} times as fast as fp32")
    said = f"takes {1 / gain:.1f} times as long as fp32" if gain < 1 else f"gains only {gain - 1:.0%}"
    return Chosen(precision="fp32", reason=f"measured on this machine, bf16 {said}")


def is_clear(fp32_s: Sequence[float], bf16_s: Sequence[float]) -> bool:
    """Whether three quarters of the rounds say the same, so that the answer is worth keeping."""
    for_bf16 = [gain >= LEAST_GAIN for gain in _gains(fp32_s, bf16_s)]
    return not for_bf16 or not 0.25 < statistics.mean(for_bf16) < 0.75


def _gains(fp32_s: Sequence[float], bf16_s: Sequence[float]) -> list[float]:
    return [slow / fast for slow, fast in zip(fp32_s, bf16_s, strict=True)]


def _of_gpu(device: torch.device) -> Chosen:
    import torch

    major, minor = torch.cuda.get_device_capability(device)
    of = f"compute capability {major}.{minor}"
    if major >= 8 and torch.cuda.is_bf16_supported():
        return Chosen(precision="bf16", reason=f"this GPU computes it ({of})")
    if major >= 7:
        return Chosen(precision="fp16", reason=f"this GPU has fast fp16 and no fast bf16 ({of})")
    return Chosen(precision="fp32", reason=f"this GPU has no fast shorter format ({of})")


def _measured(device: torch.device, work: Work) -> Chosen:
    key = _key(device, work)
    with _lock:  # two measurements at once would slow each other down
        name = json.dumps(key)
        if name not in _known:
            found = _read(key)
            if found is None:
                times = measure_formats(device, work)
                found = decide(*times)
                if is_clear(*times):  # else the machine was busy: another process measures again
                    _write(key, found)
            _known[name] = found
        return _known[name]


def _key(device: torch.device, work: Work) -> dict[str, str | int]:
    """All that the answer depends on."""
    import torch

    return {
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": device.type,
        "work": work,
        # What a person may forbid oneDNN to use.
        "most_instructions": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
    }


def _place(key: dict[str, str | int]) -> Path:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode("utf-8")).hexdigest()[:16]
    return cache_root() / "precision" / f"{digest}.json"


def _read(key: dict[str, str | int]) -> Chosen | None:
    try:
        kept = json.loads(_place(key).read_text(encoding="utf-8"))
        if kept["key"] != key or kept["chosen"]["precision"] not in ("fp32", "bf16"):
            return None
        return Chosen(**kept["chosen"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # measured again


def _write(key: dict[str, str | int], chosen: Chosen) -> None:
    with suppress(OSError):  # a home that cannot be written to: measured again next time
        write_json(_place(key), {"key": key, "chosen": asdict(chosen)})


def _block(device: torch.device) -> tuple[torch.nn.Module, torch.Tensor]:
    """A block of a transformer, and tokens to put through it; the caller's random numbers stay as they are."""
    import torch

    with torch.random.fork_rng(devices=[]):
        block = torch.nn.TransformerEncoderLayer(
            _SHAPE[-1], _HEADS, 4 * _SHAPE[-1], dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        tokens = torch.randn(_SHAPE)
    return block.to(device), tokens.to(device)


def _pass(block: torch.nn.Module, tokens: torch.Tensor, precision: str, work: Work) -> None:
    import torch

    from core.device import autocast

    training = work == "training"
    block.zero_grad(set_to_none=True)
    # `train` and gradients keep torch from its fused kernel for inference, which no network here uses.
    with torch.set_grad_enabled(training), autocast(tokens.device, precision):  # type: ignore[arg-type]
        out = block.train()(tokens)
    if training:
        out.float().square().mean().backward()
