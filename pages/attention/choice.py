"""Which map is shown, as the address holds it and the browser reports it."""

from __future__ import annotations

from dataclasses import replace

from core.methods.attention.attention import AttentionMaps, Direction
from pages.components.attention.attention import Choice, heads_of
from pages.shared.address import remember, remembered, whole_number
from pages.shared.views import AttentionView

DIRECTIONS: dict[str, Direction] = {"attends to": "to", "is attended by": "from"}


def remembered_choice(maps: AttentionMaps) -> Choice:
    """What the session or the address it began with says, made valid for this model."""
    last = str(maps.layers)
    layer = whole_number(_held("layer", last), maps.layers + 1)
    if not layer:
        remember("layer", last)
        layer = whole_number(_held("layer", last), maps.layers + 1)
    head = _held("head", "mean")
    if head not in heads_of(maps):
        remember("head", "mean")
        head = _held("head", "mean")
    patch = whole_number(_held("patch", "-1"), maps.patches)
    mass = whole_number(_held("mass", "100"), 101)
    return Choice(
        layer=(layer or maps.layers) - 1,
        head=head,
        patch=-1 if patch is None else patch,
        direction=DIRECTIONS.get(_held("direction", "attends to"), "to"),
        kind="rollout" if _held("map", "attention") == "rollout" else "attention",
        mass=100 if mass is None or mass < 5 else mass,
        as_seen=_held("as_seen", "false") == "true",
    )


def remember_choice(choice: Choice) -> None:
    """Keep what the browser shows; the address follows in the next run."""
    told = {
        "layer": str(choice.layer + 1),
        "head": choice.head,
        "patch": str(choice.patch),
        "direction": next(words for words, direction in DIRECTIONS.items() if direction == choice.direction),
        "map": choice.kind,
        "mass": str(choice.mass),
        "as_seen": str(choice.as_seen).lower(),
    }
    for name, value in told.items():
        remember(name, value)


def with_choice(view: AttentionView, choice: Choice) -> AttentionView:
    """`view` of the map that `choice` says."""
    return replace(
        view,
        layer=choice.layer,
        head=choice.head,
        patch=choice.patch,
        direction=choice.direction,
        kind=choice.kind,
        mass=choice.mass / 100,
        as_seen=choice.as_seen,
    )


def _held(name: str, default: str) -> str:
    """Left out of the address where it goes without saying: each word of it is a step of the browser's Back."""
    return remembered(name, default, always=False)
