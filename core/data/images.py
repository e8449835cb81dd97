"""A photo from anyone's disk, decoded safely: checked before it is decoded, upright, RGB, at a sensible size."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from core.data.formats import DECODABLE, HEAD_BYTES, describe, image_format, listed
from core.errors import ImageError

MAX_BYTES = 50 * 2**20
MAX_PIXELS = 100_000_000
MIN_SIDE = 2
MAX_ASPECT = 50
# The longer side of a decoded photo, and what its shorter side keeps of that however long the photo is: a model that
# looks at a square of a panorama gets as many pixels of it as of any other photo.
MAX_SIDE = 1600
_SHORTER_SHARE = 0.4

# Pillow keeps its own limit and only warns at first. Ours is checked too, but code paths inside Pillow (GIF frames,
# TIFF pages) ask only theirs, and a context manager around each call would not be safe with threads.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

_CHOOSE = f"Choose a {listed()} image."
_REMEDIES = {
    "an SVG drawing": "Export it as PNG and try again.",
    "a PDF document": "Save the page as a PNG or JPEG image and try again.",
    "a video": "Save one frame as a PNG or JPEG image and try again.",
}
# Where white lies in greyscale of more than 8 bits, by the bits that are used: cameras, scanners and microscopes keep
# 10, 12 or 14 of them in files of 16.
_WHITES = {8: 255, 10: 1023, 12: 4095, 14: 16383, 16: 65535}
# What is transparent is laid on the first of these that all of the outline stands out from.
_GROUNDS = {"white": 255, "black": 0, "grey": 128}
_STANDS_OUT = 40  # levels of 255
_LOST_AT_MOST = 0.05

_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A picture out of a file.

    Attributes:
        image: upright, 8-bit RGB, without metadata.
        note: what was decided in decoding that changes how it looks, as a sentence; mostly nothing.
    """

    image: Image.Image
    note: str = ""


def decode_image(data: bytes, *, name: str = "upload", max_side: int = MAX_SIDE) -> Image.Image:
    """The image of `decode_photo`, for those who show no sentences."""
    return decode_photo(data, name=name, max_side=max_side).image


def decode_photo(data: bytes, *, name: str = "upload", max_side: int = MAX_SIDE) -> Decoded:
    """The first picture in `data`, upright, as 8-bit RGB without metadata.

    Transparency is laid on a ground that the outline stands out from, white where it does. Greyscale of more than 8
    bits is scaled by the bits that are used. A picture whose longer side exceeds `max_side` is reduced to it, but not
    so far that its shorter side falls below 0.4 × `max_side`.

    Args:
        name: how error messages call the file; never used to decide what it is.

    Raises:
        ImageError: the file is no image that we decode, is damaged, or is too large, too small or too narrow.
    """
    name = _printable(name)
    found = _check_bytes(data, name)
    if found == "HEIF" and not _reads_heif():
        raise ImageError(
            f"{name} is a HEIC image, and the package pillow-heif, which reads them, is missing.",
            "Install the packages of requirements.txt again, or export the photo as JPEG.",
        )
    try:
        with Image.open(io.BytesIO(data), formats=(found,)) as image:
            _check_size(image.size, name)
            return _decode(image, max_side)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(name) from error
    except Exception as error:  # a hostile file can make Pillow raise nearly anything
        raise ImageError(
            f"{name} is a damaged or incomplete {DECODABLE[found]} image.", "Save or download it again."
        ) from error


@cache
def _reads_heif() -> bool:
    """Whether Pillow can read HEIC now; costs an import, so nobody pays for it before the first such file."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def image_digest(image: Image.Image) -> str:
    """SHA-256 of the size and the RGB pixels: the same picture has the same digest, wherever it came from."""
    digest = hashlib.sha256(f"{image.width}x{image.height}\n".encode())
    digest.update(image.convert("RGB").tobytes())
    return digest.hexdigest()


def _check_bytes(data: bytes, name: str) -> str:
    """Pillow's name of the format, decided by content."""
    if not data:
        raise ImageError(f"{name} is empty (0 bytes).", "Save or download it again.")
    if len(data) > MAX_BYTES:
        raise ImageError(
            f"{name} has {len(data) / 2**20:.0f} MiB; the limit is {MAX_BYTES // 2**20} MiB.",
            "Save it as JPEG, or at a lower resolution.",
        )
    found = image_format(data[:HEAD_BYTES])
    if found is None:
        kind = describe(data[:HEAD_BYTES])
        raise ImageError(f"{name} looks to be {kind}, which cannot be decoded here.", _REMEDIES.get(kind, _CHOOSE))
    return found


