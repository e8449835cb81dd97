"""The manipulations by name: what each takes from a picture, and its strength in the picture's own terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.errors import ConfigError, UnknownNameError

# What a manipulation leaves a model to go by, or takes from it.
Cue = Literal["colour", "texture", "shape", "place", "quality"]


@dataclass(frozen=True, kw_only=True)
class Extent:
    """A second number that some manipulations take: where or how far, as a share of the picture."""

    title: str
    unit: str
    lowest: float
    highest: float
    usual: float


@dataclass(frozen=True, kw_only=True)
class Manipulation:
    """One row.

    Attributes:
        summary: what it does to a picture, in one sentence.
        unit: of the strength, in the picture's own terms: grey levels of 255, pixels, tiles a side, degrees, percent.
        lowest, highest: the strengths that are honoured; `neutral` is the one that changes nothing, bit by bit.
        usual: the strength to begin with.
        whole: whether strengths are whole numbers.
        ladder: strengths from the lowest up that differ to the eye, the neutral and the usual one among them.
        random: its outcome depends on the seed and on the image's own number.
        names: what the strengths are called, where they are no quantity.
        extent: its second number, where it has one.
    """

    name: str
    title: str
    summary: str
    cue: Cue
    unit: str
    lowest: float
    highest: float
    neutral: float
    usual: float
    ladder: tuple[float, ...]
    whole: bool = False
    random: bool = False
    names: tuple[str, ...] = ()
    extent: Extent | None = None

    def check(self, strength: float) -> None:
        """Raise `ConfigError` where `strength` is not one of this manipulation."""
        if not self.lowest <= strength <= self.highest:  # NaN fails too
            raise ConfigError(
                f"{self.title} goes from {self.lowest:g} to {self.highest:g} {self.unit}, not {strength:g}.",
                "Choose a strength in between.",
            )
        if self.whole and strength != int(strength):
            raise ConfigError(f"{self.title} takes a whole number, not {strength:g}.", "Round it.")

    def words(self, strength: float) -> str:
        """A strength as it is written beside a picture: '64 grey levels', 'BGR'."""
        if self.names:
            return self.names[int(strength)]
        unit = self.unit.replace("tiles", "tile") if strength == 1 else self.unit
        return f"{strength:g}{chr(0x202F) if unit in ('%', '°', '×') else ' '}{unit}"


PATCH = Extent(title="Size of the patch", unit="of the area", lowest=0.01, highest=1.0, usual=1 / 16)
# Half a dozen pixels at 32: wider, and whole things move; narrower, and it is noise.
WAVE = Extent(title="Smoothness", unit="of the shorter side", lowest=0.01, highest=0.5, usual=1 / 16)

MANIPULATIONS: dict[str, Manipulation] = {
    row.name: row
    for row in (
        Manipulation(
            name="grey", title="Greyscale", cue="colour",
            summary="Colours fade to their brightness.",
            unit="%", lowest=0, highest=100, neutral=0, usual=100,
            ladder=(0, 25, 50, 75, 100),
        ),
        Manipulation(
            name="hue", title="Hue rotation", cue="colour",
            summary="Every colour moves along the colour circle; brightness and saturation (HSV) stay.",
            unit="°", lowest=-180, highest=180, neutral=0, usual=120,
            ladder=(-180, -135, -90, -60, -30, 0, 30, 60, 90, 120, 150, 180),
        ),
        Manipulation(
            name="channels", title="Channel order", cue="colour",
            summary="Red, green and blue change places.",
            unit="order", lowest=0, highest=5, neutral=0, usual=5, whole=True,
            ladder=(0, 1, 2, 3, 4, 5), names=("RGB", "RBG", "GRB", "GBR", "BRG", "BGR"),
        ),
        Manipulation(
            name="digits", title="Coloured digits", cue="colour",
            summary="What is light turns red, green or blue, one colour an image, as the digits of coloured MNIST.",
            unit="%", lowest=0, highest=100, neutral=0, usual=100, random=True,
            ladder=(0, 25, 50, 75, 100),
        ),
        Manipulation(
            name="scramble", title="Scrambled tiles", cue="shape",
            summary="Equal tiles change places at random; every pixel is kept, the shape is not.",
            unit="tiles a side", lowest=1, highest=16, neutral=1, usual=4, whole=True, random=True,
            ladder=(1, 2, 4, 8, 16),
        ),
        Manipulation(
            name="elastic", title="Elastic distortion", cue="texture",
            summary="Pixels move by a smooth random field; the strength is how far, typically.",
            unit="% of the side", lowest=0, highest=15, neutral=0, usual=4, random=True, extent=WAVE,
            ladder=(0, 1, 2, 3, 4, 6, 8, 12),
        ),
        Manipulation(
            name="blur", title="Gaussian blur", cue="texture",
            summary="Fine detail goes, coarse shape stays; the strength is the standard deviation.",
            unit="px", lowest=0, highest=16, neutral=0, usual=3,
            ladder=(0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12),
        ),
        Manipulation(
            name="silhouette", title="Silhouette", cue="texture",
            summary="Black where the object is (by Otsu's threshold), white elsewhere.",
            unit="%", lowest=0, highest=100, neutral=0, usual=100,
            ladder=(0, 25, 50, 75, 100),
        ),
        Manipulation(
            name="edges", title="Edges", cue="texture",
            summary="Black where brightness changes (Sobel, the steepest is black), else white.",
            unit="%", lowest=0, highest=100, neutral=0, usual=100,
            ladder=(0, 25, 50, 75, 100),
        ),
        Manipulation(
            name="noise_patch", title="Noise in one patch", cue="place",
            summary="Gaussian noise in one square, at the same place in every image (8×8 px in one of 32).",
            unit="grey levels", lowest=0, highest=255, neutral=0, usual=128, random=True, extent=PATCH,
            ladder=(0, 16, 32, 64, 96, 128, 192, 255),
        ),
        Manipulation(
            name="noise_patch_anywhere", title="Noise in a patch anywhere", cue="place",
            summary="Gaussian noise in one square, at a random place in each image.",
            unit="grey levels", lowest=0, highest=255, neutral=0, usual=128, random=True, extent=PATCH,
            ladder=(0, 16, 32, 64, 96, 128, 192, 255),
        ),
        Manipulation(
            name="noise", title="Gaussian noise", cue="quality",
            summary="Independent noise on every pixel and channel.",
            unit="grey levels", lowest=0, highest=255, neutral=0, usual=40, random=True,
            ladder=(0, 5, 10, 20, 40, 60, 80, 120, 160, 255),
        ),
        Manipulation(
            name="brightness", title="Brightness", cue="quality",
            summary="Every value is multiplied.",
            unit="×", lowest=0, highest=3, neutral=1, usual=0.4,
            ladder=(0, 0.1, 0.2, 0.4, 0.7, 1, 1.5, 2, 3),
        ),
        Manipulation(
            name="contrast", title="Contrast", cue="quality",
            summary="Values move towards the image's mean brightness, or away from it.",
            unit="×", lowest=0, highest=3, neutral=1, usual=0.3,
            ladder=(0, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3),
        ),
        Manipulation(
            name="pixelate", title="Pixelated", cue="quality",
            summary="Squares of this side show their mean colour.",
            unit="px", lowest=1, highest=32, neutral=1, usual=8, whole=True,
            ladder=(1, 2, 4, 8, 16, 32),
        ),
        Manipulation(
            name="jpeg", title="JPEG", cue="quality",
            summary="Written as a JPEG file of a lower quality (100 minus the strength) and read again.",
            unit="% of quality lost", lowest=0, highest=99, neutral=0, usual=90, whole=True,
            ladder=(0, 50, 70, 80, 90, 95, 98),
        ),
    )
}  # fmt: skip


def manipulation(name: str) -> Manipulation:
    """The row of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in MANIPULATIONS:
        raise UnknownNameError("manipulation", name, MANIPULATIONS)
    return MANIPULATIONS[name]
