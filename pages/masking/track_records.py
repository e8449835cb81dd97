"""What the benchmarks found about each model's explanations, for the pages that quote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from core.configs import from_dict
from core.methods.attention.randomisation import SanityCheck
from core.methods.masking.faithfulness import TrackRecord
from core.models.stamps import earlier_sentence
from core.paths import FILES

RESULTS = FILES / "benchmarks" / "results"


@dataclass(frozen=True)
class Measured:
    """A track record and, in a sentence, what it was measured on; the same maps under random weights."""

    tracks: dict[str, TrackRecord]
    sentence: str
    sanity: dict[str, SanityCheck]


def track_record(name: str) -> Measured | None:
    """The result of `benchmarks/faithfulness.py` for a model, or None if it was never run."""
    safe = "".join(character if character.isalnum() or character in "-_." else "_" for character in name)
    path = RESULTS / f"faithfulness_{safe}.json"
    if not path.is_file():
        return None
    result = json.loads(path.read_text(encoding="utf-8"))
    tracks = {method: from_dict(TrackRecord, values) for method, values in result["tracks"].items()}
    sentence = (
        f"{result['count']} images of {result['dataset']} ({result['split']}), seed {result['seed']}, "
        f"{result['steps']} steps, {result['orders']} random orders an image, fill {result['fill']}; "
        f"target: {result['target']}. Intervals: 95 % bootstrap over images. Measured {result['date']}. "
        + earlier_sentence(result["weight_files"], {name: "this model"})
    ).strip()
    sanity = {method: from_dict(SanityCheck, values) for method, values in result.get("sanity", {}).items()}
    return Measured(tracks=tracks, sentence=sentence, sanity=sanity)


def sanity_sentence(sanity: Mapping[str, SanityCheck], titles: Mapping[str, str]) -> str:
    """Whether the maps depend on what the network learned; empty where it was not measured."""
    if not sanity:
        return ""
    count = next(iter(sanity.values())).count
    found = " ".join(check.sentence(titles.get(method, method)) for method, check in sanity.items())
    return f"{found} Measured: the absolute rank correlation of the maps, {count} images (Adebayo et al. 2018)."
