import dataclasses
import io
import itertools
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from core.data.arrays import ArrayDataset
from core.data.transforms import HALF_NORMALISATION
from core.errors import ConfigError, RunFailedError
from core.models.differential import DifferentialViT
from core.models.vit import ViT, ViTConfig
from core.reports import Progress
from core.training.augment import REGIMES
from core.training.config import TrainingConfig
from core.training.evaluate import evaluate
from core.training.loop import EpochReport, Fit
from core.training.optim import schedule

MODEL = ViTConfig(
    image_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=2, classes=3, drop_path=0.2, pooling="mean"
)
TRAINING = TrainingConfig(
    epochs=4, batch_size=16, precision="fp32", augmentation="crop_flip_erase", learning_rate=3e-3, ema_decay=0.9
)


def _dataset(count: int, seed: int) -> ArrayDataset:
    """Three classes, told apart by which channel is brightest."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, size=count)
    images = random.integers(0, 100, size=(count, 8, 8, 3))
    images[np.arange(count), :, :, labels] += 120
    return ArrayDataset(
        name="channels", split="train", images=images.astype(np.uint8), labels=labels, classes=("r", "g", "b")
    )


def _fit(kind: type[ViT] = ViT, **changes: object) -> Fit:
    torch.manual_seed(0)
    config = dataclasses.replace(TRAINING, **changes)
    return Fit(kind(MODEL), _dataset(50, 0), _dataset(20, 1), HALF_NORMALISATION, config, device="cpu")


def _epochs(run: Iterable[Progress | EpochReport]) -> list[EpochReport]:
    return [report for report in run if isinstance(report, EpochReport)]


def _numbers(run: Iterable[Progress | EpochReport]) -> list[dict]:
    """All that must repeat exactly: everything but the speed."""
    return [{**dataclasses.asdict(report), "images_per_second": None} for report in _epochs(run)]


def _through_a_file(state: dict) -> dict:
    stored = io.BytesIO()
    torch.save(state, stored)
    stored.seek(0)
    return torch.load(stored, weights_only=True)


def _assert_same_weights(first: Fit, second: Fit) -> None:
    for part in ("model", "average"):
        theirs = getattr(second, part).state_dict()
        for name, tensor in getattr(first, part).state_dict().items():
            assert torch.equal(tensor, theirs[name]), f"{part}.{name}"


@given(steps=st.integers(1, 500), share=st.floats(0, 1))
def test_the_rate_rises_to_its_peak_then_falls(steps, share):
    rates = [schedule(step, steps, share) for step in range(steps)]
    warmup = max(1, round(steps * share))
    assert all(0 <= rate <= 1 for rate in rates)
    assert rates[warmup - 1] == 1
    assert all(a < b for a, b in pairwise(rates[:warmup]))
    assert all(a >= b for a, b in pairwise(rates[warmup:]))
    assert rates[0] > 0  # the first step is not wasted


def test_oracle_of_the_schedule():
    assert [schedule(step, 10, 0.2) for step in (0, 1, 2, 6)] == pytest.approx([0.5, 1, 1, 0.5])
    assert schedule(10, 10, 0.2) == pytest.approx(0)


def test_reports_count_and_the_rate_they_give_is_the_last_one_used():
    reports = _epochs(_fit().run())
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert [report.step for report in reports] == [4, 8, 12, 16]  # 50 images in batches of 16
    for report in reports:
        assert report.steps == 16
        assert report.learning_rate == pytest.approx(3e-3 * schedule(report.step - 1, 16, 0.05))
        assert 0 <= report.train_accuracy <= 1
        assert report.images_per_second > 0


@pytest.mark.parametrize("kind", [ViT, DifferentialViT])
def test_training_learns(kind):
    reports = _epochs(_fit(kind, epochs=25, learning_rate=1e-2).run())
    assert reports[-1].train_loss < 0.5 * reports[0].train_loss
    assert reports[-1].val_accuracy > 0.9


def test_losses_within_an_epoch_have_its_loss_as_their_mean():
    fit = _fit(epochs=2)
    reports = list(fit.run())
    steps = [report for report in reports if isinstance(report, Progress) and report.loss is not None]
    assert [report.step for report in steps] == list(range(1, 9))
    for epoch, closed in enumerate(_epochs(reports)):
        losses = [report.loss for report in steps[4 * epoch : 4 * epoch + 4]]
        assert np.average(losses, weights=[16, 16, 16, 2]) == pytest.approx(closed.train_loss, rel=1e-5)


def test_every_step_and_every_validation_batch_is_told():
    fit = _fit(epochs=2)
    reports = list(fit.run())
    assert [report.step for report in reports] == [1, 2, 3, 4, 4, 4, 4, 5, 6, 7, 8, 8, 8, 8]
    assert [isinstance(report, EpochReport) for report in reports] == ([False] * 6 + [True]) * 2
    assert all(report.steps == 8 for report in reports)
    assert reports[0].text == "epoch 1 of 2"
    assert reports[5].text == "validating, batch 2 of 2"
    assert (fit.step, fit.steps) == (8, 8)


def _resume_after(yields: int, kind: type[ViT], **changes: object) -> tuple[list[dict], Fit]:
    """Numbers and end of a training that was cut after so many yields and continued by another process."""
    first, reports = _fit(kind, **changes), []
    for report in itertools.islice(first.run(), yields):
        reports.append(report)
    state = _through_a_file(first.state())
    torch.manual_seed(12345)  # another process starts from other weights and another random state
    second = Fit(kind(MODEL), first.train_set, first.val_set, HALF_NORMALISATION, first.config, device="cpu")
    second.load_state(state)
    reports += list(second.run())
    return _numbers(reports), second


@pytest.mark.parametrize("kind", [ViT, DifferentialViT])
@pytest.mark.parametrize("yields", [1, 4, 5, 7, 10, 14])  # in an epoch, before, in and after its validation
def test_a_resumed_run_equals_one_that_never_stopped(kind, yields):
    whole = _fit(kind, epochs=2)
    expected = _numbers(whole.run())
    numbers, resumed = _resume_after(yields, kind, epochs=2)
    assert numbers == expected
    _assert_same_weights(resumed, whole)


@pytest.mark.parametrize(("regime", "optimizer"), [*((regime, "adamw") for regime in REGIMES), ("strong", "muon")])
def test_every_regime_resumes_within_an_epoch_and_within_a_chunk(regime, optimizer):
    changes = {"epochs": 2, "augmentation": regime, "optimizer": optimizer, "label_smoothing": 0.1}
    whole = _fit(**changes)
    expected = _numbers(whole.run())
    numbers, resumed = _resume_after(10, ViT, **changes)
    assert numbers == expected
    _assert_same_weights(resumed, whole)


def test_training_leaves_the_callers_randomness_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    fit = _fit(epochs=1)
    torch.manual_seed(7)
    list(fit.run())
    assert torch.equal(torch.rand(3), expected)


def test_patience_stops_on_validation_and_keeps_the_best_weights():
    # Random labels: nothing to learn, so accuracy soon stops rising.
    fit = _fit(epochs=50, patience=2, ema_decay=0.5)
    fit.val_set = dataclasses.replace(fit.val_set, labels=np.random.default_rng(3).integers(0, 3, 20))
    kept, accuracies = [], []
    for report in fit.run():
        if isinstance(report, EpochReport):
            accuracies.append(report.val_accuracy)
            kept.append({name: tensor.clone() for name, tensor in fit.average.state_dict().items()})
    best = int(np.argmax(accuracies))
    assert len(accuracies) == best + 3 < 50
    for name, tensor in fit.average.state_dict().items():
        assert torch.equal(tensor, kept[best][name])
    assert any(not torch.equal(tensor, kept[-1][name]) for name, tensor in fit.average.state_dict().items())
    # Resumed at its end, it is still over, and still gives the best.
    again = _fit(epochs=50, patience=2, ema_decay=0.5)
    again.load_state(_through_a_file(fit.state()))
    assert list(again.run()) == []
    assert torch.equal(again.average.head.weight, kept[best]["head.weight"])


def test_a_finished_run_resumed_does_nothing():
    first = _fit()
    list(first.run())
    second = _fit()
    second.load_state(first.state())
    assert list(second.run()) == []


def test_the_seed_decides_the_batches():
    first, again, other = (_numbers(list(_fit(seed=seed, epochs=1).run())) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("most", [0.05, 1e6])
def test_no_step_is_longer_than_the_clip_says(most):
    """The norm over all parameters together is cut to `gradient_clip`; shorter gradients stay what they are."""
    fit = _fit(gradient_clip=most, epochs=1)
    norms: list[float] = []

    def note(*_: object) -> None:
        found = [parameter.grad.norm() for parameter in fit.model.parameters() if parameter.grad is not None]
        norms.append(float(torch.stack(found).norm()))

    fit.optimizer.optimizer.register_step_pre_hook(note)
    list(fit.run())
    assert len(norms) == fit.steps_per_epoch
    if most < 1:
        assert norms == pytest.approx([most] * len(norms), rel=1e-3)
    else:
        assert min(norms) > 0.1


def test_a_loss_that_is_no_number_fails_the_run():
    fit = _fit()
    with torch.no_grad():
        fit.model.head.bias.fill_(float("nan"))
    with pytest.raises(RunFailedError, match="nan at step 0") as failure:
        next(fit.run())
    assert "learning rate" in failure.value.remedy


def test_the_average_follows_the_weights_and_asks_for_no_gradient():
    fit = _fit(epochs=1, ema_decay=0.0)
    list(fit.run())
    for kept, current in zip(fit.average.parameters(), fit.model.parameters(), strict=True):
        assert torch.equal(kept, current)
        assert not kept.requires_grad
    slow = _fit(epochs=1, ema_decay=1.0)
    list(slow.run())
    # Even then the first steps have a short memory.
    assert not torch.equal(slow.average.head.weight, _fit().model.head.weight)


def test_only_matrices_are_decayed():
    fit = _fit(weight_decay=0.3)
    decayed, spared = fit.optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    names = {id(parameter): name for name, parameter in fit.model.named_parameters()}
    in_blocks = {"attention.qkv", "attention.projection", "mlp.expand", "mlp.contract"}
    matrices = {f"blocks.{layer}.{name}.weight" for layer in (0, 1) for name in in_blocks}
    assert {names[id(each)] for each in decayed["params"]} == matrices | {"patch_embedding.weight", "head.weight"}
    assert {"class_token", "position_embedding.positions"} <= {names[id(each)] for each in spared["params"]}
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_muon_takes_the_matrices_inside_blocks_and_learns():
    fit = _fit(optimizer="muon", epochs=12, learning_rate=3e-3)
    muon, adamw = fit.optimizer.optimizer.parts
    names = {id(parameter): name for name, parameter in fit.model.named_parameters()}
    hidden = {names[id(each)] for group in muon.param_groups for each in group["params"]}
    assert len(hidden) == 8
    assert all(name.startswith("blocks.") and name.endswith(".weight") for name in hidden)
    rest = {names[id(each)] for group in adamw.param_groups for each in group["params"]}
    assert hidden | rest == set(names.values())
    assert not hidden & rest
    reports = _epochs(fit.run())
    assert reports[-1].train_loss < 0.5 * reports[0].train_loss


def test_muon_refuses_a_model_without_blocks():
    config = dataclasses.replace(TRAINING, optimizer="muon")
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    with pytest.raises(ConfigError, match="inside blocks"):
        Fit(model, _dataset(50, 0), _dataset(20, 1), HALF_NORMALISATION, config, device="cpu")


def test_frozen_parameters_stay_and_a_model_frozen_whole_is_refused():
    model = ViT(MODEL)
    model.requires_grad_(False)
    with pytest.raises(ConfigError, match="frozen"):
        Fit(model, _dataset(50, 0), _dataset(20, 1), HALF_NORMALISATION, TRAINING, device="cpu")
    model.head.requires_grad_(True)
    before = model.state_dict()["blocks.0.mlp.expand.weight"].clone()
    fit = Fit(model, _dataset(50, 0), _dataset(20, 1), HALF_NORMALISATION, TRAINING, device="cpu")
    list(fit.run())
    assert torch.equal(fit.average.blocks[0].mlp.expand.weight, before)
    assert not torch.equal(fit.average.head.weight, torch.zeros_like(fit.average.head.weight))


class Normed(nn.Module):
    """A linear model behind a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(192, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.norm(images).flatten(1))


