"""In a real browser: hostile addresses, names and labels fetch nothing from elsewhere and become no element."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from core.runs.status import RunState, write_state
from core.runs.store import RunSpec, create_run
from tests.toy import save_toy

EVIL = "evil.test"
HOSTILE = (
    f"![x](http://{EVIL}/p.png) [l](http://{EVIL}/l) http://{EVIL}/bare www.{EVIL} me@{EVIL} $q^{77}$ "
    f":material/bug_report: :bug: :red[x] <img src=http://{EVIL}/i.png> `x` **x**"
)
NAME = HOSTILE.replace("/", "_")[:180]
ADDRESSES = {
    "attention": {"image": f"data:{HOSTILE}", "model": f"hub:{HOSTILE}"},
    "embeddings": {"set": f"photos:{HOSTILE}", "encoder": f"hub:{HOSTILE}"},
    "clip": {"labels": f"{HOSTILE}\na cat", "image": HOSTILE, "model": f"hub:{HOSTILE}", "evaluation": HOSTILE},
    "train": {"recipe": "vit_scratch", "set": f"training.epochs={HOSTILE}", "parent": HOSTILE},
    "runs": {"run": NAME},
}
# What the letters would have become: by where it leads, since the address of the page itself holds them too.
MADE = """() => [...document.querySelectorAll('[data-testid="stApp"] :is(img, a, .katex)')]
    .filter(each => {
        if (each.matches('.katex')) return each.querySelector('annotation')?.textContent === 'q^{77}';  // ours: cards
        const where = each.src || each.href || '';
        return where.startsWith('mailto:') || new URL(where, location).hostname.includes('evil');
    })
    .map(each => each.outerHTML)"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run and a data set whose names are hostile."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.delenv("VITRINE_DATA", raising=False)
    save_toy(name="toy", classes=(HOSTILE, f"{HOSTILE} too"))
    card = tmp_path / "data" / "toy" / "dataset.json"
    card.write_text(json.dumps({**json.loads(card.read_text(encoding="utf-8")), "title": HOSTILE}), encoding="utf-8")
    run = create_run("one", RunSpec(recipe=HOSTILE, config={HOSTILE: HOSTILE}, device=HOSTILE))
    write_state(run, RunState(status="failed", cause=HOSTILE, remedy=HOSTILE))
    for step in (1, 2):
        run.append_metrics({"step": step, "epoch": step, "val_accuracy": 0.5, "train_loss": 1.0})
    run.path.rename(run.path.with_name(NAME))
    return tmp_path


def test_nothing_is_fetched_and_nothing_is_made(home: Path, start_server: Callable[[], str], page: Any) -> None:
    address = start_server()
    elsewhere: list[str] = []
    own = urlsplit(address).netloc

    def note(request: Any) -> None:
        if urlsplit(request.url).scheme in ("http", "https", "ws", "wss") and urlsplit(request.url).netloc != own:
            elsewhere.append(request.url)

    page.on("request", note)
    for stem, query in ADDRESSES.items():
        page.goto(f"{address}/{stem}?" + "&".join(f"{name}={quote(value)}" for name, value in query.items()))
        page.wait_for_selector("text=Caveat")  # the cards come last
        page.wait_for_selector('[data-testid="stStatusWidget"]', state="detached")
        assert "evil.test" in page.content(), f"{stem} shows nothing of it, so this proves nothing"
        assert page.evaluate(MADE) == [], stem
        assert page.locator('[data-testid="stException"]').count() == 0, stem
    assert elsewhere == []
