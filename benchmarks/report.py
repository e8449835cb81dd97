"""How every benchmark writes down what it measured and where."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "load_before": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def parse(parser: argparse.ArgumentParser, words: list[str] | None = None, **quick: Any) -> argparse.Namespace:
    """What was asked for; every benchmark knows `--quick`, which `tests/benchmarks` calls.

    Args:
        parser: the benchmark's own options.
        words: instead of those of the command line.
        quick: with `--quick` the defaults: the smallest sizes that go every way through the benchmark, in seconds.
    """
    parser.add_argument("--quick", action="store_true", help="the smallest sizes, to see that it works")
    if parser.parse_known_args(words)[0].quick:
        parser.set_defaults(**quick)
    return parser.parse_args(words)


def write(name: str, result: dict[str, Any], *, quick: bool = False) -> Path:
    """Save `result` with its date as `results/NAME.json` (`NAME_quick.json`) and print it."""
    name, result = f"{name}_quick" if quick else name, {"date": datetime.date.today().isoformat(), **result}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    return path