def test_the_average_has_the_models_batch_statistics():
    fit = Fit(Normed(), _dataset(50, 0), _dataset(20, 1), HALF_NORMALISATION, TRAINING, device="cpu")
    list(fit.run())
    assert torch.equal(fit.average.norm.running_mean, fit.model.norm.running_mean)
    assert fit.average.norm.running_mean.abs().sum() > 0
    assert int(fit.average.norm.num_batches_tracked) == 16


@pytest.mark.parametrize("place", ["forward", "backward"])
def test_a_compiler_that_fails_costs_nothing_but_speed(monkeypatch, place):
    class Breaks(torch.autograd.Function):
        @staticmethod
        def forward(_, logits):
            return logits.clone()

        @staticmethod
        def backward(_, gradient):
            raise RuntimeError("CppCompileError: no C++ compiler\nand a long story")

    def compiled(model):
        def forward(images):
            if place == "forward":
                raise RuntimeError("CppCompileError: no C++ compiler\nand a long story")
            return Breaks.apply(model(images))

        return forward

    expected = _numbers(_fit(epochs=1).run())
    monkeypatch.setattr(torch, "compile", compiled)
    fit = _fit(epochs=1, compile=True)
    reports = list(fit.run())
    assert reports[0].text == "epoch 1 of 1; not compiled: CppCompileError: no C++ compiler"
    assert _numbers(reports) == expected


