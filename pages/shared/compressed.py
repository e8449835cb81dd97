"""Streamlit's frontend travels compressed: a third of the bytes.

Streamlit sends it as it is, so that thirty students who open a chart ask for a quarter of a gigabyte over the room's
radio. Compressing for each of them would keep the server busy for a seventh of a second a head; the names of these
files stand for their contents, so each is compressed once. A browser on the same machine is no exception: it may be the
end of a tunnel to a GPU server, and unpacking takes it no time that could be measured.
"""

from __future__ import annotations

import asyncio
import gzip
from pathlib import PurePosixPath
from typing import Any

_KINDS = {".js", ".css"}  # fonts and pictures are compressed already
_LEVEL = 4  # half the time of the usual 6 for a twentieth more
_OF_THE_FILE = {b"content-length", b"etag", b"accept-ranges"}


class Compressed:
    """ASGI middleware: scripts and styles that never change are compressed once, at the first request for each."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._kept: dict[str, tuple[dict[str, Any], bytes]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not _asks_for_part(scope):
            await self.app(scope, receive, send)
            return
        name = PurePosixPath(scope["path"]).name
        answer = self._kept.get(name)
        if answer is None:
            async with self._one_at_a_time:  # a class that comes at once waits for one packing, not for thirty
                answer = self._kept.get(name) or await self._answer(scope, receive)
                if name not in self._kept and _lasts(answer[0]):
                    answer = self._kept[name] = await asyncio.to_thread(_packed, *answer)
        # Outside, so that nobody waits for a slow network of somebody else's.
        await _send(send, *answer)

    async def _answer(self, scope: Any, receive: Any) -> tuple[dict[str, Any], bytes]:
        start, parts = dict[str, Any](), list[bytes]()

        async def keep(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        return start, b"".join(parts)


async def _send(send: Any, start: dict[str, Any], body: bytes) -> None:
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _packed(start: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    small = gzip.compress(body, _LEVEL)
    headers = [pair for pair in start["headers"] if pair[0].lower() not in _OF_THE_FILE]
    headers += [(b"content-encoding", b"gzip"), (b"content-length", str(len(small)).encode())]
    return {**start, "headers": [*headers, (b"vary", b"accept-encoding")]}, small


def _asks_for_part(scope: Any) -> bool:
    """Whether the whole of a script or a style is asked for, by a browser that can unpack it."""
    if scope["type"] != "http" or scope.get("method") != "GET":
        return False
    headers = dict(scope.get("headers") or ())
    if b"range" in headers or b"gzip" not in headers.get(b"accept-encoding", b""):
        return False
    return PurePosixPath(scope.get("path", "")).suffix in _KINDS


def _lasts(start: dict[str, Any]) -> bool:
    """Whether an answer is of a file that never changes; there is only a fixed number of those."""
    headers = {name.lower(): value for name, value in start["headers"]}
    plain = b"content-encoding" not in headers
    return start["status"] == 200 and plain and b"immutable" in headers.get(b"cache-control", b"")
