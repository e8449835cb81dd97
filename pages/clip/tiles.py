"""CLIP on Home: which words fit the chosen photo, and where in it that comes from."""

from __future__ import annotations

from core.data.prompts import fill_template, parse_labels, strategy_templates
from core.figures.overlay import overlay
from core.figures.zero_shot import plot_label_bars
from core.methods.clip.zero_shot import ZeroShotScores
from pages.shared.cache import display_photo, loaded_model
from pages.shared.foreign import plain
from pages.shared.pickers import Picture
from pages.shared.tiles import Tiles, chart_tile, square, tile
from pages.shared.zero_shot import BUNDLED_LABELS, relevance_of, scores_of

MODEL = "clip_small"
LABELS, TEMPLATES = parse_labels(BUNDLED_LABELS).names, strategy_templates("photo")
TOUR = ("**CLIP**: type words with commas between them and watch the bars; then leave the right word out.",)


def best_label(scores: ZeroShotScores) -> str:
    """The word that fits best."""
    return LABELS[scores.order()[0]]


def where(picture: Picture) -> None:
    """What in the photo speaks for the best word."""
    best = best_label(scores_of(MODEL, picture.digest, picture.image, LABELS, TEMPLATES))
    relevance = relevance_of(MODEL, picture.digest, fill_template(TEMPLATES[0], best), (), picture.image)
    photo = display_photo(loaded_model(MODEL), picture.digest, picture.image)
    tile(
        square(overlay(photo, relevance.patches)),
        "CLIP",
        f"Where in the photo “{plain(best)}” comes from, the nearest of {len(LABELS)} words.",
        "clip",
    )


def words(picture: Picture) -> None:
    """The six best words."""
    scores = scores_of(MODEL, picture.digest, picture.image, LABELS, TEMPLATES)
    alt = f"The words that fit best: {best_label(scores)}."
    chart_tile(plot_label_bars(scores, most=6), "Try your own words", "", "clip", key="home_words", alt=alt)


TILES: Tiles = ((1, where), (2, words))
