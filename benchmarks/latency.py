"""From the finger to the picture, in a real browser on this machine: what plays in the browser, and labels on CLIP.

python -m benchmarks.latency [--model vit_s14_saliency] [--changes 30] [--controls layer,label] [--before FOLDER]

Needs Chromium and playwright. The time runs from the key press to the end of the frame in which the picture has other
pixels, so that a screen of 60 frames a second adds up to 17 ms of its own. The next key follows as soon as that is
seen, as from a hand that is held down: the server, which hears of a choice when the hand rests, computes in between.
A change that shows nothing within two seconds is given up and counted as missed. A label runs from its last letter
(`label`), or from Enter right behind it (`label_enter`), to the frame in which its bar stands among the others.
`--before` names a checkout of an earlier version, which is measured by turns with this one, a control at a time.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, TimeoutError, sync_playwright

from benchmarks.report import machine, parse, write
from benchmarks.serving import start_server
from core.errors import CoreError
from core.models.catalogue import find_model
from core.models.weights import availability
from core.paths import CHECKOUT

PATIENCE_MS = 2_000  # for one change
WARM_UP_MS = 500  # for one that is not counted: at the end of its way a key changes nothing
OPENING_MS = 180_000  # for a whole page
REST_MS = 400  # after which a component has told the server

# From the next key on: `window.__latency` is null until some lines of this canvas have other pixels.
WATCH = """
(canvas) => {
  const lines = () => [1, 2, 3, 4, 5, 6, 7, 8, 9].map((tenth) => canvas.getContext('2d')
    .getImageData(0, Math.floor(canvas.height * tenth / 10), canvas.width, 1).data.join()).join()
  window.__latency = null
  const watch = window.__watch = {}
  window.addEventListener('keydown', () => {
    const before = lines(), started = performance.now()
    const look = () => requestAnimationFrame(() => setTimeout(() => {
      if (window.__watch !== watch) return
      if (lines() !== before) window.__latency = performance.now() - started
      else look()
    }))
    look()
  }, { once: true, capture: true })
}
"""
# The same for the bar of a label, from a named key that is pressed for the last of several times.
WATCH_BARS = """
(bars, [label, key, presses]) => {
  window.__latency = null
  const watch = window.__watch = {}
  const there = () => [...bars.querySelectorAll('.name')].some((name) => name.textContent === label)
  window.addEventListener('keydown', function pressed(event) {
    if (event.key !== key || --presses) return
    const started = performance.now()
    window.removeEventListener('keydown', pressed, true)
    const look = () => requestAnimationFrame(() => setTimeout(() => {
      if (window.__watch !== watch) return
      if (there()) window.__latency = performance.now() - started
      else look()
    }))
    look()
  }, true)
}
"""
SEEN = "() => window.__latency !== null"


@dataclass(frozen=True, kw_only=True)
class Control:
    """What is moved, and what changes with it.

    Attributes:
        address: of the page, with `{model}`.
        moved: selector of what has the focus; where it finds several, each is pressed in turn.
        shown: selector of the canvas.
        back, forth: the keys.
        steps: how many of each, one after the other.
    """

    address: str
    moved: str
    shown: str = "canvas.photo"
    back: str = "ArrowLeft"
    forth: str = "ArrowRight"
    steps: int = 2


_ATTENTION = "attention?model={model}&head=2&layer=2"
CONTROLS = {
    "layer": Control(address=_ATTENTION, moved='input[name="layer"]', steps=5),
    "mosaic": Control(address=_ATTENTION, moved=".mosaic", back="ArrowUp", forth="ArrowDown", steps=1),
    "head": Control(address=_ATTENTION, moved=".mosaic", back="ArrowLeft", forth="ArrowRight", steps=1),
    "patch": Control(address=_ATTENTION, moved="canvas.photo", back="ArrowUp", forth="ArrowDown"),
    "direction": Control(
        address=_ATTENTION + "&patch=9", moved='select[name="direction"]', back="ArrowUp", forth="ArrowDown", steps=1
    ),
    "film": Control(address=_ATTENTION, moved=".frames button", back="Enter", forth="Enter", steps=1),
    "masking": Control(
        address="masking", moved='input[aria-label="Patches removed"]', shown=".both canvas[role=img]", steps=5
    ),
    "alignment": Control(
        address="modality_gap", moved='input[aria-label="On the way"]', shown=".way canvas[role=img]", steps=5
    ),
    "latent_map": Control(address="latent?vae=vae_2d", moved="canvas.top", shown="canvas.top", steps=5),
}
LABELS = {"label": False, "label_enter": True}
ALL = (*CONTROLS, *LABELS)
STANDING = "cat, espresso, rocket, "
# Each is asked about once, so that its sentence is never kept from before.
WORDS = [
    "zebra", "violin", "lighthouse", "tractor", "mushroom", "penguin", "umbrella", "castle", "bicycle",
    "cactus", "dolphin", "hammer", "island", "jacket", "kettle", "lemon", "mirror", "needle",
    "orchid", "parrot", "quilt", "river", "sailor", "tunnel", "vase", "walnut", "yacht",
    "anchor", "barrel", "canoe", "drum", "eagle", "feather", "glove", "harbour", "igloo",
    "jigsaw", "kiwi", "ladder", "magnet", "nest", "oven", "pillow", "rabbit", "saddle",
    "teapot", "unicorn", "village", "whistle", "window", "basket", "candle", "desert", "engine",
    "forest", "garden", "helmet", "iceberg", "jungle", "kitten", "lantern", "meadow", "noodle",
    "otter", ").split(",
]  # fmt: skip


class NoSuchControlError(Exception):
    """The page has none."""


def opened(page: Page, address: str) -> None:
    """The whole page at that address, and nothing going on."""
    page.goto(address)
    page.wait_for_selector(".st-key-page_keys", state="attached", timeout=OPENING_MS)
    page.wait_for_timeout(REST_MS)
    rested(page)


def rested(page: Page, most_ms: int = 10_000) -> None:
    """Until the server's script has finished, but no longer than that."""
    try:
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=most_ms)
    except TimeoutError:
        print("    the page is still at work", flush=True)


