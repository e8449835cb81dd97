"""The recipe of the small pipeline: resumed it gives the same numbers; it shows what it draws and leaves a pipeline."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError
from core.experiments import text_to_image
from core.models.checkpoint import read_card
from core.models.small_diffusion import SmallDiffusionConfig
from core.models.weights import load
from core.reports import Progress
from core.runs.store import RunFolder, RunSpec, create_run
from core.training.config import TrainingConfig
from tests.toy import save_toy


@pytest.fixture(autouse=True)
def _tiny_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy()


def config(epochs: int = 2, **model: int) -> text_to_image.Config:
    shape = {"image_size": 8, "halvings": 1, "latent_channels": 4, "width": 32, "inner_width": 32, "text_width": 32}
    return text_to_image.Config(
        dataset="toy",
        model=SmallDiffusionConfig(**{**shape, "text_depth": 1, **model}),
        training=TrainingConfig(epochs=epochs, batch_size=16, precision="fp32", optimizer="muon"),
        val_images=4,
    )


def folder_called(name: str, chosen: text_to_image.Config) -> RunFolder:
    return create_run(name, RunSpec.of("text_to_image", chosen, device="cpu"))


def consume(reports: Iterator[object], folder: RunFolder) -> Iterator[object]:
    for report in reports:
        if not isinstance(report, Progress):
            folder.append_metrics(asdict(report))  # type: ignore[call-overload]
        yield report


def numbers(folder: RunFolder) -> list[dict[str, object]]:
    return [{key: value for key, value in line.items() if "second" not in key} for line in folder.history()]


@pytest.mark.slow
def test_stopped_and_resumed_it_gives_the_same_numbers_and_weights() -> None:
    chosen = config()
    whole, cut = folder_called("whole", chosen), folder_called("cut", chosen)
    list(consume(text_to_image.run(chosen, whole), whole))
    reports = consume(text_to_image.run(chosen, cut), cut)
    list(itertools.islice(reports, 4))
    reports.close()  # type: ignore[attr-defined]
    assert not cut.model.exists()
    list(consume(text_to_image.run(chosen, cut), cut))
    assert numbers(cut) == numbers(whole)
    assert len(numbers(whole)) == 2
    assert numbers(whole)[0]["train_accuracy"] is None
    for part in ("unet", "text_encoder", "vae"):
        files = [next((folder.model / part).glob("*.safetensors")).read_bytes() for folder in (whole, cut)]
        assert files[0] == files[1]


def test_what_is_left_behind_is_a_pipeline_with_a_card_and_pictures() -> None:
    chosen = config(epochs=1)
    folder = folder_called("draws", chosen)
    list(consume(text_to_image.run(chosen, folder), folder))
    module = load("run:draws").module
    assert module.image_size == 8
    card = read_card(folder.model)
    assert card.classes == ("dark", "red")
    assert card.prompt == "a photo of a {}."
    assert card.metrics["val_count"] == 4
    assert 0 < card.metrics["variance_kept"] <= 1
    assert card.command.startswith("python -m core train text_to_image --name draws")
    assert json.loads(card.recipe)["augmentation"]
    assert np.isfinite(card.history[0]["train_loss"])
    assert (folder.samples / "drawn.png").is_file()


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="mixes images"):
        text_to_image.Config(training=TrainingConfig(augmentation="mix"))
    with pytest.raises(ConfigError, match="8 by 8"):
        list(text_to_image.run(config(image_size=16), folder_called("large", config(image_size=16))))
