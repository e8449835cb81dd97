"""A photo from anyone's disk, decoded safely: checked before it is decoded, upright, RGB, at a sensible size."""

from __future__ import annotations

import hashlib
import io
import warnings

import numpy as np
from PIL import Image

from core.data.formats import DECODABLE, HEAD_BYTES, describe, image_format
from core.errors import ImageError

MAX_BYTES = 50 * 2**20
MAX_PIXELS = 100_000_000
MIN_SIDE = 2
MAX_ASPECT = 50

# Pillow keeps its own limit and only warns at first. Ours is checked too, but code paths inside Pillow (GIF frames,
# TIFF pages) ask only theirs, and a context manager around each call would not be safe with threads.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

_CHOOSE = f"Choose a {', '.join(list(DECODABLE.values())[:-1])} or {list(DECODABLE.values())[-1]} image."
_REMEDIES = {
    "a HEIC photo": "Export it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible) and try again.",
    "an AVIF image": "Export it as JPEG or PNG and try again.",
    "an SVG drawing": "Export it as PNG and try again.",
    "a PDF document": "Save the page as a PNG or JPEG image and try again.",
    "a video": "Save one frame as a PNG or JPEG image and try again.",
}

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


def decode_image(data: bytes, *, name: str = "upload", max_side: int = 1600) -> Image.Image:
    """The first picture in `data`, upright, as 8-bit RGB without metadata.

    Transparency is laid on white, 16-bit greyscale is scaled (not clipped), and a picture whose longer side exceeds
    `max_side` is reduced to it.

    Args:
        name: how error messages call the file; never used to decide what it is.

    Raises:
        ImageError: the file is no image that we decode, is damaged, or is too large, too small or too narrow.
    """
    name = _printable(name)
    found = _check_bytes(data, name)
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


def _decode(image: Image.Image, max_side: int) -> Image.Image:
    """Decode no more than needed: JPEG at a fraction of its size, everything else reduced before it is composed."""
    image.draft(None, _fit(image.size, max_side))
    plain = _to_eight_bits(image)
    orientation = _orientation(image)  # after decoding: TIFF turns itself and then forgets its orientation
    if max(plain.size) > max_side:
        plain = plain.resize(_fit(plain.size, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if plain.mode == "RGBA":
        white = Image.new("RGBA", plain.size, "white")
        white.alpha_composite(plain)
        plain = white
    upright = plain.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else plain
    result = upright.convert("RGB")
    # Colour profiles no longer fit the converted pixels, and EXIF may hold a place and a name.
    result.info = {}
    return result


def _fit(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """`size` reduced until its longer side is at most `max_side`."""
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """The decoded picture in mode L, RGB or RGBA."""
    if image.mode.startswith(("I", "F")):
        return _scale_greyscale(image)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _scale_greyscale(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits.

    16-bit files keep their full scale. 32-bit integers and floats have no agreed white, so it is the least of 1, 255
    and 65,535 that holds all values; values outside of [0, 65535] are stretched between their extremes.
    """
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        table = np.round(np.arange(65536) / 257).astype(np.uint8)
        grey = Image.fromarray(table[values])
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            grey = grey.convert("RGBA")
            grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
        return grey
    values = np.where(np.isfinite(values), values, 0).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 65535:
        low, high = 0.0, next(white for white in (1.0, 255.0, 65535.0) if high <= white)
    return Image.fromarray(np.round((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8))


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
