"""Diffusion on Home: too slow for a thumbnail, but on the tour."""

from __future__ import annotations

TOUR = (
    "**Diffusion**: watch ten prompts race to explain the noise in one photo; then ask at which noise it was decided.",
)
