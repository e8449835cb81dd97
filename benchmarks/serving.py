"""A fresh server of the app, for what is measured in a browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from core.paths import CHECKOUT

PATIENCE_S = 180
# Of an open page: after how many milliseconds anything at all was on the screen; null until then.
SIGN = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
# No page can be there sooner than Streamlit's frontend: this app is one small picture.
EMPTY = "empty app"
EMPTY_APP = """
import streamlit as st
with st.container(key="page_keys"):
    st.image('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>')
"""


def start_server(checkout: Path = CHECKOUT, **environment: str) -> tuple[subprocess.Popen[bytes], str]:
    """The server of a version of the project on a free port, and its address.

    Raises:
        RuntimeError: it does not answer.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.headless", "true"],
        cwd=checkout,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address, began = f"http://127.0.0.1:{port}", time.monotonic()
    while server.poll() is None and time.monotonic() - began < PATIENCE_S:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
            return server, address
        except OSError:  # not yet there, or slow to answer
            time.sleep(0.1)
    server.terminate()
    raise RuntimeError("The server did not start.")


def processor_seconds(server: subprocess.Popen[bytes]) -> float:
    """What it has computed so far."""
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)
