"""The recipe of VAEs: resumed it gives the same numbers, it shows what it draws, its card says what was measured."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.archives import import_archive
from core.data.arrays import load_arrays, save_arrays
from core.errors import ConfigError, CoreError
from core.experiments import vae
from core.launch.sweep import sweepable
from core.methods.latent.bounds import elbo
from core.models.checkpoint import read_card
from core.models.vae import VAEConfig
from core.models.weights import load
from core.reports import Progress, as_line, as_values
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from core.training.elbo import ElboConfig
from tests.toy import save_toy

SHAPE = VAEConfig(image_size=8, channels=3, hidden_dim=16, latent_dim=3)
TRAINING = TrainingConfig(
    epochs=2, batch_size=16, precision="fp32", augmentation="none", weight_decay=0, gradient_clip=200
)


@pytest.fixture(autouse=True)
def _tiny_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy()


def config(**changes: Any) -> vae.Config:
    settings = {"dataset": "toy", "model": SHAPE, "training": TRAINING, "bound_images": 5, "bound_draws": 8}
    return vae.Config(**{**settings, **changes})  # type: ignore[arg-type]


def folder_called(name: str, chosen: vae.Config) -> RunFolder:
    return create_run(name, RunSpec.of("vae", chosen, device="cpu"))


def consume(reports: Iterator[object], folder: RunFolder) -> Iterator[object]:
    for report in reports:
        if not isinstance(report, Progress):
            folder.append_metrics(as_values(report))
        yield report


def train(name: str, chosen: vae.Config) -> RunFolder:
    folder = folder_called(name, chosen)
    list(consume(vae.run(chosen, folder), folder))
    return folder


def numbers(folder: RunFolder) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if "second" not in key} for line in folder.history()]


@pytest.mark.parametrize("after", [2, 4])
def test_stopped_and_resumed_it_gives_the_same_numbers_and_weights(after: int) -> None:
    chosen = config(objective=ElboConfig(warmup="linear", warmup_epochs=1.5, free_bits=0.05))
    whole, cut = train("whole", chosen), folder_called("cut", chosen)
    reports = consume(vae.run(chosen, cut), cut)
    list(itertools.islice(reports, after))
    reports.close()  # type: ignore[attr-defined]
    assert not cut.model.exists()
    list(consume(vae.run(chosen, cut), cut))
    assert len(numbers(whole)) == 2
    assert numbers(cut) == numbers(whole)
    cards = [read_card(each.model).metrics for each in (cut, whole)]
    assert cards[0] == cards[1]
    assert (cut.model / "model.safetensors").read_bytes() == (whole.model / "model.safetensors").read_bytes()


def test_what_is_left_behind_opens_and_says_what_was_measured() -> None:
    chosen = config(objective=ElboConfig(beta=3, active_delta=0.5))
    folder = train("looked_at", chosen)
    assert {path.name for path in folder.samples.iterdir()} >= {"drawn.png", "reconstructed.png"}
    line = folder.history()[-1]
    assert "extras" not in line
    assert line["beta"] == 3
    assert line["val_elbo"] == pytest.approx(-line["val_reconstruction"] - line["val_kl"])
    model = load("run:looked_at")
    assert model.spec.capabilities == {"latent"}
    card = read_card(folder.model)
    measured = card.metrics
    # Of the weights as they are stored, on the test split.
    images = load_arrays("toy", "test").images
    found = elbo(model.module, images, seed=0).averages()  # type: ignore[arg-type]
    assert {name: measured[f"test_{name}"] for name in found} == pytest.approx(found)
    assert measured["test_count"] == 20
    assert measured["test_iwae_count"] == 5
    assert measured["test_iwae_draws"] == 8
    assert measured["active_delta"] == 0.5
    assert measured["test_active_units"] == sum(spread > 0.5 for spread in measured["latent_spread"])
    assert measured["likelihood_constant"] == pytest.approx(192 / 2 * np.log(2 * np.pi))
    assert measured["split"] == "test, read once at the end"
    assert measured["objective"]["beta"] == measured["effective_beta"] == 3
    assert json.loads(card.recipe)["epochs"] == 2
    assert (card.mean, card.std) == ((0.0,) * 3, (1.0,) * 3)
    assert card.command.startswith("python -m core train vae --name looked_at")


def test_a_trial_leaves_the_test_split_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = train("trial", config(evaluate_test=False))
    measured = read_card(folder.model).metrics
    assert not [name for name in measured if name.startswith("test_")]
    assert measured["val_count"] == 4
    assert "test was not read" in measured["split"]
    assert "vae" in sweepable()


def test_grey_pixels_under_a_bernoulli_are_said_to_be_no_likelihood() -> None:
    grey = read_card(train("grey", config(model=VAEConfig(**{**vars(SHAPE), "likelihood": "bernoulli"}))).model)
    assert 0 < grey.metrics["test_reconstruction_floor"] < grey.metrics["test_reconstruction"]
    assert "no log-likelihood" in grey.metrics["caution"]
    sharp = VAEConfig(**{**vars(SHAPE), "likelihood": "bernoulli", "binarise": True})
    assert "caution" not in read_card(train("sharp", config(model=sharp)).model).metrics


def test_a_single_channel_stays_single(tmp_path: Path) -> None:
    folder = save_toy(name="grey_toy")
    for split in ("train", "test"):
        images, labels = np.load(folder / f"{split}_images.npy"), np.load(folder / f"{split}_labels.npy")
        save_arrays(folder, split, images[..., :1], labels)
    shape = VAEConfig(**{**vars(SHAPE), "channels": 1, "network": "conv", "width": 4})
    card = read_card(train("grey", config(dataset="grey_toy", model=shape)).model)
    assert card.mean == (0.0,)
    with pytest.raises(ConfigError, match=r"model.channels is 3, and grey_toy has 1. Set model.channels=1"):
        train("colour", config(dataset="grey_toy"))


def test_photos_are_decoded_to_the_size_of_the_model(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for number in range(12):
            path = tmp_path / "photos" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20 + number, 16), (number * 10, 100, 50)).save(path)
    import_archive(tmp_path / "photos", "photos")
    measured = read_card(train("photos", config(dataset="photos")).model).metrics
    assert measured["split"] == "a fifth of all, read once at the end"
    assert np.isfinite(measured["test_elbo"])


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"model.image_size is 28, and toy has 8. Set model.image_size=8"):
        train("large", config(model=VAEConfig(channels=3)))
    with pytest.raises(ConfigError, match=r"model.channels is 1, and toy has 3. Set model.channels=3"):
        train("grey", config(model=VAEConfig(image_size=8)))
    with pytest.raises(ConfigError, match="blends images"):
        config(training=TrainingConfig(augmentation="mix"))
    with pytest.raises(CoreError, match="not on this machine"):
        train("absent", config(dataset="nowhere"))


def test_a_report_is_one_line() -> None:
    folder = folder_called("line", config())
    report = next(each for each in vae.run(config(), folder) if not isinstance(each, Progress))
    line = as_line(report)
    assert "val_kl" in line
    assert "extras" not in line
    assert "accuracy" not in line
