"""A collection of pictures that only one of two models names, as one HTML page that needs no network."""

from __future__ import annotations

import html
from collections.abc import Sequence

from core.figures.disagreements import CLASSIFIER_COLOUR, CLIP_COLOUR
from core.figures.overlay import to_data_uri
from core.methods.clip.collection import CollectedClass, CollectedPicture

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c1e21;
  background: #fff; }
h2 { margin: 2rem 0 0; } .path { color: #555; font-size: .9rem; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; margin-top: .6rem; }
figure { margin: 0; border: 1px solid #ddd; border-radius: .5rem; padding: .6rem; }
img { width: 100%; border-radius: .3rem; } figcaption { font-size: .9rem; } code { font-size: .85em; }
"""


def collection_page(classes: Sequence[CollectedClass], title: str) -> str:
    """The page: a section for each class with its synset, its place in WordNet, and its pictures."""
    pictures = sum(len(each.pictures) for each in classes)
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1><p>{len(classes)} classes of ImageNet, "
        f"{pictures} pictures that only one of two models has among its best classes.</p>"
        f"{''.join(map(_section, classes))}"
        "<p class='path'>Classes and paths: WordNet 3.0, Princeton University.</p></body></html>\n"
    )


def _section(shown: CollectedClass) -> str:
    return (
        f"<h2>{html.escape(', '.join(shown.names))} <code>{shown.wnid}</code></h2><div>{html.escape(shown.gloss)}</div>"
        f"<div class='path'>{html.escape(shown.path)}</div>"
        f"<div class='row'>{''.join(map(_figure, shown.pictures))}</div>"
    )


def _figure(picture: CollectedPicture) -> str:
    colour = CLIP_COLOUR if picture.who == "only_clip" else CLASSIFIER_COLOUR
    image = "<em>The picture is gone.</em>"
    if picture.pixels is not None:
        image = f"<img src='{to_data_uri(picture.pixels)}' alt='{html.escape(picture.title, quote=True)}'>"
    said = "<br>".join(html.escape(line) for line in picture.lines)
    return (
        f"<figure style='border-top:5px solid {colour}'>{image}<figcaption><b>{html.escape(picture.heading)}</b><br>"
        f"{said}</figcaption></figure>"
    )
