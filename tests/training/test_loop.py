import dataclasses
import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.data.arrays import ArrayDataset
from core.data.transforms import HALF_NORMALISATION
from core.errors import ConfigError, RunFailedError
from core.models.differential import DifferentialViT
from core.models.vit import ViT, ViTConfig
from core.training.config import TrainingConfig
from core.training.loop import EpochReport, Fit, schedule

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


def _numbers(reports: list[EpochReport]) -> list[dict]:
    """All that must repeat exactly: everything but the speed."""
    return [{**dataclasses.asdict(report), "images_per_second": None} for report in reports]


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
    reports = list(_fit().run())
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert [report.step for report in reports] == [4, 8, 12, 16]  # 50 images in batches of 16
    for report in reports:
        assert report.learning_rate == pytest.approx(3e-3 * schedule(report.step - 1, 16, 0.05))
        assert 0 <= report.train_accuracy <= 1
        assert report.images_per_second > 0


@pytest.mark.parametrize("kind", [ViT, DifferentialViT])
def test_training_learns(kind):
    reports = list(_fit(kind, epochs=25, learning_rate=1e-2).run())
    assert reports[-1].train_loss < 0.5 * reports[0].train_loss
    assert reports[-1].val_accuracy > 0.9


@pytest.mark.parametrize("kind", [ViT, DifferentialViT])
@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_equals_one_that_never_stopped(kind, stop):
    whole = _fit(kind)
    expected = _numbers(list(whole.run()))

    first, reports = _fit(kind), []
    for report in first.run():
        reports.append(report)
        if report.epoch == stop:
            break
    stored = io.BytesIO()
    torch.save(first.state(), stored)
    stored.seek(0)

    torch.manual_seed(12345)  # another process starts from other weights and another random state
    second = Fit(kind(MODEL), first.train_set, first.val_set, HALF_NORMALISATION, first.config, device="cpu")
    second.load_state(torch.load(stored, weights_only=True))
    reports += list(second.run())

    assert _numbers(reports) == expected
    for part in ("model", "average"):
        theirs = getattr(whole, part).state_dict()
        for name, tensor in getattr(second, part).state_dict().items():
            assert torch.equal(tensor, theirs[name]), f"{part}.{name}"


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
    assert all(parameter.ndim >= 2 for parameter in decayed["params"])
    names = {id(parameter): name for name, parameter in fit.model.named_parameters()}
    assert {names[id(parameter)].split(".")[-1] for parameter in spared["params"]} == {"weight", "bias"}
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="warmup_share"):
        TrainingConfig(warmup_share=1.5)
    with pytest.raises(ConfigError, match="augmentation"):
        TrainingConfig(augmentation="mixup")
