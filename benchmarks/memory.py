"""How much memory a server takes: after its imports, after every page once, and after many uploads.

python -m benchmarks.memory [--pages home,attention] [--uploads 50] [--checkout FOLDER] [--environment NAME=VALUE]

Needs Chromium and playwright. One tab visits all pages with the models that they open with, and then drops photos of a
phone's size on Attention, each another one. Read when the server has computed nothing for a while, in MiB: `rss` is all
that lies in memory, `pss` what others share counted in part, `uss` what it alone has. They hardly depend on what else
the machine does. `--checkout` measures another version of the app, `--environment` a variable of the server's.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.first_paint import PATIENCE_MS, WHOLE
from benchmarks.report import machine, parse, write
from benchmarks.serving import processor_seconds, start_server
from core.paths import CHECKOUT
from pages.navigation import ENTRIES, HOME

DROP = """([content, name]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))
  const data = new DataTransfer()
  data.items.add(new File([bytes], name, { type: "image/jpeg" }))
  const main = document.querySelector('[data-testid="stMain"]')
  for (const kind of ["dragover", "drop"])
    main.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, composed: true, cancelable: true }))
}"""
UPLOAD_PAGE = "attention"
QUIET_S = 3.0


def memory(server: subprocess.Popen[bytes]) -> dict[str, float]:
    """MiB of a server that has nothing to do any more."""
    computed = -1.0
    while (now := processor_seconds(server)) - computed > 0.02 * QUIET_S:
        computed = now
        time.sleep(QUIET_S)
    found = psutil.Process(server.pid).memory_full_info()
    return {kind: getattr(found, kind) / 2**20 for kind in ("rss", "pss", "uss") if hasattr(found, kind)}


def photo(seed: int) -> str:
    """Twelve megapixels that nobody has uploaded, as a JPEG in base64."""
    coarse = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((4000, 3000), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode()


def wait_idle(page: Page) -> None:
    """Until the script has finished."""
    page.wait_for_selector(WHOLE, state="attached")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def upload(page: Page, number: int) -> None:
    """Drop a photo on the page and wait for what it shows of it."""
    name = f"photo{number}.jpg"
    page.evaluate(DROP, [photo(number), name])
    page.get_by_role("button", name=f"Image: {name}").wait_for()
    wait_idle(page)


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/memory.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", default=",".join(ENTRIES))
    parser.add_argument("--uploads", type=int, default=50)
    parser.add_argument("--checkout", type=Path, default=CHECKOUT)
    parser.add_argument("--environment", action="append", default=[], metavar="NAME=VALUE")
    arguments = parse(parser, words, pages=UPLOAD_PAGE, uploads=1)
    where, found = machine(), dict[str, Any]()
    environment = dict(each.split("=", 1) for each in arguments.environment)
    server, base = start_server(arguments.checkout, **environment)
    try:
        found["imports"] = memory(server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(PATIENCE_MS)
            for stem in arguments.pages.split(","):
                page.goto(f"{base}/{'' if stem == HOME else stem}")
                wait_idle(page)
                found[stem] = memory(server)
                print(f"{stem}: {found[stem]['rss']:.0f} MiB", flush=True)
            before = found["every page"] = memory(server)
            page.goto(f"{base}/{UPLOAD_PAGE}")
            page.locator("canvas").first.wait_for()  # until then nothing listens for what is dropped
            wait_idle(page)
            for number in range(arguments.uploads):
                upload(page, number)
                if number % 10 == 9:
                    print(
                        f"upload {number + 1}: {psutil.Process(server.pid).memory_info().rss / 2**20:.0f} MiB",
                        flush=True,
                    )
            after = found["uploads"] = memory(server)
            browser.close()
    finally:
        server.terminate()
        server.wait(timeout=60)
    growth = {kind: after[kind] / before[kind] - 1 for kind in after}
    result = {"uploads": arguments.uploads, "environment": environment, "memory_mib": found, "growth": growth}
    write("memory", {**result, "machine": where}, quick=arguments.quick)


if __name__ == "__main__":
    main()
