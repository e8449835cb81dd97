"""How long the Operators page takes to follow a slider, in Chromium: the arithmetic of its component, without drawing.

python -m benchmarks.operators_browser [--sides 16 32 64] [--repeats 15]

A square picture of noise, 8 channels, a kernel of 3 × 3, the settings of the page. Each repeat has another temperature,
as a hand that moves the slider. Needs Chromium (`apt-get install chromium`).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import machine, parse, write
from core.methods.operators.single_layer import OperatorSettings, random_layers
from pages.components.operators import operators as component
from pages.components.operators.packing import Arrays, pack

MEASURE = """
([columns, packed, grid, repeats]) => {
  const arrays = Object.fromEntries(Object.entries(packed).map(([name, text]) => [name,
    Float64Array.from(new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer))]))
  const layers = layersOf(columns, arrays, grid)
  const timed = (work) => { const began = performance.now(); work(); return performance.now() - began }
  return Array.from({ length: repeats }, (_, step) => {
    const state = { kernel: 3, temperature: 2 + step / 10, weight: 1, at: Math.floor(grid[0] * grid[1] / 2) }
    const all = timed(() => { const run = sweep(layers, state); while (!run.next().done); })
    const follow = (layer) => [rowAt(layer, state.at, state, 0), fieldAt(layer, state.at, state)]
    const one = timed(() => layers.forEach(follow))
    return [all, one]
  })
}
"""


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/operators_browser.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parse(parser, words, sides=[8], repeats=2)
    from playwright.sync_api import sync_playwright

    folder, where, rows = Path(component.__file__).parent, machine(), dict[str, Any]()
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in component.FILES[1:])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        for side in arguments.sides:
            picture = np.random.default_rng(0).random((side, side, 3), dtype=np.float32)
            layers, arrays = random_layers(picture, OperatorSettings()), Arrays()
            columns = pack(layers, {}, arrays)
            given = [columns, arrays.bytes, [side, side], arguments.repeats + 3]
            # The first three find the code not yet compiled.
            times = page.evaluate(f"(given) => {{ {script}\n return ({MEASURE})(given) }}", given)[3:]
            all_positions, one_position = zip(*times, strict=True)
            rows[str(side)] = {
                "all_positions_ms": {"median": statistics.median(all_positions), "least": min(all_positions)},
                "one_position_ms": {"median": statistics.median(one_position), "least": min(one_position)},
            }
        version = browser.version
        browser.close()
    asked = {"sides": arguments.sides, "repeats": arguments.repeats}
    write(
        "operators_browser",
        {**asked, "chromium": version, "sides_px": rows, "machine": where},
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
