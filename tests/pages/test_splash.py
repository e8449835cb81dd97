"""What a browser shows before the frontend has started."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import streamlit

from pages.shared.splash import ROOT, Splash, with_splash

PAGE = b"<html><body>" + ROOT + b"</body></html>"


def answered(
    body: list[bytes], *, kind: bytes = b"text/html; charset=utf-8", accept: bytes = b"text/html", status: int = 200
) -> tuple[dict[bytes, bytes], list[dict[str, Any]], dict[bytes, bytes]]:
    """Headers and messages that a browser gets of an answer in these parts, and the headers that the app saw."""
    sent, asked = list[dict[str, Any]](), dict[bytes, bytes]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.update(scope["headers"])
        size = str(sum(map(len, body))).encode()
        headers = [
            (b"content-type", kind),
            (b"content-length", size),
            (b"etag", b'"1"'),
            (b"cache-control", b"no-cache"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, part in enumerate(body, 1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(body)})

    async def keep(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"accept", accept), (b"accept-encoding", b"gzip"), (b"range", b"bytes=0-9")]
    asyncio.run(Splash(app)({"type": "http", "method": "GET", "path": "/clip", "headers": headers}, None, keep))
    return dict(sent[0]["headers"]), sent[1:], asked


@pytest.mark.parametrize("parts", [[PAGE], [PAGE[:20], PAGE[20:]], [PAGE, b""]])
def test_a_page_comes_whole_with_its_sign_of_life(parts: list[bytes]) -> None:
    headers, messages, asked = answered(parts)
    (only,) = messages
    assert only["body"] == with_splash(PAGE)
    assert int(headers[b"content-length"]) == len(only["body"])
    assert b'role="status"' in only["body"]
    assert b"<noscript><style>.vitrine-splash { display: none }" in only["body"]
    assert b">Vitrine</text>" in only["body"]
    # What the file's name for its contents stands for is not this page.
    assert b"etag" not in headers
    assert headers[b"cache-control"] == b"no-cache"
    assert b"accept-encoding" not in asked


@pytest.mark.parametrize(
    "other",
    [{"kind": b"image/jpeg"}, {"accept": b"*/*"}, {"status": 304}],
    ids=["a picture in a tab", "a file of a page", "not changed"],
)
def test_what_is_no_page_goes_through_as_it_is(other: dict[str, Any]) -> None:
    headers, messages, asked = answered([PAGE[:20], PAGE[20:]], **other)
    assert [each["body"] for each in messages] == [PAGE[:20], PAGE[20:]]
    assert headers[b"etag"] == b'"1"'
    assert asked[b"range"] == b"bytes=0-9"


def test_in_streamlits_own_page_it_comes_before_the_styles_and_the_scripts() -> None:
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_bytes()
    filled = with_splash(page)
    place = filled.index(b"</svg>")
    assert filled.index(b"<body>") < place
    needed = re.findall(rb'<link rel="(?:stylesheet|modulepreload)"[^>]*>|<script type="module"[^>]*></script>', page)
    assert len(needed) > 2
    for each in needed:
        assert filled.count(each) == 1
        assert filled.index(each) > place
    # The scripts wait; the styles do not.
    template = filled[filled.index(b"<template") : filled.index(b"</template>")]
    assert [each in template for each in needed] == [b"stylesheet" not in each for each in needed]


def test_a_page_that_is_built_in_another_way_stays_as_it_is() -> None:
    other = b'<html><head><script type="module" src="a.js"></script></head><body id="root"></body></html>'
    assert with_splash(other) == other
