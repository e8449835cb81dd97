"""A real server and a real browser; skipped, with a reason, where there is no Chromium."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.waiting import PATIENCE_S

CHECKOUT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is the browser tier."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine: apt-get install chromium"))


@contextmanager
def servers(folder: Path) -> Iterator[Callable[[], str]]:
    """What starts a fresh `streamlit run app.py` and returns its address; all are ended at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {**os.environ, "STREAMLIT_SERVER_HEADLESS": "true"}
        environment.setdefault("VITRINE_HOME", str(folder / "home"))
        log = folder / f"server_{port}.log"
        with log.open("wb") as written:
            server = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
                cwd=CHECKOUT,
                env=environment,
                stdout=written,
                stderr=subprocess.STDOUT,
            )
        started.append(server)
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=PATIENCE_S) as answer:
                    if answer.status == 200:
                        return address
            except OSError:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise RuntimeError(log.read_text(encoding="utf-8")) from None
                time.sleep(0.1)

    yield start
    for server in started:
        server.terminate()
    for server in started:
        server.wait(timeout=PATIENCE_S)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Start a server that nobody has asked anything yet, in the home of the test; returns its address."""
    with servers(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one server for all tests that visit it as people do: each in a browser of its own.

    A server takes three seconds of a processor to start and more to open its first model; who wants a home of
    their own, or asks what the first visitor sees, takes `start_server`.
    """
    with servers(tmp_path_factory.mktemp("server")) as start:
        yield start()


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """One Chromium for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: object) -> Iterator[object]:
    """A fresh tab that knows nothing of earlier ones."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})  # type: ignore[attr-defined]
    context.set_default_timeout(1000 * PATIENCE_S)
    tab = context.new_page()
    yield tab
    context.close()
