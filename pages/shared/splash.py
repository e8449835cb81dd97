"""The first sign of life: what a browser shows from the first bytes on, until Streamlit's frontend has started.

The frontend takes about a second to start on a laptop, in which its page is white. The name and grey bars, where the
page's own will stand, are therefore part of the page as the server sends it; the frontend replaces them with the first
thing that it draws itself.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from core.paths import ASSETS
from pages.shared.requests import asks_for_page

ROOT = b'<div id="root"></div>'
_STYLESHEET = re.compile(rb'\s*<link rel="stylesheet"[^>]*>')
_SCRIPTS = re.compile(rb'\s*(?:<link rel="modulepreload"[^>]*>|<script type="module"[^>]*></script>)')
# Compiling sixty scripts keeps a laptop so busy that it shows nothing meanwhile: they wait for the first picture, or,
# where none is made, as in a tab in the background, for a moment.
_AFTERWARDS = """
  const start = () => {
    const scripts = document.getElementById('vitrine-frontend')
    if (scripts === null) return
    document.head.append(document.importNode(scripts.content, true))
    scripts.remove()
  }
  requestAnimationFrame(() => setTimeout(start))
  setTimeout(start, 150)
"""
# What is said of the file that the page is made from, and is not true of the page.
_OF_THE_FILE = {b"content-length", b"etag", b"last-modified", b"accept-ranges"}
_STYLE = """
  .vitrine-splash { position: fixed; inset: 0; overflow: hidden; background: light-dark(#FFFFFF, #11161B);
    color-scheme: light dark }
  .vitrine-splash svg { position: absolute; left: 1rem; top: .8rem; height: 2rem }
  .vitrine-splash i { position: absolute; top: 9rem; height: 55vh; border-radius: .6rem; background: #8884;
    animation: vitrine-splash 1.4s ease-in-out infinite alternate }
  .vitrine-splash i:first-of-type { left: 5%; width: 49% }
  .vitrine-splash i:last-of-type { right: 5%; width: 38% }
  @keyframes vitrine-splash { from { opacity: .3 } to { opacity: .6 } }
  @media (prefers-reduced-motion: reduce) { .vitrine-splash i { animation: none } }
"""
# Without scripts nothing replaces it, and Streamlit's own page says what is missing.
_WITHOUT_SCRIPTS = "<noscript><style>.vitrine-splash { display: none }</style></noscript>"


@cache
def _filled_root() -> bytes:
    logo = (ASSETS / "logo.svg").read_text(encoding="utf-8")
    style = f"<style>{_STYLE}</style>{_WITHOUT_SCRIPTS}"
    shown = f'<div class="vitrine-splash" role="status" aria-label="Vitrine is loading">{logo}<i></i><i></i></div>'
    return f'<div id="root">{style}{shown}</div>'.encode()


def with_splash(page: bytes) -> bytes:
    """Streamlit's page with something to see in it; one that is built in another way stays as it is.

    A browser shows nothing before it has the style sheets that stand in front, so they come behind; and the scripts
    come after the first picture.
    """
    if ROOT not in page:
        return page
    sheets, scripts = (b"".join(pattern.findall(page)) for pattern in (_STYLESHEET, _SCRIPTS))
    frame = _SCRIPTS.sub(b"", _STYLESHEET.sub(b"", page))
    later = b'<template id="vitrine-frontend">' + scripts + b"</template>"
    return frame.replace(ROOT, _filled_root() + later + f"<script>{_AFTERWARDS}</script>".encode() + sheets, 1)


class Splash:
    """ASGI middleware: pages come with a sign of life in them."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not asks_for_page(scope):
            await self.app(scope, receive, send)
            return
        head, parts = dict[str, Any](), list[bytes]()

        async def send_filled(message: Any) -> None:
            if message["type"] == "http.response.start" and _is_whole_page(message):
                head.update(message)
            elif message["type"] == "http.response.body" and head:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    page = with_splash(b"".join(parts))
                    kept = [pair for pair in head["headers"] if pair[0].lower() not in _OF_THE_FILE]
                    await send({**head, "headers": [*kept, (b"content-length", str(len(page)).encode())]})
                    await send({"type": "http.response.body", "body": page})
            else:
                await send(message)

        # Nothing between here and the page may compress it.
        plain = [pair for pair in scope["headers"] if pair[0].lower() != b"accept-encoding"]
        await self.app({**scope, "headers": plain}, receive, send_filled)


def _is_whole_page(start: Any) -> bool:
    """Whether an answer begins that is a page: a picture may be opened in a tab of its own, too."""
    kind: bytes = dict(start.get("headers") or ()).get(b"content-type", b"")
    return start["status"] == 200 and kind.startswith(b"text/html")