def test_only_whole_batches_are_compiled(monkeypatch):
    seen = []

    def compiled(model):
        return lambda images: (seen.append(len(images)), model(images))[1]

    monkeypatch.setattr(torch, "compile", compiled)
    assert _numbers(_fit(epochs=2, compile=True).run()) == _numbers(_fit(epochs=2).run())
    assert seen == [16, 16, 16] * 2  # the fourth batch has 2 images


def test_memory_that_runs_out_is_a_sentence():
    fit = _fit()

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    fit._forward = full
    with pytest.raises(RunFailedError, match="out of memory at step 0, in batches of 16 images") as failure:
        next(fit.run())
    assert "smaller batch" in failure.value.remedy


def test_predictions_of_the_last_validation_are_kept():
    fit = _fit(epochs=1)
    report = _epochs(fit.run())[0]
    assert fit.predictions is not None
    assert np.array_equal(fit.predictions.labels, fit.val_set.labels)
    assert fit.predictions.evaluation() == evaluate(fit.average, fit.val_set, HALF_NORMALISATION, batch_size=16)
    assert fit.predictions.evaluation().accuracy == report.val_accuracy


@pytest.mark.parametrize(("device", "precision"), [("cuda:99", "fp32"), ("gpu", "fp32"), ("cpu", "fp16")])
def test_devices_that_cannot_do_it_are_refused(device, precision):
    config = dataclasses.replace(TRAINING, precision=precision)
    with pytest.raises(ConfigError):
        Fit(ViT(MODEL), _dataset(50, 0), _dataset(20, 1), HALF_NORMALISATION, config, device=device)


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="warmup_share"):
        TrainingConfig(warmup_share=1.5)
    with pytest.raises(ConfigError, match="augmentation"):
        TrainingConfig(augmentation="mixup")
    with pytest.raises(ConfigError, match="patience"):
        TrainingConfig(patience=0)
