"""One photo's attention under the finger: photo, mosaic of layers and heads, and film, all drawn by the browser.

The numbers are files of the server, fetched once; from then on a key or the pointer changes the picture without asking
anybody. When the finger rests, the server hears which map is shown.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import streamlit as st

from core.figures.theme import DIVERGING, SEQUENTIAL, colour_table
from core.methods.attention.attention import AttentionMaps, Direction, Fusion
from pages.components.attention.packing import PackedMaps
from pages.components.image_plane.image_plane import served
from pages.components.scripts import script

Kind = Literal["attention", "rollout"]
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)
_FOLDER = Path(__file__).parent
_PARTS = ("attention.js", "attention_numbers.js", "attention_draw.js", "attention_input.js", "attention_words.js",
          "attention_linked.js")  # fmt: skip
_COMPONENT = st.components.v2.component(
    "vitrine_attention",
    html=(_FOLDER / "attention.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "attention.css").read_text(encoding="utf-8"),
    js=script(*(_FOLDER / part for part in _PARTS)),
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which map of one photo is shown.

    Attributes:
        layer: from 0.
        head: "mean", "max" or "min" of all, or one of them, counted from 1.
        patch: in raster order; -1 for what the head of the model reads.
        direction: "to" what the patch attends to, "from" those that attend to it; of attention alone.
        kind: attention of the layer, or its rollout from the first layer up to this one.
        mass: share of the map, in percent, whose patches alone are left in sight; 100 shows the map as colours.
        as_seen: the photo at the model's resolution.
    """

    layer: int
    head: str = "mean"
    patch: int = -1
    direction: Direction = "to"
    kind: Kind = "attention"
    mass: int = 100
    as_seen: bool = False


def attention_view(
    photo: str,
    seen: str,
    maps: AttentionMaps,
    packed: PackedMaps,
    *,
    title: str,
    reader: str,
    side: int,
    choice: Choice,
    key: str,
    on_choice: Callable[[Choice], None] = lambda choice: None,
    linked: str = "",
    part: tuple[float, float, float, float] = (0, 0, 1, 1),
) -> None:
    """Show the maps; `on_choice` runs before the next rerun, when the finger has rested on another choice.

    Args:
        photo: what the model sees, at the resolution of the screen, as a `data:` address.
        seen: the same at the model's resolution.
        title: of the photo, for those who do not see it.
        reader: whose attention is shown while no patch is chosen: "the class token".
        side: of the model's input, in pixels.
        choice: where the view begins; later the browser knows better.
        linked: of several views of this name only the photos are shown, on one scale, and they share their pointer.
        part: of the photo, that the model sees, in shares of its width and height: left, top, right, bottom.
    """
    kind = "application/octet-stream"
    numbers = {
        "reader": served(packed.reader, kind, f"{key}.reader"),
        "weights": [served(each, kind, f"{key}.{index}") for index, each in enumerate(packed.layers)],
    }
    shape = {
        "layers": maps.layers,
        "heads": maps.heads,
        "rows": maps.grid[0],
        "cols": maps.grid[1],
        "prefix": maps.prefix_tokens,
        "signed": maps.signed,
        "side": side,
    }
    # Another model or photo begins anew; what else the server draws again leaves the view as the finger left it.
    signature = hashlib.sha256(repr((numbers, shape, photo, linked and choice)).encode()).hexdigest()

    def report() -> None:
        found = read_choice((st.session_state.get(key) or {}).get("choice"), signature, maps)
        if found is not None:
            on_choice(found)

    _COMPONENT(
        key=key,
        data={
            **numbers,
            **shape,
            "signature": signature,
            "photo": photo,
            "seen": seen,
            "title": title,
            "linked": linked,
            "part": list(part),
            "readerName": reader,
            "colours": [base64.b64encode(colour_table(scale).tobytes()).decode() for scale in (SEQUENTIAL, DIVERGING)],
            "choice": asdict(choice),
        },
        on_choice_change=report,
    )


def read_choice(told: object, signature: str, maps: AttentionMaps) -> Choice | None:
    """What the browser says is shown, if it is about these maps; it may be late, or anything."""
    if not isinstance(told, dict) or told.get("signature") != signature:
        return None
    layer, patch, mass = (told.get(name) for name in ("layer", "patch", "mass"))
    if type(layer) is not int or type(patch) is not int or type(mass) is not int:
        return None
    valid = (
        0 <= layer < maps.layers
        and -1 <= patch < maps.patches
        and 5 <= mass <= 100
        and told.get("head") in heads_of(maps)
        and told.get("direction") in get_args(Direction)
        and told.get("kind") in get_args(Kind)
        and isinstance(told.get("as_seen"), bool)
    )
    return Choice(**{name: told[name] for name in asdict(Choice(layer=0))}) if valid else None


def heads_of(maps: AttentionMaps) -> list[str]:
    """What `Choice.head` may be."""
    return [*FUSIONS, *(str(head + 1) for head in range(maps.heads))]
