"""What a visit to Masking costs: until its first picture, until its curve stands, until all is there; and many at once.

    python -m benchmarks.masking [--models vit_p4,efficientnet_lite0] [--visitors 16] [--repeats 3] [--quick]
    python -m benchmarks.masking --browsers 16 [--models vit_p4]

Processor seconds of one visit with a new picture, without Streamlit: what the page asks the model, in its order. Beside
it what the same visit cost when every curve asked for itself in batches of 32, and one image in batches of each size.
`visitors`: as many threads as visitors, each with a picture of its own, under one model's lock; seconds by the clock
until each has its first answer and its whole curve, with all that is computed in the background going on meanwhile.
Times by the clock depend on what else the machine does: `load_before` says how busy it was.

`--browsers` measures this alone, on a server that has the model: so many pages of one Chromium, each with a session and
a picture of its own, opened at once. Seconds from a page's request to anything on the screen (`sign`), its name
(`life`), the photo with its slider (`picture`), and the answer to every step of the slider (`curve`). The browser
computes on the same cores: `empty app` is what the same pages cost where the server has one small picture and no more.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.report import machine, parse, write
from benchmarks.serving import EMPTY, EMPTY_APP, SIGN, start_server
from core.methods.attention.explanations import explanations_for, find_explanation
from core.methods.masking.faithfulness import faithfulness
from core.methods.masking.masking import masked_responses, masking_curve, random_band
from core.methods.masking.orders import masking_order, scores_on_grid
from core.methods.masking.passes import Passes
from core.models.weights import load
from core.paths import CHECKOUT
from pages.masking import asking
from pages.masking.asking import MaskingQuestion
from pages.shared.cache import logits_of
from pages.shared.work import LOOK_S, Job

if TYPE_CHECKING:
    from playwright.sync_api import Page

STEPS, ORDERS = 12, 4
SIZES = (1, 2, 4, 8, 32)
STAGES = ("sign", "life", "picture", "curve")
MOST_S = 600
# In every page, from its request on: what was first seen after how many milliseconds.
WATCH = """
  window.__seen = {}
  const within = () => [...document.querySelectorAll('[data-testid^="stBidi"], [data-testid^="stBidi"] *')]
    .map((each) => each.shadowRoot).find((root) => root?.querySelector('input[aria-label="Patches removed"]'))
  const answered = (said) => {
    const steps = said.match(/([0-9]+) of ([0-9]+) steps/)
    return steps ? steps[1] === steps[2] : said !== '' && !said.startsWith('Ranking')
  }
  const looks = {
    life: () => [...document.querySelectorAll('h3')].some((each) => each.textContent.startsWith('Masking')),
    picture: () => (within()?.querySelector('canvas') ?? document.querySelector('.st-key-page_keys img'))
      ?.getBoundingClientRect().width > 0,
    curve: () => answered(within()?.querySelector('.right p')?.textContent ?? ''),
  }
  const timer = setInterval(() => {
    for (const [stage, look] of Object.entries(looks))
      if (!(stage in window.__seen) && look()) window.__seen[stage] = performance.now()
    if (Object.keys(window.__seen).length === Object.keys(looks).length) clearInterval(timer)
  }, 50)
"""


def photo(seed: int) -> Image.Image:
    """A picture that nobody has asked about."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (256, 256, 3), dtype=np.uint8))


def visit(name: str, seed: int, note: Callable[[str], None] = lambda what: None) -> None:
    """What the page asks, in its order; `note` hears what stands."""
    image, digest = photo(seed), f"benchmark {name} {seed}"
    question = MaskingQuestion(name, digest, int(np.argmax(logits_of(name, digest, image))), "mean", STEPS)
    methods = tuple(each.name for each in explanations_for(load(name).spec))
    for steps, _ in asking.curve_so_far(question, "most_attended", methods[0], image, first=3):
        note("first" if len(steps) == 3 else "curve" if len(steps) == STEPS + 1 else "")
    asking.masking_of(question, "least_attended", methods[0], 0, image, _background=True)
    asking.band_of(question, ORDERS, image, _background=True)
    asking.faithfulness_of(question, methods, ORDERS, image)
    note("all")


def each_for_itself(name: str, seed: int) -> None:
    """The same visit when nothing was shared between the curves."""
    model, image, digest = load(name), photo(seed), f"alone {name} {seed}"
    question = MaskingQuestion(name, digest, int(np.argmax(logits_of(name, digest, image))), "mean", STEPS)
    batch, target = question.prepare(model, image)
    grid = asking.mask_grid(name, digest, image)
    options: dict[str, Any] = {
        "normalisation": model.network.preprocessing.normalisation,
        "grid": grid,
        "steps": STEPS,
        "passes": Passes(batch_size=32),
    }
    names = [each.name for each in explanations_for(model.spec)]
    scores = {each: find_explanation(each).explain(model.module, batch, target) for each in names}
    for strategy in ("most_attended", "least_attended"):
        order = masking_order(strategy, grid, scores=scores_on_grid(scores[names[0]], grid))
        masking_curve(model.module, batch, target, order, **options)
    random_band(model.module, batch, target, orders=ORDERS, **options)
    faithfulness(model.module, batch, target, scores, random_orders=ORDERS, **options)


def as_on_a_page(work: Callable[[], object]) -> None:
    """Do `work` in a thread of its own, as pages compute."""
    job = Job(lambda _: work())
    while not job.wait(LOOK_S):
        pass
    job.result()


def processor_seconds(work: Callable[[], object]) -> float:
    """Of the whole process, while `work` runs alone."""
    began = time.process_time()
    work()
    return time.process_time() - began


