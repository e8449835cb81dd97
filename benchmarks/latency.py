"""From a key to the new picture on Attention, in a real browser on this machine.

python -m benchmarks.latency [--model vit_s14_saliency] [--changes 60] [--before FOLDER]

Needs Chromium and playwright. The time runs from the key press to the end of the frame in which the photo shows other
pixels, so that a screen of 60 frames a second adds up to 17 ms of its own. The first sweep over the layers is not
counted. `--before` names a checkout of an earlier version, which is measured in the same run.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.report import machine, parse, write
from benchmarks.serving import start_server
from core.paths import CHECKOUT

# Watches a line of canvas pixels from a key press on; `window.__latency` is null until they change.
WATCH = """
() => {
  const find = (root) => {
    for (const element of root.querySelectorAll('*')) {
      if (element.tagName === 'CANVAS' && element.getAttribute('role') === 'application') return element
      if (element.shadowRoot) { const found = find(element.shadowRoot); if (found) return found }
    }
    return null
  }
  const canvas = find(document)
  const line = () => {
    const context = canvas.getContext('2d')
    return [0.3, 0.5, 0.7].map((share) =>
      context.getImageData(0, Math.floor(canvas.height * share), canvas.width, 1).data.join()).join()
  }
  window.__latency = null
  window.addEventListener('keydown', () => {
    const before = line(), started = performance.now()
    const look = () => requestAnimationFrame(() => setTimeout(() => {
      if (line() !== before) window.__latency = performance.now() - started
      else look()
    }))
    look()
  }, { once: true, capture: true })
}
"""


def wait_idle(page: Page) -> None:
    """Until the script has finished."""
    page.wait_for_timeout(400)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


# What has the focus, and the keys that go to and fro: of this version, or of one whose controls were Streamlit's own.
MEASURES: dict[str, tuple[str, str]] = {
    "layer": ('input[name="layer"], [role="slider"][aria-label="Layer"]', "ArrowLeft ArrowRight"),
    "mosaic": (".mosaic, .frame[role=application]", "ArrowUp ArrowDown"),
    "head": (".mosaic, .frame[role=application]", "ArrowRight ArrowLeft"),
    "patch": ("canvas[role=application]", "ArrowUp ArrowDown"),
    "direction": ('select[name="direction"]', "ArrowDown ArrowUp"),
    "film": (".frames button", "Enter"),
}


def key_latencies(page: Page, name: str, depth: int, changes: int) -> list[float]:
    """Milliseconds of each warm change by the keys of a control; none where this version has no such control."""
    selector, keys = MEASURES[name]
    control = page.get_by_role("slider", name="Layer").first if name == "layer" else page.locator(selector).first
    if name != "layer" and not page.locator(selector).count():
        return []
    if name in ("mosaic", "head") and "layers (columns)" in str(control.get_attribute("aria-label")):
        keys = MEASURES["head" if name == "mosaic" else "mosaic"][1]  # it lies on its side
        keys = " ".join(reversed(keys.split()))
    back, *forth = keys.split()
    sweep = {"layer": depth - 1, "mosaic": depth - 1, "direction": 1}.get(name, 2)
    turns = ([back] * sweep + (forth or [back]) * sweep) * (changes // sweep + 2)
    if name == "direction":  # of what the head reads there is none
        page.locator("canvas[role=application]").first.click(position={"x": 80, "y": 80})
        wait_idle(page)
    latencies: list[float] = []
    for index, key in enumerate(turns[: changes + 2 * sweep]):
        if name == "film":  # every frame is a button
            control = page.locator(selector).nth(index % depth)
        control.focus()
        page.evaluate(WATCH)
        control.press(key)
        page.wait_for_function("window.__latency !== null", timeout=30_000)
        if index >= 2 * sweep:
            latencies.append(page.evaluate("window.__latency"))
        wait_idle(page)
    return latencies


def measured(page: Page, address: str, model: str, changes: int) -> dict[str, dict[str, float]]:
    """Every control of the Attention page of one version."""
    found = {}
    for name in MEASURES:
        page.goto(f"{address}/attention?model={model}&head=3")
        page.wait_for_selector("canvas[role=application]")
        page.wait_for_timeout(1000)
        wait_idle(page)
        depth = int(page.get_by_role("slider", name="Layer").first.get_attribute("max") or 12)
        if latencies := key_latencies(page, name, depth, changes):
            found[name] = summary(latencies)
    return found


def summary(latencies: list[float]) -> dict[str, float]:
    """Median, 95th percentile and largest."""
    ordered = sorted(latencies)
    return {"median": statistics.median(ordered), "p95": ordered[int(0.95 * (len(ordered) - 1))], "max": ordered[-1]}


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/latency.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vit_s14_saliency")
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--before", type=Path)
    arguments = parse(parser, words, model="vit_p4", changes=3)
    where: dict[str, Any] = machine()
    versions = {"now": CHECKOUT} | ({"before": arguments.before} if arguments.before else {})
    servers: dict[str, tuple[subprocess.Popen[bytes], str]] = {}
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        for name, checkout in versions.items():
            servers[name] = start_server(checkout)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(300_000)
            latencies = {
                name: measured(page, servers[name][1], arguments.model, arguments.changes) for name in versions
            }
            browser.close()
    finally:
        for server, _ in servers.values():
            server.terminate()
            server.wait(20)
    write(
        "latency",
        {
            "model": arguments.model,
            "changes": arguments.changes,
            "key_to_picture_ms": latencies,
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
