"""What a server answers on an open connection does not wait for the receipt of what it said before."""

from __future__ import annotations

import asyncio
import asyncio.base_events
import socket

import pytest
from streamlit.web.server.starlette.starlette_server import _bind_socket

from pages.shared.no_delay import ASKED, answer_at_once


@pytest.fixture(autouse=True)
def _asyncio_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.base_events, ASKED, getattr(asyncio.base_events, ASKED))


async def _accepted() -> tuple[int, int]:
    """Of a connection to a socket that is bound as Streamlit binds it: its protocol, and whether it waits."""
    found: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()

    def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        found.set_result((connection.proto, connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    bound = _bind_socket("127.0.0.1", 0, 8)
    async with await asyncio.start_server(note, sock=bound):
        _, writer = await asyncio.open_connection(*bound.getsockname())
        answer = await found
        writer.close()
    return answer


def test_connections_to_a_socket_bound_by_streamlit_do_not_wait() -> None:
    protocol, _ = asyncio.run(_accepted())
    assert protocol == 0, "Streamlit says that it is TCP: pages/shared/no_delay.py can go"
    answer_at_once()
    assert asyncio.run(_accepted())[1] != 0


def test_what_is_no_stream_of_the_internet_is_left_alone() -> None:
    answer_at_once()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        getattr(asyncio.base_events, ASKED)(datagrams)
