"""Runs in a browser: launched, watched, opened; stopped from another browser; killed together with their server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest

from core.launch.worker import main as work_on
from core.runs.owner import is_alive, read_owner
from core.runs.store import RunFolder, RunSpec, create_run, find_run
from tests.e2e.waiting import PATIENCE_S
from tests.runs.conftest import end_all, wait_for, wait_until
from tests.toy import save_toy

TINY = (
    "dataset=toy", "model.image_size=8", "model.classes=2", "model.embed_dim=16", "model.depth=1",
    "model.num_heads=2", "training.batch_size=16", "training.precision=fp32",
)  # fmt: skip


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    save_toy({"train": 720, "test": 20}, contrast=60)
    yield
    end_all()


def train_address(server: str, epochs: int) -> str:
    """The Train page with the settings of a tiny run."""
    pairs = [("set", pair) for pair in (*TINY, f"training.epochs={epochs}")]
    return f"{server}/train?{urlencode([('recipe', 'vit_scratch'), *pairs])}"


def launch(page: Any, address: str) -> RunFolder:
    """Click Launch and wait until the run has a history of three epochs."""
    page.goto(address)
    page.get_by_role("button", name="Launch", exact=True).click()
    page.get_by_text("vit-p4-1 is launched").wait_for()
    run = find_run("vit-p4-1")
    wait_until(lambda: len(run.history()) >= 3, "three epochs")
    return run


def numbers(run: RunFolder) -> list[dict[str, Any]]:
    """Its metrics, but for how fast it was."""
    return [{name: value for name, value in line.items() if "second" not in name} for line in run.history()]


@pytest.mark.usefixtures("toy")
def test_launch_watch_and_open(start_server: Callable[[], str], page: Any) -> None:
    page.goto(train_address(start_server(), epochs=3))
    page.get_by_text("5 tokens an image").wait_for()
    # Twice, as impatient people do: it is one run all the same.
    page.get_by_role("button", name="Launch", exact=True).dblclick()
    page.get_by_text("vit-p4-1 is launched").wait_for()
    page.get_by_role("link", name="Watch it").click()
    page.get_by_text("Is it learning, and when is it done?").wait_for()
    # Without another click: the page looks by itself until the run has ended.
    page.get_by_text("finished · on").wait_for()
    page.locator(".js-plotly-plot").nth(1).wait_for()
    page.wait_for_url(re.compile("runs=vit-p4-1"))
    assert page.get_by_text("vit-p4-2").count() == 0
    page.get_by_role("button", name="Attention", exact=True).click()
    page.get_by_text("of its patch attention in").first.wait_for()
    page.wait_for_url(re.compile("run%3Avit-p4-1"))
    assert page.locator('[data-testid="stException"]').count() == 0


@pytest.mark.usefixtures("toy")
def test_killed_with_its_server_a_run_goes_on_with_the_same_numbers(start_server: Callable[[], str], page: Any) -> None:
    address = start_server()
    run = launch(page, train_address(address, epochs=100))
    owner = read_owner(run)
    assert owner is not None
    [server] = [each for each in psutil.Process().children() if address.rpartition(":")[2] in each.cmdline()]
    server.kill()
    psutil.Process(owner.pid).kill()
    wait_until(lambda: not is_alive(owner), "the worker's end")
    assert len(run.history()) < 100
    page.goto(f"{start_server()}/runs?run={run.name}")
    page.get_by_text("Its process ended without a word").wait_for()
    page.get_by_role("button", name="Resume", exact=True).click()
    page.get_by_text("finished · on").wait_for()
    whole = create_run("whole", RunSpec(**{**vars(run.read_spec())}))
    assert work_on(str(whole.path)) == 0
    assert len(numbers(run)) == 100
    assert numbers(run) == numbers(whole)


@pytest.mark.usefixtures("toy")
def test_another_browser_watches_and_stops(start_server: Callable[[], str], page: Any, browser: Any) -> None:
    server = start_server()
    run = launch(page, train_address(server, epochs=2000))
    page.get_by_role("link", name="Watch it").click()
    page.get_by_text("running · on").wait_for()
    with browser.new_context() as other:
        elsewhere = other.new_page()
        elsewhere.set_default_timeout(1000 * PATIENCE_S)
        elsewhere.goto(f"{server}/runs?run={run.name}")
        elsewhere.get_by_role("button", name="Stop", exact=True).click()
        elsewhere.get_by_text("stopped · on").wait_for()
    # The first browser was not touched.
    page.get_by_text("stopped · on").wait_for()
    page.get_by_role("button", name="Resume", exact=True).wait_for()
    state = wait_for(run, "stopped")
    assert 0 < state.step < state.steps
    assert run.checkpoint.is_file()
