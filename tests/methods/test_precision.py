"""Formats, their casts, and a slow one that is left out and said so; the process that measures on its own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.device import dtype_of
from core.errors import IncompatibleError, UnknownNameError
from core.methods.precision import precision_probe
from core.methods.precision.agreement import agreement
from core.methods.precision.memory_profile import MIB, parameter_bytes
from core.methods.precision.precision import (
    FORMATS,
    ZeroShotNetwork,
    cast,
    find_format,
    forward,
    logits_in,
    measure_latencies,
    probe,
)
from core.models.weights import load
from core.paths import CHECKOUT
from core.reports import finish
from tests.clip_toy import save_tiny_clip

CPU = torch.device("cpu")


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10)).eval()


class Slow(nn.Module):
    """Takes a while in every format but fp32."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.weight = nn.Parameter(torch.ones(1))
        self.passes = 0

    def forward(self, images: Tensor) -> Tensor:
        self.passes += 1
        if images.dtype != torch.float32:
            time.sleep(self.seconds)
        return images.mean(dim=(2, 3)) * self.weight


def test_the_constants_are_the_published_ones() -> None:
    assert FORMATS["fp16"].spacing == pytest.approx(9.77e-4, rel=1e-3)
    assert FORMATS["bf16"].spacing == pytest.approx(7.81e-3, rel=1e-3)
    assert FORMATS["fp16"].largest == 65504
    with pytest.raises(UnknownNameError, match="bf16"):
        find_format("bf61")


@pytest.mark.parametrize("name", FORMATS)
def test_a_cast_is_a_copy_in_the_format(name: str) -> None:
    module, chosen = tiny(), FORMATS[name]
    before = {key: value.clone() for key, value in module.state_dict().items()}
    copied = cast(module, chosen, CPU)
    assert {parameter.dtype for parameter in copied.parameters()} == {dtype_of(chosen.weights)}
    assert parameter_bytes(copied) * (2 if chosen.weights != "fp32" else 1) == parameter_bytes(module)
    images = torch.rand(4, 3, 12, 12)
    logits = forward(copied, images, chosen)()
    assert logits.dtype == dtype_of(chosen.computes)
    result = agreement(logits_in(module, images, FORMATS["fp32"]), logits_in(copied, images, chosen))
    assert (result.max_difference.max() == 0) == (name == "fp32")
    # A few roundings of a few products: some times the spacing of the format.
    assert result.logit_error.max() < 8 * chosen.spacing * np.abs(logits.double()).max().item()
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_the_batch_size_changes_no_logit() -> None:
    module, images = tiny(), torch.rand(7, 3, 12, 12)
    whole = logits_in(module, images, FORMATS["fp32"])
    np.testing.assert_allclose(logits_in(module, images, FORMATS["fp32"], batch_size=2), whole, atol=1e-6)


def test_a_network_that_cannot_is_a_sentence() -> None:
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.layer(images.float().mean(dim=(2, 3)))

    chosen = FORMATS["bf16"]
    with pytest.raises(IncompatibleError, match="cannot compute in bf16"):
        forward(cast(Stubborn(), chosen, CPU), torch.rand(1, 3, 4, 4), chosen)()


def test_timings_are_complete_and_a_slow_format_is_left_out_with_its_factor() -> None:
    module, images = Slow(0.03), torch.rand(2, 3, 4, 4)
    started = time.perf_counter()
    timing = finish(measure_latencies(module, images, [FORMATS["bf16"]], device=CPU, runs=20, warmups=2, budget_s=0.3))
    assert time.perf_counter() - started < 30
    assert list(timing.latencies) == ["fp32"]
    assert len(timing.latencies["fp32"]) == 20
    assert timing.plan.probes["bf16"].measured
    assert timing.plan.probes["bf16"].pass_ms >= 30
    assert f"{timing.plan.probes['bf16'].factor:,.0f} times as slow" in timing.plan.left_out["bf16"]
    fast = finish(
        measure_latencies(tiny(), torch.rand(1, 3, 12, 12), list(FORMATS.values()), device=CPU, runs=3, warmups=1)
    )
    assert set(fast.latencies) == set(FORMATS)
    assert {len(latencies) for latencies in fast.latencies.values()} == {3}


