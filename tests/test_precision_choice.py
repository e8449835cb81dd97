"""What "auto" comes to: decided by measured times, kept for the machine, never fp16 on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from core import precision_choice
from core.errors import ConfigError
from core.precision_choice import Chosen, choose_precision, decide, is_clear, known_choice, measure_formats
from core.training.config import TrainingConfig

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that nothing is known of."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_PRECISION", raising=False)
    monkeypatch.setattr(precision_choice, "_known", {})
    return tmp_path


def measuring(monkeypatch: pytest.MonkeyPatch, fp32_s: float, bf16_s: float) -> list[str]:
    """The times that the next measurements find; returns what was measured."""
    asked: list[str] = []

    def found(device: torch.device, work: str) -> tuple[list[float], list[float]]:
        asked.append(work)
        return [fp32_s], [bf16_s]

    monkeypatch.setattr(precision_choice, "measure_formats", found)
    return asked


@pytest.mark.parametrize(
    ("fp32_s", "bf16_s", "expected", "said"),
    [
        (1.0, 10.0, "fp32", "takes 10.0 times as long"),  # a laptop: emulated
        (1.0, 0.9, "fp32", "gains only 11%"),  # not worth its digits
        (1.0, 0.5, "bf16", "2.0 times as fast"),
        (1.2, 1.0, "bf16", "1.2 times as fast"),
    ],
)
def test_bf16_is_chosen_where_it_was_measured_to_be_faster(
    fp32_s: float, bf16_s: float, expected: str, said: str
) -> None:
    chosen = decide([fp32_s] * 3, [bf16_s] * 3)
    assert chosen.precision == expected
    assert said in chosen.sentence()


def test_a_busy_machine_s_luck_does_not_choose_bf16() -> None:
    """Others took the cores during most runs of fp32, or spared one of bf16: the other criterion is not deceived."""
    fp32, bf16 = [11.0, 60.0, 70.0, 65.0, 12.0], [24.0, 25.0, 30.0, 28.0, 26.0]
    assert decide(fp32, bf16).precision == "fp32"
    assert decide([11.0, 11.0, 11.0, 60.0, 11.0], [24.0, 25.0, 9.0, 24.0, 25.0]).precision == "fp32"


def test_an_unclear_measurement_is_used_and_not_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unclear = [1.0, 2.0, 1.0, 2.0], [1.0, 1.0, 1.0, 1.0]
    monkeypatch.setattr(precision_choice, "measure_formats", lambda device, work: unclear)
    assert not is_clear(*unclear)
    assert choose_precision("auto", CPU).precision == "fp32"
    assert known_choice(CPU) is not None  # in this process
    assert not (home / "cache" / "precision").exists()


def test_a_training_asks_for_what_is_faster_unless_told() -> None:
    assert TrainingConfig().precision == "auto"
    assert choose_precision("bf16", CPU) == Chosen(precision="bf16", reason="as set")


def test_a_machine_is_measured_once_for_each_kind_of_work_and_number_of_threads(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = measuring(monkeypatch, 1.0, 8.0)
    assert known_choice(CPU) is None
    first = choose_precision("auto", CPU)
    assert first.precision == "fp32"
    monkeypatch.setattr(precision_choice, "_known", {})  # another process
    measuring(monkeypatch, 8.0, 1.0)
    assert choose_precision("auto", CPU) == known_choice(CPU) == first
    assert choose_precision("auto", CPU, "inference").precision == "bf16"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 96)
    assert choose_precision("auto", CPU).precision == "bf16"
    assert asked == ["training"]
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in (home / "cache" / "precision").iterdir()]
    assert {(each["key"]["work"], each["key"]["threads"] == 96) for each in kept} == {
        ("training", False),
        ("inference", False),
        ("training", True),
    }


def test_what_is_kept_counts_only_if_it_is_whole_and_of_this_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring(monkeypatch, 1.0, 8.0)
    choose_precision("auto", CPU)
    (path,) = (home / "cache" / "precision").iterdir()
    for damage in ("{", '{"key": {}}', '{"key": {}, "chosen": {"precision": "bf16", "reason": ""}}', "[]"):
        path.write_text(damage, encoding="utf-8")
        monkeypatch.setattr(precision_choice, "_known", {})
        assert choose_precision("auto", CPU).precision == "fp32"


def test_a_home_that_cannot_be_written_to_costs_a_measurement_and_no_more(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring(monkeypatch, 1.0, 8.0)
    (home / "cache").write_text("in the way", encoding="utf-8")
    assert choose_precision("auto", CPU).precision == "fp32"


def test_both_formats_are_timed_and_the_caller_s_random_numbers_stay() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fp32_s, bf16_s = measure_formats(CPU)
    assert len(fp32_s) == len(bf16_s) >= 3
    assert min(fp32_s + bf16_s) > 0
    torch.testing.assert_close(torch.rand(3), expected)


def test_a_device_without_bf16_gets_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(block: object, tokens: object, precision: str, work: str) -> float:
        if precision == "bf16":
            raise RuntimeError("BFloat16 is not supported on this device")
        return 0.1

    monkeypatch.setattr(precision_choice, "_pass", refuse)
    assert choose_precision("auto", CPU) == Chosen(precision="fp32", reason="bf16 does not run on this device")


@pytest.mark.parametrize(
    ("capability", "supported", "expected"),
    [
        ((9, 0), True, "bf16"),
        ((8, 0), True, "bf16"),
        ((7, 5), True, "fp16"),
        ((8, 6), False, "fp16"),
        ((6, 1), False, "fp32"),
    ],
)
def test_a_gpu_is_asked_and_not_measured(
    capability: tuple[int, int], supported: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torch says that a T4 supports bf16: it emulates it.
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    asked = measuring(monkeypatch, 1.0, 1.0)
    chosen = choose_precision("auto", GPU)
    assert chosen.precision == expected
    assert f"{capability[0]}.{capability[1]}" in chosen.reason
    assert asked == []


def test_the_environment_may_say_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_PRECISION", "bf16")
    assert choose_precision("auto", CPU).precision == "bf16"
    assert choose_precision("fp32", CPU).precision == "fp32"
    for wrong, match in (("fp8", "fp8"), ("fp16", "CPU cannot train")):
        monkeypatch.setenv("VITRINE_PRECISION", wrong)
        with pytest.raises(ConfigError, match=match):
            choose_precision("auto", CPU)