def seen(page: Page, patience_ms: int = PATIENCE_MS) -> float | None:
    """Milliseconds of the change that is watched; None if nothing is seen of it."""
    try:
        page.wait_for_function(SEEN, timeout=patience_ms, polling=20)
    except TimeoutError:
        return None
    return float(page.evaluate("window.__latency"))


def found(page: Page, selector: str) -> Locator:
    """The first that can be seen of what the selector finds.

    Raises:
        NoSuchControlError: there is none.
    """
    locator = page.locator(selector).locator("visible=true").first
    try:
        locator.wait_for(timeout=20_000)
    except TimeoutError:
        raise NoSuchControlError(selector) from None
    return locator


def control_latencies(page: Page, address: str, control: Control, changes: int) -> Iterator[float | None]:
    """Milliseconds of each change, None where nothing was seen of it."""
    opened(page, address)
    moved, shown = found(page, control.moved), found(page, control.shown)
    buttons = page.locator(control.moved)
    count = buttons.count() if control.back == control.forth else 1
    to_and_fro = itertools.cycle([control.back] * control.steps + [control.forth] * control.steps)
    warm_up = 2 * control.steps if count == 1 else count
    for number, key in enumerate(itertools.islice(to_and_fro, warm_up + changes)):
        pressed = moved if count == 1 else buttons.nth(number % count)
        pressed.focus()
        shown.evaluate(WATCH)
        page.keyboard.press(key)
        latency = seen(page, PATIENCE_MS if number >= warm_up else WARM_UP_MS)
        if number >= warm_up:
            yield latency


def label_latencies(page: Page, address: str, changes: int, *, enter: bool, words: list[str]) -> Iterator[float | None]:
    """Milliseconds until each of `words`, typed behind other labels, has a bar; None where it has none in time."""
    opened(page, address)
    box, bars = found(page, 'input[aria-label^="Labels"]'), found(page, ".bars")
    for number, word in enumerate(words[: changes + 1]):
        box.fill(STANDING)
        page.wait_for_timeout(REST_MS)
        rested(page)
        box.press("End")
        # The last letter, not the first one like it: “mushroom” begins with an m, too.
        last, presses = ("Enter", 1) if enter else (word[-1], word.count(word[-1]))
        bars.evaluate(WATCH_BARS, [word, last, presses])
        # As fast as people type who do not look at the keys.
        page.keyboard.type(word[:-1], delay=80)
        page.keyboard.press(word[-1])
        if enter:
            page.keyboard.press("Enter")
        latency = seen(page, 5 * PATIENCE_MS)
        if number:  # the first finds the page's words not yet asked
            yield latency


def summary(latencies: list[float | None]) -> dict[str, float | int]:
    """Median, 95th percentile and largest of those that were seen, and how many were not."""
    ordered = sorted(latency for latency in latencies if latency is not None)
    missed = len(latencies) - len(ordered)
    if not ordered:
        return {"changes": len(latencies), "missed": missed}
    return {
        "median": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 1),
        "max": round(ordered[-1], 1),
        "changes": len(latencies),
        "missed": missed,
    }


def measured(page: Page, base: str, name: str, model: str, changes: int) -> dict[str, float | int] | None:
    """One control of one version; None, and a line that says so, where its page has none."""
    try:
        if name in LABELS:
            enter = LABELS[name]
            words = WORDS[len(WORDS) // 2 :] if enter else WORDS[: len(WORDS) // 2]
            latencies = label_latencies(page, f"{base}/clip", changes, enter=enter, words=words)
        else:
            control = CONTROLS[name]
            latencies = control_latencies(page, f"{base}/{control.address.format(model=model)}", control, changes)
        return summary(list(latencies))
    except (NoSuchControlError, TimeoutError) as error:
        print(f"    nothing measured: {type(error).__name__} {str(error).splitlines()[0]}", flush=True)
        return None


def refuse_without_weights(model: str) -> None:
    """
    Raises:
        CoreError: the page of that model would show a download and no picture, for which one can wait long.
    """
    there = availability(find_model(model))
    if there.state != "ready":
        raise CoreError(f"{model} is not on this machine: {there.text}", f"python -m core weights get {model}")


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/latency.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vit_s14_saliency", help="whose attention is shown")
    parser.add_argument("--changes", type=int, default=30, help="of each control; labels: at most 32")
    parser.add_argument("--controls", default=",".join(ALL))
    parser.add_argument("--before", type=Path)
    arguments = parse(parser, words, model="vit_p4", changes=3, controls="layer,film,label")
    refuse_without_weights(arguments.model)
    where, began = machine(), time.monotonic()
    versions = {"now": CHECKOUT} | ({"before": arguments.before} if arguments.before else {})
    servers: dict[str, tuple[subprocess.Popen[bytes], str]] = {}
    latencies: dict[str, dict[str, Any]] = {version: {} for version in versions}
    try:
        for version, checkout in versions.items():
            servers[version] = start_server(checkout)
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(30_000)
            for name, version in itertools.product(arguments.controls.split(","), versions):
                figures = measured(page, servers[version][1], name, arguments.model, arguments.changes)
                if figures:
                    latencies[version][name] = figures
                print(f"{time.monotonic() - began:5.0f} s  {version} {name}: {figures}", flush=True)
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
