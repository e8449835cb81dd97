"""From an address to something on the screen, the page's place, the first picture and the whole page, in a browser.

python -m benchmarks.first_paint [--pages home,attention] [--checkout FOLDER] [--mbit 50]

Needs Chromium and playwright. `sign`: anything at all is on the screen; `life`: the page begins to be filled. Cold: the
first request to a fresh server, one for each page; warm: the same page in a new browser that has nothing of that
server kept. Clicked: from the click on a link of the home page (for that: of the attention page) in a tab that is open
already, as most people come to a page. Beside the clock stands what the server computed until the picture was there, in
seconds of processor: on a busy machine only those compare. `--checkout` measures another version of the app,
`--mbit` puts a network of so many megabits a second between it and the browser.

No page can be there sooner than Streamlit's frontend: `empty app` is one that shows one small picture, in the same run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from benchmarks.report import machine, parse, write
from benchmarks.serving import EMPTY, EMPTY_APP, SIGN, processor_seconds, start_server
from core.paths import CHECKOUT
from pages.navigation import ENTRIES, HOME

LIFE = "[data-testid=stMainBlockContainer]"
# The last: what Biases makes of the photo lies side by side in one picture, of which each card shows a part.
PICTURES = (
    'canvas:not([data-testid="data-grid-canvas"])', ".js-plotly-plot", "img", "svg.marks", '[style*="background-image"]'
)  # fmt: skip
PICTURE = ", ".join(f"[data-testid=stMain] {each}" for each in PICTURES)
WHOLE = ".st-key-page_keys"
# Of a page come to by a click: its heading, and a picture, also in a component, that is not left of the page before.
CLICKED = """([title, pictures]) => {
  const inside = (root) => [...root.querySelectorAll(pictures),
    ...[...root.querySelectorAll('*')].flatMap((each) => each.shadowRoot ? inside(each.shadowRoot) : [])]
  const stale = (each) => each.closest('[data-stale=true]') !== null
    || each.getRootNode().host !== undefined && stale(each.getRootNode().host)
  const main = document.querySelector('[data-testid=stMain]')
  return [...main.querySelectorAll('h2, h3')].some((each) => each.textContent.startsWith(title) && !stale(each))
    && inside(main).some((each) => each.getBoundingClientRect().width > 0 && !stale(each))
}"""
ITS_END = "(whole) => [...document.querySelectorAll(whole)].some((each) => !each.closest('[data-stale=true]'))"
LINK = "(path) => [...document.links].find((link) => link.pathname === path && !link.hash)"
PATIENCE_MS = 300_000
LATENCY_MS = 10  # of a network that is not this machine
RESTING_MS = 1_000  # of somebody who looks before clicking
HEADINGS = {HOME: "See inside vision models"}  # where it is another than the page's title


def visit(
    browser: Browser, address: str, server: subprocess.Popen[bytes], *, mbit: float | None = None
) -> dict[str, float]:
    """Seconds from the request to each of the four, and of the server's processor until the picture."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    if mbit is not None:
        speed = {"downloadThroughput": mbit * 1e6 / 8, "uploadThroughput": mbit * 1e6 / 8, "latency": LATENCY_MS}
        context.new_cdp_session(page).send("Network.emulateNetworkConditions", {"offline": False, **speed})
    found, computed, began = dict[str, float](), processor_seconds(server), time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(LIFE)
    found["life"] = time.perf_counter() - began
    page.locator(PICTURE).locator("visible=true").first.wait_for()
    found["picture"] = time.perf_counter() - began
    found["processor"] = processor_seconds(server) - computed
    page.wait_for_selector(WHOLE, state="attached")
    found["whole"] = time.perf_counter() - began
    found["sign"] = page.wait_for_function(SIGN).json_value() / 1000
    context.close()
    return found


def click(browser: Browser, base: str, stem: str, server: subprocess.Popen[bytes]) -> dict[str, float]:
    """Seconds from the click on a link to the first picture and the whole page, and of the server's processor."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{base}/attention" if stem == HOME else base)
    page.wait_for_selector(WHOLE, state="attached")
    page.wait_for_timeout(RESTING_MS)
    link = page.evaluate_handle(LINK, "/" if stem == HOME else f"/{stem}").as_element()
    assert link is not None, f"no link leads to {stem}"
    found, computed, began = dict[str, float](), processor_seconds(server), time.perf_counter()
    link.click()
    page.wait_for_function(CLICKED, arg=[HEADINGS.get(stem, ENTRIES[stem].title), ", ".join(PICTURES)], polling=10)
    found["picture"] = time.perf_counter() - began
    found["processor"] = processor_seconds(server) - computed
    page.wait_for_function(ITS_END, arg=WHOLE, polling=10)
    found["whole"] = time.perf_counter() - began
    context.close()
    return found


def measure(browser: Browser, checkout: Path, stem: str, *, mbit: float | None = None) -> dict[str, dict[str, float]]:
    """One page of a fresh server, or the empty app, which has no links: cold, warm and clicked."""
    server, base = start_server(checkout)
    address = f"{base}/{'' if stem in (HOME, EMPTY) else stem}"
    try:
        found = {kind: visit(browser, address, server, mbit=mbit) for kind in ("cold", "warm")}
        return found if stem == EMPTY else {**found, "clicked": click(browser, base, stem, server)}
    finally:
        server.terminate()
        server.wait(timeout=60)


def main(words: list[str] | None = None) -> None:
    """Measure, print a table and write `results/first_paint.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", default=",".join(ENTRIES))
    parser.add_argument("--checkout", type=Path, default=CHECKOUT)
    parser.add_argument("--mbit", type=float, help="megabits a second of the network between; none without")
    arguments = parse(parser, words, pages="anatomy")
    where, pages = machine(), dict[str, dict[str, Any]]()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "app.py").write_text(EMPTY_APP, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for stem in (EMPTY, *arguments.pages.split(",")):
            pages[stem] = measure(
                browser, Path(folder) if stem == EMPTY else arguments.checkout, stem, mbit=arguments.mbit
            )
            print(table({stem: pages[stem]}, head=len(pages) == 1), flush=True)
        browser.close()
    empty = pages.pop(EMPTY)
    name = "first_paint" if arguments.mbit is None else "first_paint_network"
    write(name, {"pages": pages, EMPTY: empty, "mbit": arguments.mbit, "machine": where}, quick=arguments.quick)


def table(pages: dict[str, dict[str, Any]], *, head: bool) -> str:
    """Seconds, in Markdown."""
    columns = [(kind, what) for kind in ("cold", "warm") for what in ("sign", "life", "picture", "whole", "processor")]
    columns += [("clicked", what) for what in ("picture", "whole", "processor")]
    lines = []
    if head:
        lines += ["| page | " + " | ".join(f"{kind} {what}" for kind, what in columns) + " |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
    for stem, found in pages.items():
        cells = [f"{found[kind][what]:.2f}" if kind in found else "" for kind, what in columns]
        lines.append(f"| {stem} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
