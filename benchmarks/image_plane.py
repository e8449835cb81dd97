"""Ten thousand pictures on the Embeddings page in a browser: frames a second, and what is sent when.

python -m benchmarks.image_plane [--images 10000]

Opens the page in headless Chromium without a graphics card, 1280 × 1000, on drawn pictures (no data set is needed) in
a home of its own, placed by PCA; then drags, zooms, points, and lassoes as fast as a hand, while the browser's frames
are counted. 60 a second is the most it shows.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.report import machine, parse, write
from benchmarks.serving import start_server
from core.data.arrays import save_arrays

_COUNT_FRAMES = """() => {
  window.frames_seen = []
  let last = performance.now()
  const step = (now) => { window.frames_seen.push(now - last); last = now; requestAnimationFrame(step) }
  requestAnimationFrame(step)
}"""
_TAKE_FRAMES = "() => { const seen = window.frames_seen; window.frames_seen = []; return seen }"


def save_drawn(home: Path, count: int) -> None:
    """A data set of soft blobs of ten colours, as arrays."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 10
    rows, columns = np.mgrid[0:32, 0:32]
    place = random.uniform(8, 24, (count, 2, 1, 1))
    blob = np.exp(-((rows - place[:, 0]) ** 2 + (columns - place[:, 1]) ** 2) / 60)[..., None]
    colour = random.uniform(0, 255, (10, 3))[labels] + random.normal(scale=25, size=(count, 3))
    images = np.clip(blob * colour[:, None, None], 0, 255).astype(np.uint8)
    folder = home / "data" / "drawn"
    save_arrays(folder, "test", images, labels)
    card = {
        "name": "drawn",
        "title": "Drawn",
        "classes": [f"colour {number}" for number in range(10)],
        "storage": "arrays",
        "image_size": [32, 32],
        "splits": {"test": count},
    }
    (folder / "dataset.json").write_text(json.dumps(card), encoding="utf-8")


def settle(page: Any) -> None:
    """Wait until nothing runs."""
    page.wait_for_timeout(700)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_timeout(700)


def gestures(page: Any, box: dict[str, float]) -> dict[str, Callable[[], None]]:
    """What a hand does, eighty times a second."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def circle(steps: int, radius: float) -> None:
        for step in range(steps):
            angle = 2 * math.pi * step / steps
            page.mouse.move(x + radius * math.sin(angle), y - radius * math.cos(angle))
            page.wait_for_timeout(12)

    def drag() -> None:
        page.mouse.move(x, y - 90)
        page.mouse.down()
        circle(120, 90)
        page.mouse.up()

    def zoom() -> None:
        for step in range(80):
            page.mouse.wheel(0, -60 if step < 40 else 60)
            page.wait_for_timeout(12)

    def lasso() -> None:
        page.keyboard.down("Shift")
        page.mouse.move(x, y - 120)
        page.mouse.down()
        circle(80, 120)
        page.mouse.up()
        page.keyboard.up("Shift")

    return {"drag": drag, "zoom": zoom, "point": lambda: circle(120, 150), "lasso": lasso}


def measured(page: Any, gesture: Callable[[], None]) -> dict[str, float]:
    """Frames while a gesture lasts."""
    page.evaluate(_TAKE_FRAMES)
    gesture()
    frames = np.array(page.evaluate(_TAKE_FRAMES))
    return {
        "frames_per_second": round(1000 * len(frames) / frames.sum(), 1),
        "median_ms": round(float(np.median(frames)), 1),
        "p95_ms": round(float(np.quantile(frames, 0.95)), 1),
        "longest_ms": round(float(frames.max()), 1),
    }


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/image_plane.json`."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    arguments = parse(parser, words, images=200)
    count = arguments.images
    where = machine()
    home = Path(tempfile.mkdtemp())
    save_drawn(home, count)
    server, address = start_server(VITRINE_HOME=str(home))
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = chromium.new_context(viewport={"width": 1280, "height": 1000}).new_page()
            page.set_default_timeout(900_000)
            fetched: list[int] = []
            messages: list[int] = []

            def note_file(answer: Any) -> None:
                if "/media/" in answer.url:
                    fetched.append(len(answer.body()))

            page.on("response", note_file)
            page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: messages.append(len(frame))))
            page.goto(f"{address}/embeddings?set=data:drawn/test/{count}/0&encoder=cnn_small&plane_method=PCA")
            canvas = page.locator("figure canvas").first
            canvas.wait_for()
            settle(page)
            page.evaluate(_COUNT_FRAMES)
            sent = {"on_arrival": {"files_kib": sum(fetched) // 1024, "messages_kib": sum(messages) // 1024}}
            fetched.clear()
            messages.clear()
            result = {
                name: measured(page, act)
                for name, act in gestures(page, cast("dict[str, float]", canvas.bounding_box())).items()
            }
            settle(page)
            sent["after_a_lasso"] = {"files_kib": sum(fetched) // 1024, "messages_kib": sum(messages) // 1024}
            chromium.close()
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(home, ignore_errors=True)
    write("image_plane", {"images": count, "gestures": result, "sent": sent, "machine": where}, quick=arguments.quick)


if __name__ == "__main__":
    main()
