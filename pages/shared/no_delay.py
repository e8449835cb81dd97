"""Answers leave at once: every answer on an open connection waited 40 ms for the browser to say that it had the last.

Streamlit binds its socket itself and leaves the protocol open, so that asyncio does not see that it is TCP and does not
switch off Nagle's algorithm: the second part of an answer then waits for the receipt of the first, which a browser
sends 40 ms later. uvicorn has the same fault (https://github.com/Kludex/uvicorn/issues/3149). A page is sixty scripts.
"""

from __future__ import annotations

import asyncio.base_events
import socket

ASKED = "_set_nodelay"  # of asyncio, for every connection; another Python that has no such function keeps its ways


def answer_at_once() -> None:
    """Of every connection from now on. The app is loaded when the socket is bound already, and before it is used."""
    if hasattr(asyncio.base_events, ASKED):
        setattr(asyncio.base_events, ASKED, _without_delay)


def _without_delay(connection: socket.socket) -> None:
    """What asyncio does, also where nobody has said that a stream of the internet is TCP."""
    if connection.family in {socket.AF_INET, socket.AF_INET6} and connection.type == socket.SOCK_STREAM:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
