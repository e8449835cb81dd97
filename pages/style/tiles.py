"""Style transfer on Home: the tour alone, since a picture takes seconds to grow."""

from __future__ import annotations

TOUR = ("**Style transfer**: watch your photo being painted, pixel by pixel, and stop when you like it best.",)