def one_visit(name: str, repeats: int) -> dict[str, Any]:
    """Medians over visits with a picture each; both ways by turns, after one that is not counted."""
    stages: dict[str, list[float]] = {"first": [], "curve": [], "all": [], "each_for_itself": []}
    for seed in range(repeats + 1):
        began, found = time.process_time(), dict[str, float]()

        def note(what: str, began: float = began, found: dict[str, float] = found) -> None:
            found[what] = time.process_time() - began

        as_on_a_page(partial(visit, name, seed, note))
        found["each_for_itself"] = processor_seconds(partial(as_on_a_page, partial(each_for_itself, name, seed)))
        if seed:
            for stage, seconds in stages.items():
                seconds.append(found[stage])
    result: dict[str, Any] = {stage: round(statistics.median(seconds), 3) for stage, seconds in stages.items()}
    result["all_over_each_for_itself"] = round(result["all"] / result["each_for_itself"], 3)
    return result


def by_batch(name: str, masks: int) -> dict[int, float]:
    """Processor milliseconds of a masked image in batches of each size."""
    model = load(name)
    question = MaskingQuestion(name, "batches", 0, "mean", STEPS)
    batch, target = question.prepare(model, photo(0))
    keeps = np.random.default_rng(0).random((masks, 8, 8)) < 0.5
    ask = partial(
        masked_responses, model.module, batch, target, keeps, normalisation=model.network.preprocessing.normalisation
    )
    ask(passes=Passes(batch_size=1))
    found = {size: processor_seconds(partial(ask, passes=Passes(batch_size=size))) for size in SIZES}
    return {size: round(1000 * seconds / masks, 2) for size, seconds in found.items()}


def together(name: str, visitors: int) -> dict[str, Any]:
    """Seconds by the clock until each of so many visitors has something."""
    began = time.perf_counter()
    stages: dict[str, list[float]] = {"first": [], "curve": [], "all": []}

    def note(what: str) -> None:
        if what in stages:
            stages[what].append(time.perf_counter() - began)

    def come(_: object, seed: int) -> None:
        visit(name, seed, note)

    jobs = [Job(partial(come, seed=1000 + number)) for number in range(visitors)]
    for job in jobs:
        while not job.wait(LOOK_S):
            pass
        job.result()
    return {
        what: {"median": round(statistics.median(seconds), 2), "last": round(max(seconds), 2)}
        for what, seconds in stages.items()
    }


def opened_together(pages: list[Page], addresses: list[str], until: str) -> dict[str, Any]:
    """Seconds until each of the pages shows something; `missed`: how many did not in ten minutes."""
    from playwright.sync_api import TimeoutError

    seen, missed = dict[str, list[float]]({stage: [] for stage in STAGES}), 0
    began = time.monotonic()
    for page, address in zip(pages, addresses, strict=True):
        page.goto(address, wait_until="commit", timeout=1000 * MOST_S)
    for page in pages:
        left = max(1.0, 1000 * (MOST_S - time.monotonic() + began))
        try:
            page.wait_for_function(f"() => {until!r} in window.__seen", timeout=left, polling=200)
        except TimeoutError:
            missed += 1
        found = {**page.evaluate("window.__seen"), "sign": page.evaluate(SIGN)}
        for stage, milliseconds in found.items():
            if milliseconds is not None:
                seen[stage].append(milliseconds / 1000)
        print(f"{time.monotonic() - began:5.0f} s  {found}", flush=True)
    stages = {
        stage: {"median": round(statistics.median(found), 2), "last": round(max(found), 2)}
        for stage, found in seen.items()
        if found
    }
    return {**stages, "missed": missed}


def in_browsers(name: str, count: int) -> dict[str, Any]:
    """So many pages of one Chromium on Masking, and on an app that is one picture: what no page can be sooner than."""
    from playwright.sync_api import sync_playwright

    found = dict[str, Any]()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "app.py").write_text(EMPTY_APP, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for what, checkout, until in ((EMPTY, Path(folder), "picture"), ("masking", CHECKOUT, "curve")):
            server, base = start_server(checkout)
            try:
                contexts = [browser.new_context(viewport={"width": 1280, "height": 900}) for _ in range(count)]
                pages = [context.new_page() for context in contexts]
                for page in pages:
                    page.add_init_script(WATCH)
                # Another part of an oblong photo is a picture that nobody has asked about.
                places = [f"example:coffee;crop={(number + 1) / (count + 2):.3f}" for number in range(count)]
                addresses = [f"{base}/masking?model={name}&image={place}" for place in places]
                if what == EMPTY:
                    addresses = [base] * count
                else:
                    opened_together(pages[:1], [f"{base}/masking?model={name}&image=example:cat"], until)
                found[what] = opened_together(pages, addresses, until)
                for context in contexts:
                    context.close()
            finally:
                server.terminate()
                server.wait(20)
        browser.close()
    return found


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/masking.json`, or `results/masking_browsers.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="vit_p4,efficientnet_lite0")
    parser.add_argument("--visitors", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--masks", type=int, default=32)
    parser.add_argument("--browsers", type=int, default=0, help="so many pages of a browser, and nothing else")
    arguments = parse(parser, words, models="cnn_small", visitors=2, repeats=1, masks=4)
    where, visits = machine(), {}
    if arguments.browsers:
        found = {name: in_browsers(name, arguments.browsers) for name in arguments.models.split(",")}
        result = {"browsers": arguments.browsers, "seconds": found, "machine": where}
        write("masking_browsers", result, quick=arguments.quick)
        return
    for name in arguments.models.split(","):
        visits[name] = {
            "processor_seconds": one_visit(name, arguments.repeats),
            "processor_ms_by_batch": by_batch(name, arguments.masks),
            "seconds_together": together(name, arguments.visitors),
        }
    write(
        "masking",
        {"visitors": arguments.visitors, "repeats": arguments.repeats, "visits": visits, "machine": where},
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
