"""Paths as people, and addresses, write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import CoreError
from core.models.catalogue import find_model
from core.paths import local_path
from pages.shared.address import whole_number

IMPOSSIBLE = ("~nobody_at_all/x", "/tmp/\x00", "/tmp/" + "x" * 300, "/" + "y/" * 3000, "\udce4\ud800")


def test_a_path_need_not_exist(tmp_path: Path) -> None:
    assert local_path(f" {tmp_path} ") == tmp_path.resolve()
    assert local_path(str(tmp_path / "new")) == tmp_path.resolve() / "new"
    (tmp_path / "file").touch()
    assert local_path(str(tmp_path / "file" / "below")).name == "below"
    assert local_path("~") == Path.home().resolve()


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_what_cannot_be_a_path_is_a_sentence(text: str) -> None:
    with pytest.raises(CoreError) as caught:
        local_path(text)
    assert caught.value.remedy
    assert len(caught.value.cause) < 300
    with pytest.raises(CoreError):
        find_model(f"folder:{text}")


@pytest.mark.parametrize("name", ["hub:" + "x" * 3000, "run:\x00", "folder:", "vit_p4\n", "hub:a/b\x1b[31m"])
def test_no_name_of_a_model_is_an_exception(name: str) -> None:
    with pytest.raises(CoreError):
        find_model(name)


def test_numbers_of_an_address_are_whole_and_below_their_bound() -> None:
    assert [whole_number(text, 64) for text in ("0", "7", "63")] == [0, 7, 63]
    for text in ("64", "-1", "9" * 5000, "", "1.5", "²", "٣", "nan", " 1", "1e3"):
        assert whole_number(text, 64) is None
