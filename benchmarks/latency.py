"""From the layer slider to the new picture, in a real browser on this machine; and the first paint of each page.

python -m benchmarks.latency [--model vit_s14_saliency] [--changes 60]

Needs Chromium and playwright. The time runs from the key press on the slider to the frame in which the canvas shows
other pixels; about 200 ms of the slider's are Streamlit's own wait for further movement, which the mosaic's arrow keys
do not have. The first sweep over the layers is not counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from playwright.sync_api import Locator, Page, sync_playwright

from benchmarks.report import machine, parse, write

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
    const look = () => {
      if (line() !== before) window.__latency = performance.now() - started
      else requestAnimationFrame(look)
    }
    requestAnimationFrame(look)
  }, { once: true, capture: true })
}
"""


def start_server() -> tuple[subprocess.Popen[bytes], str]:
    """A fresh server on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.headless", "true"],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2)
            return server, address
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError("The server did not start.")


def wait_idle(page: Page) -> None:
    """Until the script has finished."""
    page.wait_for_timeout(400)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def key_latencies(page: Page, control: Locator, back: str, forth: str, depth: int, changes: int) -> list[float]:
    """Milliseconds of each warm change of the layer by the keys of a control that stands at the last layer."""
    control.focus()
    keys = ([back] * (depth - 1) + [forth] * (depth - 1)) * (changes // depth + 2)
    latencies: list[float] = []
    for index, key in enumerate(keys[: changes + 2 * (depth - 1)]):
        page.evaluate(WATCH)
        control.press(key)
        page.wait_for_function("window.__latency !== null", timeout=30_000)
        if index >= 2 * (depth - 1):
            latencies.append(page.evaluate("window.__latency"))
        wait_idle(page)
    return latencies


def summary(latencies: list[float]) -> dict[str, float]:
    """Median, 95th percentile and largest."""
    ordered = sorted(latencies)
    return {"median": statistics.median(ordered), "p95": ordered[int(0.95 * (len(ordered) - 1))], "max": ordered[-1]}


def first_paint(page: Page, address: str) -> float:
    """Seconds from the request to the first picture on the page."""
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("canvas, .js-plotly-plot, [data-testid=stImage] img")
    return time.perf_counter() - started


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/latency.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vit_s14_saliency")
    parser.add_argument("--changes", type=int, default=60)
    arguments = parse(parser, words, model="vit_p4", changes=3)
    where: dict[str, Any] = machine()
    server, address = start_server()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(120_000)
            paints = {
                "attention, first visit to the server": first_paint(
                    page, f"{address}/attention?model={arguments.model}"
                )
            }
            wait_idle(page)
            slider = page.get_by_role("slider", name="Layer").first
            depth = int(slider.get_attribute("max") or 12)
            latencies = key_latencies(page, slider, "ArrowLeft", "ArrowRight", depth, arguments.changes)
            page.goto(f"{address}/attention?model={arguments.model}")
            page.wait_for_selector("canvas")
            wait_idle(page)
            mosaic = page.locator(".frame[role=application]").first
            mosaic_latencies = key_latencies(page, mosaic, "ArrowUp", "ArrowDown", depth, arguments.changes)
            for stem in ("", "attention", "masking", "anatomy"):
                fresh = browser.new_page()
                fresh.set_default_timeout(120_000)
                first_paint(fresh, f"{address}/{stem}?model={arguments.model}")
                wait_idle(fresh)
                again = browser.new_page()
                again.set_default_timeout(120_000)
                paints[f"{stem or 'home'}, warm server"] = first_paint(
                    again, f"{address}/{stem}?model={arguments.model}"
                )
                wait_idle(again)
                fresh.close()
                again.close()
            browser.close()
    finally:
        server.terminate()
        server.wait(20)
    write(
        "latency",
        {
            "model": arguments.model,
            "changes": len(latencies),
            "slider_to_picture_ms": summary(latencies),
            "mosaic_to_picture_ms": summary(mosaic_latencies),
            "first_paint_seconds": paints,
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
