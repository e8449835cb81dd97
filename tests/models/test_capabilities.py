"""What a model of others can be asked is found by a trial, once, and what it lacks is said."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core.errors import CoreError, IncompatibleError, MissingWeightsError
from core.models import capabilities
from core.models.catalogue import find_model
from core.models.model_folder import pick_checkpoint
from core.models.weights import availability, load
from tests.models.test_transformers_vit import saved


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were loaded for a trial."""
    tried: list[Path] = []
    ask = capabilities._try

    def counted(path: Path) -> dict[str, Any]:
        tried.append(path)
        return ask(path)

    monkeypatch.setattr(capabilities, "_try", counted)
    capabilities._tried.cache_clear()
    return tried


def forget_memory() -> None:
    """As in a new process: only the records on disk are left."""
    capabilities._tried.cache_clear()


def test_a_folder_is_tried_once_until_it_changes(tmp_path: Path, trials: list[Path]) -> None:
    folder = saved("vit", tmp_path / "vit")
    for _ in range(3):
        assert find_model(f"folder:{folder}").capabilities == {"classifier", "attention", "positions"}
        forget_memory()
    assert trials == [folder]
    stat = (folder / "model.safetensors").stat()
    os.utime(folder / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    find_model(f"folder:{folder}")
    assert trials == [folder, folder]


def test_what_cannot_be_opened_is_remembered_with_its_reason(tmp_path: Path, trials: list[Path]) -> None:
    folder = saved("vit", tmp_path / "vit")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    for _ in range(2):
        with pytest.raises(MissingWeightsError) as caught:
            find_model(f"folder:{folder}")
        assert "vit cannot be loaded" in caught.value.cause
        forget_memory()
    assert len(trials) == 1
    saved("vit", folder)
    assert "attention" in find_model(f"folder:{folder}").capabilities


def test_a_damaged_record_is_made_again(tmp_path: Path, trials: list[Path]) -> None:
    folder = saved("vit", tmp_path / "vit")
    find_model(f"folder:{folder}")
    (record,) = (tmp_path / "home" / "cache" / "capabilities").iterdir()
    record.write_text("half", encoding="utf-8")
    forget_memory()
    assert "attention" in find_model(f"folder:{folder}").capabilities
    assert len(trials) == 2


def test_nothing_is_tried_without_weights(tmp_path: Path, trials: list[Path]) -> None:
    folder = saved("vit", tmp_path / "vit")
    (folder / "model.safetensors").unlink()
    (folder / "tf_model.h5").write_bytes(b"\x89HDF")
    spec = find_model(f"folder:{folder}")
    assert availability(spec).state == "unavailable"
    assert "weights of TensorFlow alone" in availability(spec).text
    assert trials == []


def timm_folder(folder: Path, architecture: str, classes: int = 3, **arguments: Any) -> Path:
    import timm

    torch.manual_seed(0)
    folder.mkdir()
    model = timm.create_model(architecture, num_classes=classes, **arguments)
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"architecture": architecture, "num_classes": classes, "model_args": arguments}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


# architecture: (arguments, what it can be asked)
TIMM: dict[str, tuple[dict[str, Any], set[str]]] = {
    "test_vit": ({}, {"classifier", "attention", "positions"}),
    "test_vit4": ({}, {"classifier", "attention", "positions"}),
    "test_resnet": ({}, {"classifier", "convolution"}),
    "swin_tiny_patch4_window7_224": (
        {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 1], "img_size": 56, "window_size": 7}, {"classifier"},
    ),
    "vit_tiny_r_s16_p8_224": ({"depth": 1, "img_size": 64}, {"classifier", "attention", "positions"}),
    "cait_xxs24_224": ({"depth": 1, "img_size": 32}, {"classifier"}),
    "beit_base_patch16_224": ({"embed_dim": 32, "depth": 1, "num_heads": 2, "img_size": 32}, {"classifier"}),
}  # fmt: skip


