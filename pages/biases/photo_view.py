"""What is on the view of one photo, as one value: read from the address, mended where it makes no sense."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import CoreError
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.photo import ladder_steps
from core.methods.manipulations.steps import Step, format_steps, parse_steps
from pages.shared.address import asked, remember, remembered
from pages.shared.errors import show_error

# On one photo, a patch at a random place is a patch at one place: they differ over many images.
CARDS = tuple(name for name in MANIPULATIONS if name != "noise_patch_anywhere")
MOST_KEPT = 4
FIRST_SHOWN = "scramble"

Variant = tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class PhotoView:
    """The view.

    Attributes:
        image: the key of the photo, as in the address.
        models: names, in the order of the tiles.
        labels: what models of images and texts choose from.
        side: of the square that is manipulated, in pixels.
        seed: of what is drawn at random.
        kept: done to every picture first.
        strengths: of every card.
        shown: the card whose curves are below.
    """

    image: str
    models: tuple[str, ...]
    labels: tuple[str, ...]
    side: int
    seed: int
    kept: Variant
    strengths: Mapping[str, float]
    shown: str

    def ladder(self, name: str) -> list[float]:
        """The stops of a card's slider."""
        return [step.strength for step in ladder_steps(name, self.strengths[name])]

    def variant(self, name: str, strength: float) -> Variant:
        """All that is done to the photo for a card; nothing more than what is kept at its neutral strength."""
        step = Step(name, strength)
        return self.kept if step.neutral else (*self.kept, step)

    def now(self) -> tuple[Variant, ...]:
        """What the cards show, each once, after the photo with what is kept."""
        return self._distinct((name, [self.strengths[name]]) for name in CARDS)

    def all(self) -> tuple[Variant, ...]:
        """The same at every stop of every slider."""
        return self._distinct((name, self.ladder(name)) for name in CARDS)

    def _distinct(self, asked: Any) -> tuple[Variant, ...]:
        found = [self.kept, *(self.variant(name, each) for name, strengths in asked for each in strengths)]
        return tuple(dict.fromkeys(found))


def read_steps() -> tuple[Variant, dict[str, float], str]:
    """From the address: what is kept, the strength of every card, and the card that is shown."""
    kept = _parsed("kept")
    if len(kept) > MOST_KEPT:
        show_error(CoreError(f"The address does {len(kept)} things to every picture.", f"The first {MOST_KEPT} stay."))
        kept = kept[:MOST_KEPT]
        remember("kept", format_steps(kept))
    strengths = {name: MANIPULATIONS[name].usual for name in CARDS}
    strengths |= {step.name: step.strength for step in _parsed("strengths") if step.name in strengths}
    shown = remembered("manipulation", FIRST_SHOWN, always=False)
    if shown not in CARDS:
        show_error(CoreError("The address shows a manipulation that is not here.", "Another is shown."))
        remember("manipulation", FIRST_SHOWN)
        shown = FIRST_SHOWN
    return kept, strengths, shown


def keep_state(state: Mapping[str, Any]) -> None:
    """Remember what came from the browser, as far as it can be meant."""
    if state.get("shown") in CARDS:
        remember("manipulation", state["shown"])
    strengths = state.get("strengths")
    if isinstance(strengths, Mapping):
        steps = [_step(name, strengths.get(name)) for name in CARDS]
        moved = [step for step in steps if step is not None and step.strength != MANIPULATIONS[step.name].usual]
        remember("strengths", format_steps(moved))
    kept = state.get("kept")
    if isinstance(kept, Sequence) and len(kept) <= MOST_KEPT:
        chosen = [_step(each.get("name"), each.get("strength")) for each in kept if isinstance(each, Mapping)]
        remember("kept", format_steps([step for step in chosen if step is not None]))


def _parsed(name: str) -> Variant:
    if name not in st.session_state:
        st.session_state[name] = asked(name)
    text: str = st.session_state[name]
    if text != st.query_params.get(name, ""):
        st.query_params[name] = text
    if not text:
        st.query_params.pop(name, None)  # nothing is not worth a name in the address
    try:
        return parse_steps(text)
    except CoreError as error:
        show_error(error)
        remember(name, "")
        return ()


def _step(name: object, strength: object) -> Step | None:
    if name not in CARDS or not isinstance(strength, int | float) or not math.isfinite(strength):
        return None
    try:
        return Step(str(name), float(strength))
    except CoreError:
        return None
