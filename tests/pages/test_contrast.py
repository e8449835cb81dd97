"""Text can be read on its ground: WCAG's contrast of 4.5, of the themes and of what we colour ourselves."""

from __future__ import annotations

import tomllib

import pytest

from core.figures.zero_shot import MOST_GROUND
from core.paths import FILES

THEME = tomllib.loads((FILES / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
# Streamlit draws captions at this opacity.
CAPTION = 0.6
ORANGE = (230, 159, 0)
Colour = tuple[float, float, float]


def rgb(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def mixed(colour: Colour, ground: Colour, share: float) -> Colour:
    red, green, blue = (share * one + (1 - share) * other for one, other in zip(colour, ground, strict=True))
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Colour, other: Colour) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast(rgb("#767676"), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)
    assert contrast(rgb("#73797F"), (255, 255, 255)) == pytest.approx(4.4, abs=0.05)  # captions as they once were


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_captions_can_be_read(scheme: str) -> None:
    text = rgb(THEME[scheme]["textColor"])
    for name in ("backgroundColor", "secondaryBackgroundColor"):
        ground = rgb(THEME[scheme][name])
        assert contrast(text, ground) >= 7
        assert contrast(mixed(text, ground, CAPTION), ground) >= 4.5, name
    marked = mixed(ORANGE, rgb(THEME[scheme]["backgroundColor"]), MOST_GROUND)
    assert contrast(text, marked) >= 4.5