def _check_size(size: tuple[int, int], name: str) -> None:
    """Refuse by the header alone, before any pixel is decoded."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(name, f" ({width:,} × {height:,})")
    if min(size) < MIN_SIDE:
        raise ImageError(f"{name} has {width} × {height} pixels, too few to show anything.", "Choose a larger image.")
    if max(size) > MAX_ASPECT * min(size):
        raise ImageError(
            f"{name} has {width} × {height} pixels, more than {MAX_ASPECT} times as long as wide.", "Crop it first."
        )


def _too_many_pixels(name: str, size: str = "") -> ImageError:
    return ImageError(
        f"{name} claims more than {MAX_PIXELS // 1_000_000} megapixels{size}.", "Save it at a lower resolution."
    )


def _decode(image: Image.Image, max_side: int) -> Decoded:
    """Decode no more than needed: JPEG at a fraction of its size, everything else reduced before it is composed."""
    image.draft(None, _fit(image.size, max_side))
    plain, note = _to_eight_bits(image)
    orientation = _orientation(image)  # after decoding: TIFF turns itself and then forgets its orientation
    if (fitting := _fit(plain.size, max_side)) != plain.size:
        plain = plain.resize(fitting, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if plain.mode == "RGBA":
        ground = _ground(np.asarray(plain))
        if ground != "white":
            note = f"{note} What is transparent in it is shown {ground}, so that the drawing can be seen.".strip()
        laid = Image.new("RGBA", plain.size, (*[_GROUNDS[ground]] * 3, 255))
        laid.alpha_composite(plain)
        plain = laid
    upright = plain.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else plain
    result = upright.convert("RGB")
    # Colour profiles no longer fit the converted pixels, and EXIF may hold a place and a name.
    result.info = {}
    return Decoded(image=result, note=note)


def _fit(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """`size` reduced until its longer side is at most `max_side`, or its shorter side at its least."""
    scale = min(1.0, max(max_side / max(size), _SHORTER_SHARE * max_side / min(size)))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _ground(pixels: np.ndarray) -> str:
    """The name of the ground for (height, width, 4) bytes: the one that least of the drawing's outline is lost on.

    The outline is what can be seen beside what cannot. Whatever lies within it has its own surroundings.
    """
    alpha = pixels[..., 3]
    seen = np.pad(alpha >= max(1, alpha.max() // 4), 1, mode="edge")
    beside = seen[:-2, 1:-1] & seen[2:, 1:-1] & seen[1:-1, :-2] & seen[1:-1, 2:]
    outline = seen[1:-1, 1:-1] & ~beside
    if not outline.any():
        return "white"
    colours = pixels[outline][:, :3].astype(np.int16)
    lost = {name: float((np.abs(colours - level).max(axis=1) < _STANDS_OUT).mean()) for name, level in _GROUNDS.items()}
    fitting = (name for name, share in lost.items() if share <= _LOST_AT_MOST)
    return next(fitting, min(lost, key=lost.__getitem__))


def _to_eight_bits(image: Image.Image) -> tuple[Image.Image, str]:
    """The decoded picture in mode L, RGB or RGBA, and what has to be said about it."""
    if image.mode.startswith(("I", "F")):
        return _scale_greyscale(image)
    # Asked before anything is decoded. The 16 bits of a BMP are those of a whole pixel.
    deep = image.format in ("PNG", "TIFF") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    clear = image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info
    plain = image.convert("RGBA" if clear else "L" if image.mode in ("1", "L") else "RGB")
    return _scale_deep(plain) if deep else (plain, "")


def _scale_deep(image: Image.Image) -> tuple[Image.Image, str]:
    """Colours, or grey with transparency, of 16 bits, of which Pillow reads the upper 8: as many as are used."""
    largest = int(np.asarray(image.convert("RGB")).max())
    found = next(((bits, white >> 8) for bits, white in _WHITES.items() if 0 < largest <= white >> 8), None)
    if found is None or found[0] == 16:
        return image, ""
    bits, white = found
    table = [min(255, round(each * 255 / white)) for each in range(256)]
    note = f"It uses {bits} of its 16 bits, of which {bits - 8} can be read: save it with 8 bits to see all its tones."
    opaque = [*range(256)] if image.mode == "RGBA" else []
    return image.point(table * (len(image.getbands()) - bool(opaque)) + opaque), note


def _scale_greyscale(image: Image.Image) -> tuple[Image.Image, str]:
    """Greyscale of more than 8 bits, and how it was scaled where that is not by all of them.

    White is the largest number of 8, 10, 12, 14 or 16 bits, whichever is the least that holds all values; for floats
    also 1. Values outside of [0, 65535] are stretched between their extremes.
    """
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        bits, white = _white(int(values.max()))
        table = np.round(np.minimum(np.arange(65536) * (255 / white), 255)).astype(np.uint8)
        grey = Image.fromarray(table[values])
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey = grey.convert("RGBA")
            grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
        note = f"It uses {bits} of its 16 bits: {white:,} is shown white." if bits < 16 else ""
        return grey, note
    values = np.where(np.isfinite(values), values, 0).astype(np.float32)
    low, high, note = float(values.min()), float(values.max()), ""
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 65535:
        bits, white = _white(high)
        low, high, note = 0.0, float(white), f"Its values need {bits} bits: {white:,} is shown white."
    elif high > low:
        note = f"Its values are stretched: {low:,.6g} is shown black, {high:,.6g} white."
    return Image.fromarray(np.round((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)), note


def _white(largest: float) -> tuple[int, int]:
    """How many bits hold `largest`, of those that devices use, and the largest number of so many."""
    return next((bits, white) for bits, white in _WHITES.items() if largest <= white)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where the metadata is absent or damaged, which must not cost the picture."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged metadata raises anything from SyntaxError to struct.error
        return 1


def _printable(name: str) -> str:
    """`name` fit for one line of a message."""
    text = "".join(character if character.isprintable() else "_" for character in name) or "upload"
    return text if len(text) <= 80 else f"{text[:50]}…{text[-25:]}"
