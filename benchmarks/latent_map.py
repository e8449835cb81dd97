"""How quickly a latent becomes a picture: decoded on the server, and under the pointer of a browser.

    python -m benchmarks.latent_map [--device cpu] [--repeats 200] [--address http://127.0.0.1:8501] [--quick]

Decoding: one latent to bytes, and the grid that the map gets, for every bundled VAE. With `--address` of a running app,
also in Chromium: frames a second while the pointer crosses the map (`requestAnimationFrame`, gaps between frames), and
the way from a key that turns a latent to the new picture on the screen. The aims: 100 ms where the server must decode,
60 frames a second in the browser. Times depend on what else the machine does: `load_before` says how busy it was.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from benchmarks.report import machine, parse, write
from core.methods.latent.drawing import manifold
from core.methods.latent.passes import decoded
from core.methods.latent.pictures import as_bytes
from core.models.vae import VAE
from core.models.weights import load
from pages.components.latent_map.latent_map import grid_side

MODELS = ("vae_2d", "vae_collapsed", "vae_warmup", "vae_bernoulli")
_FRAMES = """async (seconds) => {
  const times = []
  await new Promise((done) => {
    const begin = performance.now()
    const step = (now) => {
      times.push(now)
      now - begin < 1000 * seconds ? requestAnimationFrame(step) : done()
    }
    requestAnimationFrame(step)
  })
  return times
}"""
_SWEEP = """async ([x, y, width, height, seconds]) => {
  // Pointer events as a hand makes them, one for every frame: the tool that drives the browser is slower than a hand.
  const within = (each) => [...(each.shadowRoot?.querySelectorAll("canvas.top") ?? [])]
  const canvas = [...document.querySelectorAll("*")].flatMap(within)[0] ?? document.querySelector("canvas.top")
  const times = []
  await new Promise((done) => {
    const begin = performance.now()
    const step = (now) => {
      times.push(now)
      const share = (now - begin) / (1000 * seconds)
      const place = {
        clientX: x + width * (0.5 + 0.45 * Math.sin(9 * share)),
        clientY: y + height * (0.5 + 0.45 * Math.cos(7 * share)),
        bubbles: true,
        pointerId: 1,
      }
      canvas.dispatchEvent(new PointerEvent("pointermove", place))
      share < 1 ? requestAnimationFrame(step) : done()
    }
    requestAnimationFrame(step)
  })
  return times
}"""
_TURN = """async () => {
  // From the key to the frame after the one in which the rows were drawn anew.
  const within = (each) => [...(each.shadowRoot?.querySelectorAll("canvas.top") ?? [])]
  const canvas = [...document.querySelectorAll("*")].flatMap(within)[0] ?? document.querySelector("canvas.top")
  const said = canvas.parentElement.parentElement.querySelector("p")
  const before = said.textContent
  const begin = performance.now()
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }))
  return await new Promise((done) => {
    const look = () => {
      if (said.textContent !== before) requestAnimationFrame(() => done(performance.now() - begin))
      else requestAnimationFrame(look)
    }
    look()
  })
}"""


def milliseconds(work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median and 95 % quantile of single calls."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begin))
    return {"median_ms": statistics.median(times), "p95_ms": float(np.quantile(times, 0.95))}


def decoding(name: str, device: str, repeats: int) -> dict[str, Any]:
    """One latent, and the whole grid, of a model."""
    model = cast(VAE, load(name, device).module)
    config, random = model.config, np.random.default_rng(0)
    side = grid_side(config.pixels)
    return {
        "one": milliseconds(lambda: as_bytes(decoded(model, random.normal(size=(1, config.latent_dim)))), repeats),
        "grid": milliseconds(lambda: manifold(model, side, layout="even", dimensions=(0, 1)), max(3, repeats // 20)),
        "grid_pictures": side**2,
        "grid_bytes": side**2 * config.pixels,
    }


def in_browser(address: str, seconds: float, repeats: int) -> dict[str, Any]:
    """Frames while the pointer crosses the map, and the way from turning a latent to its picture."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(120_000)
        page.goto(f"{address}/latent?vae=vae_2d")
        canvas = page.locator("canvas.top")
        canvas.wait_for()
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        page.wait_for_timeout(1500)
        idle = page.evaluate(_FRAMES, seconds)
        box = canvas.bounding_box() or {"x": 0, "y": 0, "width": 1, "height": 1}
        moving = page.evaluate(_SWEEP, [box["x"], box["y"], box["width"], box["height"], seconds])
        page.goto(f"{address}/latent?vae=vae_bernoulli&latent_view=Walks")
        rows = page.locator("canvas.top")
        rows.wait_for()
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        page.wait_for_timeout(1500)
        rows.focus()
        trips = [page.evaluate(_TURN) for _ in range(repeats)]
        browser.close()
    return {
        "idle": _rates(idle),
        "moving": _rates(moving),
        "latent_to_picture": {"median_ms": statistics.median(trips), "p95_ms": float(np.quantile(trips, 0.95))},
        "trips": len(trips),
    }


def _rates(times: list[float]) -> dict[str, float]:
    gaps = np.diff(times)
    return {
        "frames_per_second": float(1000 / gaps.mean()),
        "median_gap_ms": float(np.median(gaps)),
        "p95_gap_ms": float(np.quantile(gaps, 0.95)),
    }


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/latent_map.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--address", default="", help="of a running app; without it nothing is measured in a browser")
    arguments = parse(parser, words, repeats=5)
    where, repeats = machine(), arguments.repeats
    result: dict[str, Any] = {
        "device": arguments.device,
        "repeats": repeats,
        "decoding": {name: decoding(name, arguments.device, repeats) for name in MODELS},
    }
    if arguments.address:
        result["browser"] = in_browser(arguments.address, 1.0 if arguments.quick else 4.0, max(5, repeats // 10))
    write("latent_map", {**result, "machine": where}, quick=arguments.quick)


if __name__ == "__main__":
    main()
