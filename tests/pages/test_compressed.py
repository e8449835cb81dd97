"""The frontend travels compressed, and each part of it is compressed once."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from pages.shared.compressed import Compressed

SCRIPT = b"const answer = 42\n" * 500
LASTS = b"public, immutable, max-age=31536000"


class App:
    """Answers every request with SCRIPT in two parts, and counts them."""

    def __init__(self, *, status: int = 200, cache: bytes = LASTS) -> None:
        self.status, self.cache, self.asked = status, cache, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        headers = [
            (b"content-type", b"application/javascript"),
            (b"content-length", str(len(SCRIPT)).encode()),
            (b"etag", b'"1"'),
            (b"cache-control", self.cache),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": SCRIPT[:100], "more_body": True})
        await send({"type": "http.response.body", "body": SCRIPT[100:]})


def ask(app: Any, path: str = "/static/js/index.abc.js", **scope: Any) -> tuple[dict[bytes, bytes], bytes]:
    """Headers and body as a browser gets them."""
    sent: list[dict[str, Any]] = []

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = scope.pop("headers", [(b"accept-encoding", b"gzip, deflate, br")])
    asked = {"type": "http", "method": "GET", "path": path, "headers": headers, **scope}
    asyncio.run(app(asked, None, keep))
    return dict(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:])


def test_a_script_is_compressed_once_and_is_the_same_script() -> None:
    inner = App()
    app = Compressed(inner)
    for path in ("/static/js/index.abc.js", "/base/static/js/index.abc.js"):
        headers, body = ask(app, path)
        assert gzip.decompress(body) == SCRIPT
        assert int(headers[b"content-length"]) == len(body) < len(SCRIPT) / 10
        assert (headers[b"content-encoding"], headers[b"cache-control"]) == (b"gzip", LASTS)
        assert headers[b"vary"] == b"accept-encoding"
        assert b"etag" not in headers
    assert inner.asked == 1
    assert gzip.decompress(ask(app, "/static/css/index.abc.css")[1]) == SCRIPT
    assert inner.asked == 2


@pytest.mark.parametrize(
    "scope",
    [
        {"headers": []},
        {"headers": [(b"accept-encoding", b"gzip"), (b"range", b"bytes=0-9")]},
        {"method": "HEAD"},
        {"path": "/media/picture.png"},
    ],
)
def test_what_has_nothing_to_gain_is_left_alone(scope: dict[str, Any]) -> None:
    headers, body = ask(Compressed(App()), **scope)
    assert body == SCRIPT
    assert headers[b"etag"] == b'"1"'
    assert b"content-encoding" not in headers


@pytest.mark.parametrize("inner", [App(status=404), App(cache=b"no-cache")])
def test_what_may_change_is_asked_for_every_time(inner: App) -> None:
    app = Compressed(inner)
    assert [ask(app)[1], ask(app)[1]] == [SCRIPT, SCRIPT]
    assert inner.asked == 2


def test_a_class_that_comes_at_once_has_it_compressed_once() -> None:
    inner = App()
    app = Compressed(inner)
    headers = [(b"accept-encoding", b"gzip")]
    scope = {"type": "http", "method": "GET", "path": "/a.js", "headers": headers}
    bodies: list[bytes] = []

    async def keep(message: dict[str, Any]) -> None:
        bodies.append(message.get("body", b""))

    async def everybody() -> None:
        await asyncio.gather(*(app(scope, None, keep) for _ in range(30)))

    asyncio.run(everybody())
    assert inner.asked == 1
    assert [gzip.decompress(body) for body in bodies if body] == [SCRIPT] * 30
