"""How soon a computation of a page hears of a Stop: the longest that each goes on without looking, in milliseconds.

python -m benchmarks.stops [--pages clip,masking] [--quick]

The bar of what is stopped is gone at once, whatever the work is in the middle of; the work itself ends where it looks
next: where it reports its progress, at the next block of its model, or at its end. Here pages are opened on default
models as a browser opens them, and each shared computation that begins is timed from one look to the next: in seconds
of its own thread's processor, which do not depend on what else the machine does, and by the clock, which also counts
what it waits for and what other threads compute for it.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from benchmarks.report import machine, parse, write
from core.paths import CHECKOUT
from pages.navigation import ENTRIES, HOME
from pages.shared.first_results import ignored
from pages.shared.results import Shared
from pages.shared.work import Job

# Views that are not open at first: what is chosen in them.
VIEWS: dict[str, tuple[dict[str, str], ...]] = {
    "clip": ({}, *({"view": each} for each in ("matrix", "conditions", "imagenet", "collection", "synsets"))),
    "latent": ({}, *({"latent_view": each} for each in ("reconstructions", "samples", "latents", "walks", "rates"))),
    "embeddings": ({}, {"plane_method": "pca"}, {"plane_method": "umap"}),
}


class Steps:
    """What each computation did between two looks at most, by its name."""

    def __init__(self) -> None:
        self.longest: dict[str, tuple[float, float]] = {}
        self.lock, self.here = threading.Lock(), threading.local()

    def look(self) -> None:
        """The computation that this thread is at looks whether it was stopped, begins, or ends."""
        now = time.thread_time(), time.perf_counter()
        names = self.here.__dict__.setdefault("names", [])
        if names:
            step = tuple(1000 * (one - other) for one, other in zip(now, self.here.last, strict=True))
            with self.lock:
                known = self.longest.get(names[-1], (0.0, 0.0))
                self.longest[names[-1]] = max(known[0], step[0]), max(known[1], step[1])
        self.here.last = now

    def within(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, whose steps count as those of `name`."""

        @wraps(work)
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.look()
            self.here.names.append(name)
            try:
                return work(*args, **kwargs)
            finally:
                self.look()
                self.here.names.pop()

        return stepped


@contextmanager
def watched(steps: Steps) -> Iterator[None]:
    """Have all computations of this process tell `steps` of their looks."""
    look = Job.look

    def looked(job: Job[Any]) -> None:
        steps.look()
        look(job)

    def function(computation: Shared[Any, Any]) -> Callable[..., Any]:
        return steps.within(computation.name.removeprefix("pages."), computation.__dict__["function"])

    asked = property(function, lambda self, value: self.__dict__.update(function=value))
    with patch.object(Job, "look", looked), patch.object(Shared, "function", asked, create=True):
        yield


def open_page(stem: str, chosen: dict[str, str]) -> AppTest:
    """A page after its first run, with what is `chosen` by the keys of its controls."""
    page = AppTest.from_file(str(CHECKOUT / "pages" / "navigation.py"), default_timeout=900)
    if stem != HOME:  # at once, without a walk over Home
        page._page_hash = calc_hash(stem)
    for name, value in chosen.items():
        page.session_state[name] = value
    page.run()
    shown = {name: page.session_state[name] for name in chosen}
    assert shown == chosen, f"{stem} shows {shown} instead of {chosen}"
    return page


def main(words: list[str] | None = None) -> None:
    """Measure, print a table and write `results/stops.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", default=",".join(ENTRIES))
    arguments = parse(parser, words, pages="anatomy")
    where, steps = machine(), Steps()
    views = [(stem, chosen) for stem in arguments.pages.split(",") for chosen in VIEWS.get(stem, ({},))]
    with watched(steps), ignored():  # what comes with Vitrine is not computed
        for stem, chosen in views:
            began, known = time.monotonic(), set(steps.longest)
            page = open_page(stem, chosen)
            said = f"{time.monotonic() - began:4.0f} s, {len(page.exception)} exceptions"
            print(f"{stem} {chosen or ''}: {said}", flush=True)
            for name in sorted(steps.longest.keys() - known):
                print("    {}: {:.0f} ms of its thread, {:.0f} by the clock".format(name, *steps.longest[name]))
    ordered = sorted(steps.longest.items(), key=lambda each: -each[1][0])
    write(
        "stops",
        {
            "longest_step_ms": {
                name: {"processor": round(processor, 1), "clock": round(clock, 1)}
                for name, (processor, clock) in ordered
            },
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
