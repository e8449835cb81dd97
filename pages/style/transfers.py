"""Transfers for the Style transfer page: run once for all sessions, live, stopped and gone on with."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from PIL import Image

from core.methods.style_transfer.networks import STYLE_ROWS, FeatureNetwork, feature_network
from core.methods.style_transfer.pictures import fit_pictures
from core.methods.style_transfer.transfer import StyleSettings, Transfer, settled, transfer_style
from pages.shared.cache import in_use, loaded_model
from pages.shared.pickers import Picture
from pages.shared.results import SharedResults, shared

# Of which the pictures are kept, to be shown side by side.
STAGES = (0, 10, 30, 100, 300, 1000)
# How long a session that watches another's transfer waits for its next picture.
_PATIENCE = 0.4


@dataclass(frozen=True)
class TransferRequest:
    """Which content, in which style, and how; the keys are those of addresses, the digests those of what is there."""

    network: str
    content: str
    style: str
    content_digest: str
    style_digest: str
    side: int
    settings: StyleSettings


@dataclass(frozen=True)
class Film:
    """A transfer as far as it has come, and how it looked on the way.

    Attributes:
        stages: (height, width, 3) uint8 by step.
    """

    transfer: Transfer
    stages: dict[int, np.ndarray]

    @property
    def picture(self) -> np.ndarray:
        """(height, width, 3) uint8."""
        return self.transfer.pictures[0]


# In Streamlit's cache, so that it is emptied when the files of an own model change. What an optimiser remembers of a
# picture of 256 pixels are 30 MB.
@st.cache_resource(show_spinner=False)
def _films() -> SharedResults:
    return SharedResults(most=8)


@shared("Cutting the pictures …", most=8)
def _pictures(content: str, style: str, side: int, _content: Image.Image, _style: Image.Image) -> list[np.ndarray]:
    return list(fit_pictures(_content, _style, side))


def pictures_of(request: TransferRequest, content: Picture, style: Picture) -> list[np.ndarray]:
    """Content and style as the network gets them, (height, width, 3) uint8 each."""
    return _pictures(request.content_digest, request.style_digest, request.side, content.image, style.image)


def network_of(name: str) -> FeatureNetwork:
    """What can be read of a network: its layers, and whether it pools."""
    return feature_network(loaded_model(name))


def settings_of(request: TransferRequest) -> StyleSettings:
    """Everything that was left to the network, too."""
    return settled(network_of(request.network), request.settings)


def known_film(request: TransferRequest) -> Film | None:
    """How far anybody has come with `request`, or with the same and fewer steps."""
    for film in _films().get(_key(request)):
        if film.transfer.step <= request.settings.steps:
            return film
    return None


def is_finished(film: Film | None, request: TransferRequest) -> bool:
    """Whether all steps are done."""
    return film is not None and film.transfer.step >= request.settings.steps


def run_transfer(request: TransferRequest, content: Picture, style: Picture) -> Generator[Film]:
    """Step by step, from where it was left; a session that asks the same watches the one that runs it."""
    films, key, seen = _films(), _key(request), -1
    turn = films.turn(key)
    while True:
        known = known_film(request)
        if known is not None and known.transfer.step > seen:
            seen = known.transfer.step
            yield known
        if is_finished(known, request):
            return
        if not turn.acquire(timeout=_PATIENCE):
            continue
        try:
            for film in _run(request, content, style, known_film(request)):
                films.put(key, film)
                yield film
            return
        finally:
            turn.release()


def _run(request: TransferRequest, content: Picture, style: Picture, begin: Film | None) -> Generator[Film]:
    what, paint = pictures_of(request, content, style)
    stages = dict(begin.stages) if begin is not None else {}
    with in_use(request.network) as model:
        network = feature_network(model, request.settings.pooling)
    work = transfer_style(network, what[None], paint, request.settings, begin=None if begin is None else begin.transfer)
    while True:
        # Step by step: between two of them somebody else may use the network.
        with in_use(request.network):
            now = next(work, None)
        if now is None:
            return
        if now.step in STAGES:
            stages = stages | {now.step: now.pictures[0]}
        yield Film(now, stages)


def _key(request: TransferRequest) -> tuple[TransferRequest]:
    """All but the number of steps: a transfer of more goes on where one of fewer ended."""
    return (replace(request, settings=replace(request.settings, steps=1)),)


def preferred_networks() -> tuple[str, ...]:
    """In the order in which the page takes them."""
    return tuple(STYLE_ROWS)
