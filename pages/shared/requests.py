"""What the app's middleware asks of a request."""

from __future__ import annotations

from typing import Any


def asks_for_page(scope: Any) -> bool:
    """Whether somebody opens a page: not one of the many files that belong to it, which are asked for at the same time.

    `scope`: of ASGI.
    """
    if scope["type"] != "http" or scope.get("method") != "GET":
        return False
    return b"text/html" in dict(scope.get("headers") or ()).get(b"accept", b"")
