"""`python -m tests.on_standin computations` or `pages`: everything on the stand-in device, in a process of its own.

Prints a line of JSON for each: its name and what went wrong, if anything did.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.standin import NAME, register


def computations() -> None:
    """Every computation that `benchmarks.gpu` knows, beside the CPU's results."""
    from benchmarks.gpu import Models, compare
    from benchmarks.gpu_computations import computations as listed
    from benchmarks.gpu_computations import save_noise

    with tempfile.TemporaryDirectory() as home:
        for device in ("cpu", NAME):
            os.environ["VITRINE_HOME"] = str(Path(home) / device)
            save_noise({"train": 200, "val": 40, "test": 20})
        models = Models(homes=Path(home), repeats=0)
        for each in listed():
            row = compare(each, NAME, models)
            wrong = row.error or ("" if row.passed else f"{row.worst} differs by {row.difference:.1e}")
            print(json.dumps({"name": f"{each.page}: {each.name}", "wrong": wrong}), flush=True)


def pages(stems: list[str]) -> None:
    """Pages as they open, with their models on the stand-in device."""
    from streamlit.testing.v1 import AppTest

    from core.device import device_of
    from core.paths import CHECKOUT
    from pages.shared.cache import loaded_model
    from pages.shared.layout import page_path

    os.environ["VITRINE_DEVICE"] = NAME
    with tempfile.TemporaryDirectory() as home:
        os.environ["VITRINE_HOME"] = home
        for stem in stems:
            app = AppTest.from_file(str(CHECKOUT / "pages" / "navigation.py"), default_timeout=600).run()
            if stem != "home":
                app.switch_page(page_path(stem)).run()
            wrong = [each.value for each in (*app.exception, *app.error)]
            for name in ("vit_p4", "clip_small"):
                if device_of(loaded_model(name).module).type != NAME:
                    wrong.append(f"{name} was moved to {device_of(loaded_model(name).module)}")
            print(json.dumps({"name": stem, "wrong": "; ".join(wrong)}), flush=True)


if __name__ == "__main__":
    register()
    if sys.argv[1] == "pages":
        pages(sys.argv[2:])
    else:
        computations()
