"""Waiting for what is drawn later: the server answers after the browser, and pictures come after words."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

PATIENCE_S = 300


def settle(page: Any) -> None:
    """Let what was just done reach the server, and its script end; what it draws may still come after that."""
    page.wait_for_timeout(500)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def until(page: Any, condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns once it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"after {PATIENCE_S} s still not: {what}"
        page.wait_for_timeout(50)


def pixels(canvas: Any) -> np.ndarray:
    """What a canvas shows, (height, width, 3) in 0 … 255."""
    return np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")).astype(int)


def unlike(first: np.ndarray, second: np.ndarray) -> float:
    """How far two pictures of a canvas are apart: the mean of |a - b|."""
    return float(np.abs(first - second).mean())
