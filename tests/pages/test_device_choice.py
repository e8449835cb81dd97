"""The device that pages compute on is said on Home, and can be changed there where there are several."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.device import wished_device


def page() -> None:
    from pages.home.device_choice import device_choice

    device_choice()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DEVICE", raising=False)


def test_one_device_is_said_and_nothing_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.home.device_choice.known_devices", lambda: ("cpu",))
    app = AppTest.from_function(page).run()
    assert not app.selectbox
    assert "CPU" in app.caption[0].value


def test_of_several_one_is_chosen_for_all_later_visits(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("pages.home.device_choice.known_devices", "core.device.known_devices"):
        monkeypatch.setattr(place, lambda: ("meta", "cpu"))
    app = AppTest.from_function(page).run()
    app.selectbox(key="device-choice").set_value("meta").run()
    assert not app.exception
    assert wished_device() == "meta"
    assert AppTest.from_function(page).run().selectbox(key="device-choice").value == "meta"


def test_what_the_environment_says_is_said_and_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_DEVICE", "meta")
    monkeypatch.setattr("pages.home.device_choice.known_devices", lambda: ("cuda", "cpu"))
    app = AppTest.from_function(page).run()
    assert not app.selectbox
    assert "VITRINE_DEVICE" in app.caption[0].value
