"""A collection of pictures that only one of two models names, as one HTML page that needs no network."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np

from core.data.collections import Collection, Entry, Said
from core.data.wordnet import find_synset, path_to_root
from core.figures.disagreements import CLASSIFIER_COLOUR, CLIP_COLOUR
from core.figures.overlay import to_data_uri

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c1e21;
  background: #fff; }
h2 { margin: 2rem 0 0; } .path { color: #555; font-size: .9rem; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; margin-top: .6rem; }
figure { margin: 0; border: 1px solid #ddd; border-radius: .5rem; padding: .6rem; }
img { width: 100%; border-radius: .3rem; } figcaption { font-size: .9rem; } code { font-size: .85em; }
"""


def collection_page(collection: Collection, pixels: Mapping[str, np.ndarray], title: str) -> str:
    """The page: a section for each class with its synset, its place in WordNet, and its pictures.

    Args:
        pixels: of entries by their keys, (height, width, 3) uint8; what is missing is said.
    """
    sections = "".join(_section(collection, wnid, pixels) for wnid in collection.wnids())
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1><p>{len(collection.wnids())} classes of ImageNet, "
        f"{len(collection.entries)} pictures that only one of two models has among its best classes.</p>"
        f"{sections}<p class='path'>Classes and paths: WordNet 3.0, Princeton University.</p></body></html>\n"
    )


def path_words(wnid: str) -> str:
    """From entity down to the class."""
    return " › ".join(synset.names[0] for synset in reversed(path_to_root(wnid)))


def said_words(said: Said, share: int = 2) -> str:
    """`CLIP: place 3; says plate 41%, cup 20%`."""
    best = ", ".join(
        f"{name} {probability:.0%}"
        for name, probability in list(zip(said.classes, said.probabilities, strict=True))[:share]
    )
    return f"{said.model}: place {said.place:,}; says {best}"


def _section(collection: Collection, wnid: str, pixels: Mapping[str, np.ndarray]) -> str:
    synset = find_synset(wnid)
    figures = "".join(
        _figure(entry, pixels.get(entry.key))
        for who in ("only_clip", "only_classifier")
        for entry in collection.of(wnid, who)  # type: ignore[arg-type]
    )
    return (
        f"<h2>{html.escape(', '.join(synset.names))} <code>{wnid}</code></h2><div>{html.escape(synset.gloss)}</div>"
        f"<div class='path'>{html.escape(path_words(wnid))}</div><div class='row'>{figures}</div>"
    )


def _figure(entry: Entry, pixels: np.ndarray | None) -> str:
    alone, colour = (entry.clip, CLIP_COLOUR) if entry.who == "only_clip" else (entry.classifier, CLASSIFIER_COLOUR)
    image = "<em>The picture is gone.</em>"
    if pixels is not None:
        image = f"<img src='{to_data_uri(pixels)}' alt='{html.escape(entry.title, quote=True)}'>"
    lines = [said_words(entry.clip), said_words(entry.classifier)]
    lines += [f"Why: {entry.reason or '–'}", f"Source: {entry.source or '–'}"]
    said = "<br>".join(html.escape(line) for line in lines)
    return (
        f"<figure style='border-top:5px solid {colour}'>{image}<figcaption><b>Only {html.escape(alone.model)}, in its "
        f"best {entry.top}</b><br>{said}</figcaption></figure>"
    )
