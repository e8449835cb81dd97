"""How soon a page is free again after a click on Stop: python -m benchmarks.stops_clicked [--pages embeddings].

Opens pages on a server of its own, whose home is empty, on photos that it has not seen, and clicks the first Stop that
appears; where none does before the page is whole, nothing takes long here. Milliseconds from the click until no bar is
left; `benchmarks.stops` measures how soon the work behind it ends. `load_before` says how busy the machine was.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence

from playwright.sync_api import sync_playwright

from benchmarks.first_paint import PATIENCE_MS, WHOLE
from benchmarks.report import machine, parse, write
from benchmarks.serving import start_server

# Addresses whose first visit takes long.
LONG = (
    "clip?image=example:rocket", "clip?view=Conditions", "clip?view=Against+ImageNet", "diffusion?image=example:rocket",
    "embeddings", "modality_gap", "masking?image=example:rocket", "latent", "biases?image=example:rocket",
    "style?image=example:rocket", "precision?image=example:rocket", "classifiers", "patch_features",
)  # fmt: skip
STOP = "[...document.querySelectorAll('button')].find((each) => each.textContent.trim() === 'Stop')"
THERE = f"() => {STOP} ? 'bar' : document.querySelector('{WHOLE}') ? 'whole' : null"
CLICK = f"""
  () => new Promise((resolve) => {{
    const found = () => {STOP}
    const stop = found(), began = performance.now()
    if (!stop) return resolve(null)
    stop.click()
    const look = () => found() ? requestAnimationFrame(look) : resolve(performance.now() - began)
    look()
  }})
"""


def clicks(addresses: Sequence[str]) -> dict[str, float | None]:
    """Milliseconds from the click on Stop until no bar is left, by address; None where no bar appears."""
    found: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as home:
        server, base = start_server(VITRINE_HOME=home)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                for address in addresses:
                    page = browser.new_page(viewport={"width": 1280, "height": 900})
                    page.goto(f"{base}/{address}")
                    page.wait_for_function(THERE, timeout=PATIENCE_MS)
                    found[address] = page.evaluate(CLICK)
                    print(address, "no bar" if found[address] is None else f"{found[address]:.0f} ms", flush=True)
                    page.close()
                browser.close()
        finally:
            server.terminate()
            server.wait(timeout=60)
    return found


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/stops_clicked.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", default=",".join(dict.fromkeys(each.partition("?")[0] for each in LONG)))
    arguments = parse(parser, words, pages="biases")
    where, asked = machine(), arguments.pages.split(",")
    found = clicks([each for each in LONG if each.partition("?")[0] in asked])
    write("stops_clicked", {"milliseconds": found, "machine": where}, quick=arguments.quick)


if __name__ == "__main__":
    main()
