"""Batches side by side give what one after the other gives, and leave the number of threads alone."""

from __future__ import annotations

import threading

import pytest
import torch

from core.device import MOST_STREAMS, Streams

CPU = torch.device("cpu")


@pytest.fixture
def four_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def in_a_new_thread() -> int:
    """How many threads PyTorch gives a thread that begins now."""
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.usefixtures("four_threads")
def test_streams_share_the_threads_and_keep_the_order() -> None:
    expected = [index * index for index in range(30)]
    with Streams(CPU) as streams:
        assert streams.count == 4
        assert streams.map(lambda index: index * index, range(30)) == expected
        names = set(streams.map(lambda index: (threading.current_thread().name, torch.get_num_threads()), range(40)))
        assert {threads for _, threads in names} == {1}
        assert torch.get_num_threads() == 4
        assert in_a_new_thread() == 4
    assert torch.get_num_threads() == 4
    assert in_a_new_thread() == 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stream")]


@pytest.mark.usefixtures("four_threads")
def test_an_error_in_a_stream_arrives_and_ends_them() -> None:
    def fall(index: int) -> int:
        raise ValueError(f"item {index}")

    with pytest.raises(ValueError, match="item 0"), Streams(CPU) as streams:
        streams.map(fall, range(9))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stream")]


def test_one_thread_or_another_device_is_a_plain_loop() -> None:
    for device in (None, torch.device("meta")):
        with Streams(device) as streams:
            assert streams.count == 1
            assert streams.map(lambda index: threading.current_thread().name, [1]) == [threading.current_thread().name]
    before = torch.get_num_threads()
    torch.set_num_threads(MOST_STREAMS * 2 + 1)
    try:
        with Streams(CPU) as streams:
            assert streams.count == MOST_STREAMS
            assert set(streams.map(lambda _: torch.get_num_threads(), range(40))) == {2}
    finally:
        torch.set_num_threads(before)
