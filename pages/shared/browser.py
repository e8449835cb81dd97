"""Which browser somebody uses: a random secret in a cookie, by which it finds its own uploads again, and nobody else.

The server hands it out with the page itself, before the session begins, and scripts in the page cannot read it
(HttpOnly). Lax and not Strict: a link in a mail would come without it, and the new one would take the place of the old,
with which the uploads would be lost.
"""

from __future__ import annotations

import re
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any

import streamlit as st

from core.data.uploads import are_kept
from pages.shared.requests import asks_for_page

COOKIE = "vitrine_browser"
_DAYS = 365
_SECRET = re.compile(r"[0-9a-f]{32}")


def browser_secret() -> str | None:
    """The secret of the browser that this session belongs to; None without cookies, or where no uploads are kept."""
    if not are_kept():
        return None
    return _valid(st.context.cookies.get(COOKIE, ""))


class BrowserCookie:
    """ASGI middleware: every browser that opens a page gets a secret, or its own for another year."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not asks_for_page(scope) or not are_kept():
            await self.app(scope, receive, send)
            return
        secret = _from_header(dict(scope["headers"]).get(b"cookie", b"")) or secrets.token_hex(16)
        cookie = f"{COOKIE}={secret}; Path=/; Max-Age={_DAYS * 86_400}; HttpOnly; SameSite=Lax"
        if scope.get("scheme") == "https":
            cookie += "; Secure"

        async def send_with_cookie(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"set-cookie", cookie.encode())]}
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def _from_header(header: bytes) -> str | None:
    try:
        found = SimpleCookie(header.decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return _valid(found.value) if found else None


def _valid(secret: object) -> str | None:
    return secret if isinstance(secret, str) and _SECRET.fullmatch(secret) else None
