"""What the slider is told, first things first: the order, a coarse curve, all of its steps, the random orders."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from core.figures.masking import STRATEGY_COLOURS
from core.figures.theme import BASELINE
from core.methods.masking.orders import RandomBand
from core.reports import OnProgress
from pages.components.image_plane.image_plane import served
from pages.masking.asking import band_of, curve_so_far, ground_of, mask_grid, order_of
from pages.masking.parts import (
    area_sentence,
    counts_of,
    curves_of,
    headlines,
    measure_of,
    question_of,
    share_words,
    strategy_titles,
)
from pages.shared.pictures import Picture
from pages.shared.views import MaskingView
from pages.shared.work import LOOK_S, Job

Tell = Callable[[Mapping[str, Any]], None]


def ground_addresses(view: MaskingView, picture: Picture) -> dict[str, str]:
    """Where the browser finds the photo as the model sees it, and what lies under its patches."""
    files = ground_of(view.model, picture.digest, view.fill, picture.image)
    names = ("photo", "filling")
    return {name: served(file, "image/png", f"masking.{name}") for name, file in zip(names, files, strict=True)}


def slider_data(view: MaskingView, picture: Picture, channel: str) -> dict[str, Any]:
    """What the slider has before any model was asked."""
    rows, columns = mask_grid(view.model, picture.digest, picture.image)
    counts = counts_of(view, rows * columns)
    return {
        **ground_addresses(view, picture),
        "rows": rows,
        "cols": columns,
        "counts": counts,
        "captions": [share_words(count, rows * columns) for count in counts],
        "step": view.step,
        "channel": channel,
        "alt": f"{picture.title} without those patches: what the model is shown.",
    }


def tell_slider(view: MaskingView, picture: Picture, tell: Tell) -> None:
    """Find out all that the slider shows, in a thread of its own, and tell of it as it becomes known.

    The script only watches, so that a click ends it at once; what the model answered until then is not lost.
    """
    known: list[Mapping[str, Any]] = []

    def work(on_progress: OnProgress) -> None:
        def hear(told: Mapping[str, Any]) -> None:
            known.append(told)
            on_progress(0.0, "")  # ends the work if nobody watches any more

        find_out(view, picture, hear)

    job, heard = Job(work), (0, 0)
    try:
        while not job.wait(LOOK_S) or heard[0] < len(known):
            now = (len(known), int(time.monotonic() - job.began))
            if now != heard:
                heard = now
                tell(with_seconds(known[now[0] - 1] if now[0] else {}, now[1]))
        job.result()
    finally:
        job.leave()


def with_seconds(told: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    """The same; what is going on says for how long it has been."""
    progress = told.get("progress")
    if not progress or not seconds:
        return dict(told)
    return {**told, "progress": {**progress, "text": f"{progress['text'].rstrip(' …')} … {seconds} s"}}


def find_out(view: MaskingView, picture: Picture, tell: Tell) -> None:
    """Compute all that the slider shows; each telling holds what the ones before held."""
    tell({"progress": {"share": 0.0, "text": "Ranking the patches …"}})
    question, titles = question_of(view, picture), strategy_titles(view.method)
    order = order_of(question, view.strategy, view.method, 0, picture.image)  # type: ignore[arg-type]
    told: dict[str, Any] = {"order": order.tolist(), "measure": measure_of(view, picture)}

    def line(strategy: str, values: list[float | None]) -> dict[str, Any]:
        return {"title": titles[strategy], "colour": STRATEGY_COLOURS[strategy], "values": values}

    def progress(what: str) -> OnProgress:
        return lambda share, text: tell(told | {"progress": {"share": share, "text": f"{what}: {text}"}})

    every = range(view.steps + 1)
    curve = curve_so_far(question, view.strategy, view.method, picture.image, first=view.step)  # type: ignore[arg-type]
    for steps, answers in curve:
        words = dict(zip(steps, headlines(view, answers), strict=True))
        values = dict(zip(steps, answers.confidence.tolist(), strict=True))
        told |= {
            "headlines": [words.get(step) for step in every],
            "lines": [line(view.strategy, [values.get(step) for step in every])],
        }
        progress("Asking the model")(len(steps) / len(every), f"{len(steps)} of {len(every)} steps")
    # From here on others who wait for a first picture go first.
    curves = curves_of(view, picture, background=True, on_progress=progress("In the opposite order"))
    told["lines"] = [line(strategy, each.confidence.tolist()) for strategy, each in curves.items()]
    band = band_of(
        question, view.orders, picture.image, _background=True, on_progress=progress("In random orders, to compare")
    )
    told["band"] = band_values(band, least=-1.0 if question.class_index is None else 0.0)
    tell(told | {"sentence": area_sentence(view, curves[view.strategy], band, told["measure"])})


def band_values(band: RandomBand, *, least: float) -> dict[str, Any]:
    """The random orders as a band of ± 2 standard deviations, as far as such values can lie: from `least` to 1."""
    low, high = band.mean - 2 * band.std, band.mean + 2 * band.std
    return {
        "title": f"random, {len(band.seeds)} orders (± 2 sd)",
        "colour": BASELINE,
        "mean": band.mean.tolist(),
        "low": low.clip(min=least).tolist(),
        "high": high.clip(max=1.0).tolist(),
    }
