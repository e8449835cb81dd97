"""How a person has a photo shown to a model, as its address says it: squashed, with bands, or which square of it.

`example:cat;crop=0.2` is the bundled cat with the square a fifth of the way along; `photo.jpg;squash` a file squashed.
Without such an ending a photo is left to the model's own preprocessing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from PIL import Image

from core.data.images import MAX_SIDE
from core.data.transforms import Framing

_ENDING = re.compile(r";(?:(squash|pad)|crop=([01]|0\.\d{1,3}))$")
# Of the bands: the mean of ImageNet, which is nothing in particular to any model.
_BANDS = (124, 116, 104)


@dataclass(frozen=True, kw_only=True)
class View:
    """What a person chose.

    Attributes:
        framing: None leaves the photo to the model.
        place: of the square along the longer side, 0 (left or top) to 1.
    """

    framing: Framing | None = None
    place: float = 0.5

    def ending(self) -> str:
        """What an address says of it; nothing where it is the model's."""
        if self.framing is None:
            return ""
        return f";crop={round(self.place, 3):g}" if self.framing == "crop" else f";{self.framing}"


def split_view(address: str) -> tuple[str, View]:
    """The address of a photo without its ending, and what the ending says."""
    found = _ENDING.search(address)
    if found is None:
        return address, View()
    if found[1]:
        return address[: found.start()], View(framing="squash" if found[1] == "squash" else "pad")
    return address[: found.start()], View(framing="crop", place=float(found[2]))


def framed(image: Image.Image, view: View) -> Image.Image:
    """`image` as a square, the way that `view` says, which every model's preprocessing then leaves a square.

    A squashed photo is as wide and high as its longer side, at most 1,600 pixels.
    """
    width, height = image.size
    if view.framing is None or width == height:
        return image
    if view.framing == "crop":
        side = min(width, height)
        left, top = round((width - side) * view.place), round((height - side) * view.place)
        return image.crop((left, top, left + side, top + side))
    side = min(MAX_SIDE, max(width, height))
    if view.framing == "squash":
        return image.resize((side, side), Image.Resampling.BICUBIC)
    share = side / max(width, height)
    small = image.resize((max(1, round(width * share)), max(1, round(height * share))), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), _BANDS)
    square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return square
