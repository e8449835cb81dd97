"""What comes with Vitrine for its first pictures: the same as would be computed, of nothing else, and enough."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit

from core.methods.attention.attention import AttentionMaps
from core.paths import CHECKOUT
from pages.components.attention.packing import pack
from pages.shared import first_results, start
from pages.shared.cache import described_model
from pages.shared.first_results import COMMAND, FILE, first_result, is_of_these_weights, model_of
from pages.shared.make_first_results import computed, write
from pages.shared.pictures import example_picture
from pages.shared.results import forget_everything
from pages.shared.start import WITHOUT_TORCH, Visits

REMAKE = f"assets/{FILE.name} is of another model, photo or code than these. Make it anew: {COMMAND}"
MAPS = "pages.shared.cache._maps"


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, Any], Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITRINE_HOME", str(tmp_path_factory.mktemp("home")))
        return computed()


def key_of_maps() -> tuple[str, str]:
    return "vit_p4", example_picture("coffee").digest


def alike(stored: Any, found: Any) -> None:
    """The same in everything but the last digits, in which processors differ."""
    assert type(stored) is type(found), REMAKE
    if isinstance(stored, np.ndarray):
        assert (stored.shape, stored.dtype) == (found.shape, found.dtype), REMAKE
        np.testing.assert_allclose(stored, found, rtol=1e-3, atol=2e-5 * np.abs(found).max(), err_msg=REMAKE)
    elif is_dataclass(stored):
        for each in fields(stored):
            alike(getattr(stored, each.name), getattr(found, each.name))
    elif isinstance(stored, dict):
        assert list(stored) == list(found), REMAKE
        for key in stored:
            alike(stored[key], found[key])
    elif isinstance(stored, tuple):
        assert len(stored) == len(found), REMAKE
        for one, other in zip(stored, found, strict=True):
            alike(one, other)
    elif isinstance(stored, float):
        assert stored == pytest.approx(found, rel=1e-3, abs=2e-5), REMAKE
    else:
        assert stored == found, REMAKE


def test_it_is_what_would_be_computed(anew: dict[tuple[str, Any], Any]) -> None:
    assert {first_results.line_of(*where) for where in anew} == first_results._read().keys(), REMAKE
    for (function, key), found in anew.items():
        assert is_of_these_weights(model_of(key)), REMAKE
        [stored] = first_result(function, key)
        alike(stored, found)


def test_so_are_the_bytes_that_the_browser_draws(anew: dict[tuple[str, Any], Any]) -> None:
    [stored] = first_result(MAPS, key_of_maps())
    found = anew[MAPS, key_of_maps()]
    assert isinstance(stored, AttentionMaps)
    edge = 8 * stored.heads * stored.weights.shape[-1]  # the range of each row, as floats
    for ours, theirs in zip(pack(stored).layers, pack(found).layers, strict=True):
        a, b = (np.frombuffer(each, np.uint8).reshape(stored.layers, -1)[:, edge:] for each in (ours, theirs))
        assert np.abs(a.astype(int) - b).max() <= 1, REMAKE


def test_it_stays_small() -> None:
    assert FILE.stat().st_size < 1.2 * 2**20


# What of each page is there before PyTorch is: so many of these elements, and these components. A picture on Home ends
# in the link to its page.
FIRST: dict[str, tuple[str, int, set[str]]] = {
    "home": ("page_link", 6, set()),
    "attention": ("plotly_chart", 0, {"vitrine_attention"}),
    "masking": ("plotly_chart", 2, {"vitrine_masking_steps"}),
    "anatomy": ("plotly_chart", 3, set()),
}


@pytest.mark.parametrize("stem", WITHOUT_TORCH)
def test_the_page_opens_without_torch(stem: str, tmp_path: Path) -> None:
    """Home, which shows more than its first pictures, ends here where it would wait for PyTorch."""
    kind, count, components = FIRST[stem]
    script = f"""
import sys
sys.modules["torch"] = None  # importing it is an error
from pages.shared import start
from pages.shared.errors import PageEnd
from tests.pages.harness import open_page
def end():
    raise PageEnd
start.wait_for_imports = end
app = open_page({stem!r})
assert not app.error, [each.value for each in app.error]
names = {{element.proto.component_name for element in app.get("bidi_component")}}
assert names >= {components | {"vitrine_page_keys"}}, names
assert len(app.get({kind!r})) == {count}, app.get({kind!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, env={**os.environ, "VITRINE_HOME": str(tmp_path)},
        capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_another_model_photo_or_question_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    name, digest = key_of_maps()
    assert first_result(MAPS, (name, digest))
    assert not first_result(MAPS, (name, "0" * 64))
    assert not first_result(MAPS, ("differential_vit_p4", digest))
    assert not first_result("pages.shared.cache.explanation_of", (name, digest, "relevance", 0))
    monkeypatch.setattr(first_results, "label", lambda name: "of other weights")
    is_of_these_weights.cache_clear()
    try:
        assert not first_result(MAPS, (name, digest))
    finally:
        is_of_these_weights.cache_clear()


def test_what_is_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_everything()
    with first_results.ignored():
        told = described_model("vit_small_p8")
    where = (described_model.name, ("vit_small_p8",))
    write({where: told}, tmp_path / "some.npz")
    monkeypatch.setattr(first_results, "FILE", tmp_path / "some.npz")
    caches = (first_results._arrays, first_results._index, is_of_these_weights)
    for each in caches:
        each.cache_clear()
    try:
        assert first_result(*where) == [told]
    finally:
        for each in caches:
            each.cache_clear()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("/attention", False), ("/", False), ("/masking", False), ("/operators", True), ("/clip", True)],
)
def test_a_page_that_needs_pytorch_has_it_imported_when_it_is_asked_for(
    path: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "_start", begun := start._Start())
    before = begun.quiet_at

    async def nothing(*_: object) -> None: ...

    scope = asked_for(path)
    asyncio.run(Visits(nothing)(scope, nothing, nothing))
    assert begun.wanted.is_set() == wanted
    assert (begun.quiet_at > before) == (not wanted)


def asked_for(path: str, accept: bytes = b"text/html") -> dict[str, Any]:
    """A request as the server hears of it."""
    return {"type": "http", "method": "GET", "path": path, "headers": [(b"accept", accept)]}


def test_the_browser_is_told_of_the_charts_script_with_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "_start", start._Start())

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b""})

    def headers(scope: dict[str, Any]) -> dict[bytes, bytes]:
        sent: list[dict[str, Any]] = []

        async def keep(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(Visits(answer)(scope, None, keep))
        assert [each["type"] for each in sent] == ["http.response.start", "http.response.body"]
        return dict(sent[0]["headers"])

    found = headers(asked_for("/anatomy"))
    named = re.match(rb"<\./(static/js/PlotlyChart\.[\w-]+\.js)>; rel=modulepreload", found[b"link"])
    assert named is not None
    assert found[b"content-type"] == b"text/html"
    assert (Path(streamlit.__file__).parent / "static" / named[1].decode()).is_file()
    assert b"link" not in headers(asked_for("/static/js/index.js", b"*/*"))
