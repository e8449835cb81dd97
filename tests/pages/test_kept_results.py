"""First results of a downloaded model: kept for the next server, of the same weights, and of nobody's own photo."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.models.catalogue import MODELS
from core.models.spec import Source
from core.paths import BUNDLED, cache_root
from pages.shared import cache, kept_results
from pages.shared.cache import described_model, logits_of
from pages.shared.kept_results import MOST, keep_result, kept_result
from pages.shared.pictures import example_picture
from pages.shared.results import forget_everything
from pages.shared.stored_results import decoded

FUNCTION = "pages.shared.cache._maps"
DIGEST = example_picture("coffee").digest


@pytest.fixture(autouse=True)
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights of a model of the catalogue that does not come with Vitrine."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "weights"
    shutil.copytree(BUNDLED / "vit_small_p8", folder)
    spec = replace(MODELS["vit_small_p8"], name="downloaded", sources=(Source(kind="folder", location=str(folder)),))
    monkeypatch.setitem(MODELS, "downloaded", spec)
    forget_everything()
    return folder


def files() -> list[Path]:
    return sorted((cache_root() / "first_results").glob("*"))


def test_the_next_server_has_it_without_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = example_picture("coffee")
    told, logits = described_model("downloaded"), logits_of("downloaded", photo.digest, photo.image)
    assert len(files()) == 2
    forget_everything()

    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is loaded")

    monkeypatch.setattr(cache, "loaded_model", refuse)
    monkeypatch.setattr(cache, "in_use", refuse)
    assert described_model("downloaded") == told
    np.testing.assert_array_equal(logits_of("downloaded", photo.digest, photo.image), logits)


def test_nothing_is_kept_of_a_photo_of_somebodys_own_nor_of_a_bundled_model() -> None:
    keep_result(FUNCTION, ("downloaded", "0" * 64), np.ones(3))
    keep_result(FUNCTION, ("downloaded", DIGEST, "1" * 64), np.ones(3))
    keep_result(FUNCTION, ("vit_p4", DIGEST), np.ones(3))
    keep_result(FUNCTION, ("folder:somewhere", DIGEST), np.ones(3))
    assert files() == []


def test_other_weights_or_other_code_make_it_anew(downloaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("downloaded", DIGEST)
    keep_result(FUNCTION, key, np.ones(3))
    [kept] = kept_result(FUNCTION, key)
    np.testing.assert_array_equal(kept, np.ones(3))
    (downloaded / "card.json").write_bytes((downloaded / "card.json").read_bytes() + b"\n")
    assert kept_result(FUNCTION, key) == files() == []
    keep_result(FUNCTION, key, np.ones(3))
    monkeypatch.setattr(kept_results, "_code", lambda: "newer")
    assert kept_result(FUNCTION, key) == []


def test_a_damaged_file_is_made_anew() -> None:
    key = ("downloaded", DIGEST)
    keep_result(FUNCTION, key, np.ones(3))
    [file] = files()
    for content in (b"", b"nothing of that kind", file.read_bytes()[:100]):
        file.write_bytes(content)
        assert kept_result(FUNCTION, key) == []
    keep_result(FUNCTION, key, np.ones(3))
    assert len(kept_result(FUNCTION, key)) == 1


def test_a_file_that_names_a_class_of_somebody_elses_makes_none() -> None:
    with pytest.raises(ValueError, match="no module of Vitrine's"):
        decoded({"class": "subprocess:Popen", "values": {"args": "echo"}}, {})


def test_no_more_than_the_first_questions_are_kept() -> None:
    keys = [("downloaded", DIGEST, number) for number in range(MOST + 2)]
    for key in keys:
        keep_result(FUNCTION, key, np.ones(3))
    assert [len(kept_result(FUNCTION, key)) for key in keys] == [1] * MOST + [0, 0]
    keep_result("another", keys[-1], np.ones(3))
    assert len(files()) == MOST + 1


def test_large_results_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_results, "ENOUGH_BYTES", 10_000)
    for number in range(3):
        keep_result(FUNCTION, ("downloaded", DIGEST, number), np.ones(1_000))
    assert len(files()) == 2


def test_a_folder_that_cannot_be_written_to_costs_nothing() -> None:
    cache_root().parent.mkdir(parents=True)
    cache_root().write_text("in the way", encoding="utf-8")
    keep_result(FUNCTION, ("downloaded", DIGEST), np.ones(3))
    assert kept_result(FUNCTION, ("downloaded", DIGEST)) == []