def test_a_pass_that_is_predicted_to_take_too_long_is_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.methods.precision.precision._kernel_factor", lambda dtype: 1e6)
    module, images = Slow(5), torch.rand(1, 3, 4, 4)
    plain, chosen = FORMATS["fp32"], FORMATS["fp16"]
    copied = cast(module, chosen, CPU)
    found = probe(forward(module, images, plain), forward(copied, images, chosen), chosen, CPU, pass_budget_s=0.01)
    assert not found.measured
    assert found.factor == 1e6
    assert copied.passes == 0  # type: ignore[comparison-overlap]


def test_a_text_classifier_is_cast_with_its_encoder() -> None:
    class Encoder(nn.Module):
        logit_scale, logit_bias = 20.0, -1.0

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def embed(self, images: Tensor) -> Tensor:
            return self.layer(images.mean(dim=(2, 3)))

    encoder, weights = Encoder(), np.eye(4)[:3]
    network = ZeroShotNetwork.of(encoder, weights)
    images = torch.rand(5, 3, 2, 2)
    vectors = nn.functional.normalize(encoder.embed(images), dim=1)
    torch.testing.assert_close(network(images), 20 * vectors[:, :3] - 1)
    half = cast(network, FORMATS["bf16"], CPU)
    assert half.weights.dtype == torch.bfloat16
    assert forward(half, images, FORMATS["bf16"])().dtype == torch.bfloat16


@pytest.mark.parametrize("vision", [None, {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8}])
def test_of_a_clip_the_image_tower_alone_is_cast_and_weighed(tmp_path: Path, vision: dict | None) -> None:
    folder = save_tiny_clip(tmp_path / "tiny", **({"vision": vision} if vision else {}))
    encoder = load(f"folder:{folder}").module
    size = encoder.model.visual.image_size  # type: ignore[union-attr]
    images = torch.rand(2, 3, *(size if isinstance(size, tuple) else (size, size)))
    with torch.no_grad():
        embedded = encoder.embed(images)  # type: ignore[operator]
    weights = np.eye(embedded.shape[1], dtype=np.float32)[:2]
    network = ZeroShotNetwork.of(encoder, weights)
    visual = parameter_bytes(encoder.model.visual)  # type: ignore[arg-type, union-attr]
    scale = parameter_bytes(network) - visual - weights.nbytes
    assert 0 < scale <= 8  # logit_scale
    assert parameter_bytes(encoder) > visual + 100_000  # the text tower is there, and stays with the encoder itself
    assert len(encoder.embed_texts(["a cat"])) == 1  # type: ignore[operator]
    copied = cast(network, FORMATS["bf16"], CPU)
    assert parameter_bytes(copied) == pytest.approx(parameter_bytes(network) / 2, rel=1e-3)
    vectors = nn.functional.normalize(embedded, dim=1)
    with torch.no_grad():
        torch.testing.assert_close(network(images), network.scale * vectors[:, :2] + network.bias)


def test_the_process_of_its_own_times_and_weighs(capsys: pytest.CaptureFixture[str]) -> None:
    """The same entry point, in this process: what it prints is what the page reads."""
    assert (
        precision_probe.main(["timing", "--model", "vit_p4", "--runs", "2", "--warmups", "1", "--device", "cpu"]) == 0
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines] == ["plan"] + ["run"] * 4
    assert sorted(line["name"] for line in lines[1:]) == ["bf16", "bf16", "fp32", "fp32"]
    assert all(line["milliseconds"] > 0 for line in lines[1:])
    assert lines[0]["formats"] == ["fp32", "bf16"]
    assert lines[0]["conditions"]["threads"] == torch.get_num_threads()
    assert precision_probe.main(["memory", "--model", "vit_p4", "--formats", "bf16", "--device", "cpu"]) == 0
    memory = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(memory) == {"kind", *(field.name for field in dataclasses.fields(precision_probe.ProcessMemory))}
    assert memory["base_mib"] > 50
    assert precision_probe.main(["memory", "--model", "vit_p4", "--formats", "bf16,fp16", "--device", "cpu"]) == 1
    assert "fresh process for each" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_a_fresh_process_holds_the_weights_in_their_format_and_not_the_fp32_they_came_from() -> None:
    command = "memory --model vit_p4 --formats bf16 --batch-size 16 --device cpu --threads 1"
    done = subprocess.run(
        [sys.executable, "-m", "core.methods.precision.precision_probe", *command.split()],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    memory = json.loads(done.stdout.splitlines()[-1])
    parameters_mib = parameter_bytes(cast(load("vit_p4").module, FORMATS["bf16"], CPU)) / MIB
    assert parameters_mib * 0.9 < memory["loaded_mib"] < parameters_mib * 1.5 + 1
    assert memory["peak_mib"] > memory["loaded_mib"]
