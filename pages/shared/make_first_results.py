"""Compute the results that come with Vitrine, and write them down: python -m pages.shared.make_first_results

They are all that the first run of these pages asks of the functions that have some: see `pages.shared.first_results`.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core.paths import CHECKOUT
from pages.shared.first_results import FILE, Key, ignored, label, line_of, model_of
from pages.shared.results import forget_everything, kept_first
from pages.shared.stored_results import encoded, save

# Whose first pictures these are.
PAGES = ("attention", "masking", "anatomy", "home")


def computed() -> dict[tuple[str, Key], Any]:
    """The results of all functions that have some here, after the first run of each of the pages."""
    with ignored():
        forget_everything()
        for page in PAGES:
            app = AppTest.from_file(str(CHECKOUT / "pages" / "navigation.py"), default_timeout=600)
            if page != "home":  # which is at the bare address
                app._page_hash = calc_hash(page)
            app.run()
            if app.exception:
                raise RuntimeError(f"The page {page} ended in an exception: {app.exception}")
        return kept_first()


def write(results: Mapping[tuple[str, Key], Any], file: Path) -> None:
    """Keep the results in `file`, with what they are of."""
    arrays: list[np.ndarray] = []
    index = {
        "labels": {name: label(name) for name in sorted({model_of(key) for _, key in results})},
        "results": {line_of(*where): encoded(result, arrays) for where, result in sorted(results.items(), key=repr)},
    }
    with io.BytesIO() as buffer:
        save(buffer, index, arrays, small=True)
        file.write_bytes(buffer.getvalue())


def main() -> None:
    """Compute them anew and write the file."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["VITRINE_HOME"] = home  # where no model has been downloaded that would be shown first
        results = computed()
    write(results, FILE)
    print(f"{FILE.relative_to(FILE.parent.parent)}: {len(results)} results, {FILE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