@pytest.mark.parametrize("architecture", TIMM)
def test_timm_networks_by_what_they_do(tmp_path: Path, architecture: str) -> None:
    arguments, expected = TIMM[architecture]
    model = load(f"folder:{timm_folder(tmp_path / 'timm', architecture, **arguments)}")
    assert model.spec.capabilities == expected
    size = model.network.preprocessing.size
    with torch.inference_mode():
        picture = torch.randn(1, 3, size, size)
        torch.testing.assert_close(model.module(picture), model.module.model(picture))  # type: ignore[operator]
    if "attention" not in expected:
        assert not hasattr(model.module, "trace")
        assert "no attention" not in model.spec.lacks("attention") or architecture == "test_resnet"
        with pytest.raises(CoreError, match="attention"):
            model.module.trace(picture)  # type: ignore[operator]
        with pytest.raises(IncompatibleError, match="attention"):
            model.spec.require("attention", "Attention maps")


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet"])
def test_networks_of_one_channel_see_grey(tmp_path: Path, architecture: str) -> None:
    from PIL import Image

    from core.data.transforms import to_batch
    from core.methods.embeddings.layer_features import find_readouts

    model = load(f"folder:{timm_folder(tmp_path / 'grey', architecture, in_chans=1)}")
    batch = to_batch([Image.new("RGB", (200, 200), (200, 30, 90))], model.network.preprocessing)
    assert batch.shape[1] == 1
    assert model.module(batch).shape == (1, 3)
    assert find_readouts(model.module, model.network.preprocessing.size).layers
    with pytest.raises(CoreError, match=r"1 channels|shape \(1, "):
        model.module(torch.zeros(1, 3, *batch.shape[2:]))


def test_networks_of_more_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match="4 channels"):
        find_model(f"folder:{timm_folder(tmp_path / 'four', 'test_resnet', in_chans=4)}")


def trainer_output(folder: Path, best: str | None, steps: tuple[int, ...] = (500, 1000, 1500)) -> Path:
    """As transformers' Trainer leaves it, the best checkpoint under the path it had on another machine."""
    for step in steps:
        saved("vit", folder / f"checkpoint-{step}")
        state = {"best_model_checkpoint": f"/scratch/out/{best}" if best else None, "global_step": step}
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("best", "taken", "why"),
    [
        ("checkpoint-500", "checkpoint-500", "the best"),
        (None, "checkpoint-1500", "the newest"),
        ("checkpoint-7", "checkpoint-1500", "the newest"),  # it was deleted since
    ],
)
def test_of_a_training_the_best_or_newest_checkpoint_is_taken_and_said(
    tmp_path: Path, best: str | None, taken: str, why: str
) -> None:
    folder = trainer_output(tmp_path / "out", best)
    model = load(f"folder:{folder}")
    assert model.spec.sources[0].location == str(folder / taken)
    assert model.spec.title == f"out ({taken}, {why})"
    assert taken in model.spec.note
    assert model.classes == ("cat", "dog", "bird")


def test_a_model_beside_its_checkpoints_is_taken_itself(tmp_path: Path) -> None:
    folder = trainer_output(tmp_path / "out", None, steps=(5,))
    saved("vit", folder)
    assert pick_checkpoint(folder) == (folder, "")
    assert find_model(f"folder:{folder}").title == "out"


def test_an_empty_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "out" / "checkpoint-500").mkdir(parents=True)
    with pytest.raises(MissingWeightsError, match="checkpoint-500 of out holds no config"):
        find_model(f"folder:{tmp_path / 'out'}")


def test_a_folder_of_the_hub_s_cache_is_followed(tmp_path: Path) -> None:
    cache = tmp_path / "models--owner--name"
    saved("vit", cache / "snapshots" / "abc")
    saved("dino", cache / "snapshots" / "zzz")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc", encoding="utf-8")
    assert find_model(f"folder:{cache}").sources[0].location == str(cache / "snapshots" / "abc")


def test_a_folder_with_weights_alone_says_what_is_missing(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "best.pth")
    with pytest.raises(MissingWeightsError, match=r"no config\.json") as caught:
        find_model(f"folder:{tmp_path}")
    assert "best.pth" in caught.value.remedy
