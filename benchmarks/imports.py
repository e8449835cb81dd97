"""How long the catalogues take to import, and what they drag in.

python -m benchmarks.imports [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

from benchmarks.report import machine, parse, write

HEAVY = (
    "torch",
    "transformers",
    "timm",
    "torchvision",
    "open_clip",
    "diffusers",
    "umap",
    "streamlit",
    "plotly",
    "onnx",
)
CATALOGUES = (
    "core.models.catalogue",
    "core.data.catalogue",
    "core.experiments.catalogue",
    "core.methods.attention.explanations",
)
PROBE = """
import json, sys, time
started = time.perf_counter()
import {module}
seconds = time.perf_counter() - started
print(json.dumps([seconds, [name for name in {heavy!r} if name in sys.modules]]))
"""


def main(words: list[str] | None = None) -> None:
    """Measure each catalogue in fresh processes and write `results/imports.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parse(parser, words, repeats=1)
    where, results = machine(), {}
    for module in CATALOGUES:
        runs = []
        for _ in range(arguments.repeats):
            done = subprocess.run(
                [sys.executable, "-c", PROBE.format(module=module, heavy=HEAVY)],
                capture_output=True,
                text=True,
                check=True,
                encoding="utf-8",
            )
            runs.append(json.loads(done.stdout))
        results[module] = {
            "seconds_median": statistics.median(seconds for seconds, _ in runs),
            "seconds_max": max(seconds for seconds, _ in runs),
            "heavy_packages_loaded": runs[0][1],
        }
    write("imports", {"repeats": arguments.repeats, "catalogues": results, "machine": where}, quick=arguments.quick)


if __name__ == "__main__":
    main()
