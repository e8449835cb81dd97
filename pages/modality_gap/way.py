"""The way to an alignment for the browser: all stops at once, as bytes, numbers and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.figures.modality_gap import (
    AXES,
    COSINE,
    FITTED,
    GAP,
    HELD_OUT,
    IMAGES,
    TEXTS,
    THREADS,
    drawn_rows,
    stop_title,
)
from core.figures.theme import BASELINE, CATEGORICAL
from core.intervals import wilson_interval
from core.methods.modality_gap.alignment_steps import AlignmentStep, Plane
from core.methods.modality_gap.modality_gap_pairs import Halves
from core.shares import share
from pages.components.image_plane.image_plane import served


def way_data(
    steps_shown: Sequence[AlignmentStep], halves: Halves, *, stop: int, plane: Plane, by_class: bool
) -> dict[str, Any]:
    """What `alignment_way` shows."""
    labels = halves.held_out.labels
    rows = drawn_rows(len(labels))
    titles = [stop_title(station.centring, station.rotating) for station in steps_shown]
    return {
        "titles": titles,
        "stop": titles[stop],
        "planes": {name: _plane(steps_shown, name, rows) for name in AXES},
        "plane": plane,
        "labels": labels[rows].tolist(),
        "names": list(halves.names),
        "by_class": by_class,
        "palette": list(CATEGORICAL),
        "colours": [IMAGES, TEXTS],
        "threads": THREADS,
        "tiles": tiles(steps_shown, halves.held_out.classes),
        "charts": charts(steps_shown, titles, halves.held_out.classes),
        "alt": "Images and captions in one plane, on the way to the alignment; the slider below tells each stop.",
    }


def _plane(steps_shown: Sequence[AlignmentStep], plane: Plane, rows: np.ndarray) -> dict[str, Any]:
    """One plane of the whole way: what moves in it are the clouds, not its frame."""
    places = np.stack([[station.images[plane], station.texts[plane]] for station in steps_shown])
    low, high = places.min(axis=(0, 1, 2)), places.max(axis=(0, 1, 2))
    margin = 0.05 * (high - low)
    low, span = low - margin, np.maximum(high - low + 2 * margin, 1e-9)
    shares = (places - low) / span
    stored = np.round(shares[:, :, rows] * 65535).astype("<u2")
    return {
        "address": served(stored.tobytes(), "application/octet-stream", f"gap.{plane}"),
        "span": span.tolist(),
        "equal": plane == "pca",  # of one kind, so of one scale
        "means": shares.mean(axis=2).tolist(),
        "axes": AXES[plane],
    }


def tiles(steps_shown: Sequence[AlignmentStep], classes: int) -> list[dict[str, Any]]:
    """Gap, cosine, accuracy and control at every stop, and how far from the start."""
    start, count = steps_shown[0], len(steps_shown[0].correct)

    def over_stops(title: str, values: list[str], notes: list[str]) -> dict[str, Any]:
        return {"title": title, "values": values, "notes": notes}

    return [
        over_stops(
            "Gap",
            [f"{each.gap.distance:.2f}" for each in steps_shown],
            [change_words(each.gap.distance - start.gap.distance) for each in steps_shown],
        ),
        over_stops(
            "Mean paired cosine",
            [f"{each.gap.paired_cosine:.2f}" for each in steps_shown],
            [change_words(each.gap.paired_cosine - start.gap.paired_cosine) for each in steps_shown],
        ),
        over_stops(
            f"Held-out accuracy, n = {count:,}",
            [share(int(each.correct.sum()), count, 1) for each in steps_shown],
            [change_words(100 * (each.accuracy - start.accuracy), " points") for each in steps_shown],
        ),
        over_stops(
            "Control: shuffled captions",
            ["–" if np.isnan(each.shuffled_accuracy) else f"{each.shuffled_accuracy:.1%}" for each in steps_shown],
            [f"chance {1 / classes:.1%}"] * len(steps_shown),
        ),
    ]


def change_words(value: float, unit: str = "") -> str:
    """A difference to the start; none where it would round to nothing."""
    return f"{value:+.2f}{unit} from the start".replace("-", "−") if abs(value) > 0.005 else ""


def charts(steps_shown: Sequence[AlignmentStep], titles: Sequence[str], classes: int) -> list[dict[str, Any]]:
    """Gap and cosine above, accuracies in percent below."""

    def line(title: str, values: Sequence[float], colour: str, dash: str = "", width: int = 3) -> dict[str, Any]:
        return {"title": title, "colour": colour, "dash": dash, "width": width, "values": [float(v) for v in values]}

    stops = [[number, title] for number, title in enumerate(titles) if not title.endswith("%")]
    gaps = [each.gap.distance for each in steps_shown]
    cosines = [each.gap.paired_cosine for each in steps_shown]
    low, high = min(0.0, *gaps, *cosines), 1.05 * max(*gaps, *cosines, 0.1)
    count = len(steps_shown[0].correct)
    bounds = np.array([wilson_interval(int(each.correct.sum()), count) for each in steps_shown])
    accuracies = [
        line(f"held out (n = {count:,}, 95 %)", [100 * each.accuracy for each in steps_shown], HELD_OUT),
        line("on the fitted pairs", [100 * each.fitted_accuracy for each in steps_shown], FITTED, "2 4", 2),
    ]
    shuffled = [100 * each.shuffled_accuracy for each in steps_shown]
    if not np.isnan(shuffled).any():
        accuracies.append(line("control: shuffled captions", shuffled, BASELINE, "7 4", 2))
    chance = line(f"chance, {classes} classes", [100 / classes] * len(steps_shown), BASELINE, "", 1)
    accuracies.append(chance | {"marked": False})
    ticks = [abs(each) if each == 0 else float(each) for each in np.arange(np.ceil(low / 0.25) * 0.25, high, 0.25)]
    return [
        {
            "low": low,
            "high": high,
            "ticks": [[tick, f"{tick:.2f}"] for tick in ticks],
            "stops": stops,
            "title": "",
            "lines": [line("gap", gaps, GAP), line("mean paired cosine", cosines, COSINE)],
            "band": None,
        },
        {
            "low": 0.0,
            "high": 103.0,
            "ticks": [[tick, f"{tick}"] for tick in (0, 25, 50, 75, 100)],
            "stops": stops,
            "title": "accuracy (%) along the way",
            "lines": accuracies,
            "band": {"colour": HELD_OUT, "low": (100 * bounds[:, 0]).tolist(), "high": (100 * bounds[:, 1]).tolist()},
        },
    ]
