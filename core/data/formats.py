"""What a file is, from its first bytes: names and endings lie, content does not."""

from __future__ import annotations

HEAD_BYTES = 4096

# Pillow's name of each format that we are willing to decode → how people write it.
DECODABLE = {
    "JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF", "AVIF": "AVIF",
    "HEIF": "HEIC",
}  # fmt: skip
# How the names of such files end, in small letters: the one list of uploaders, importers and the command line.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif",
    ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif",
)  # fmt: skip

_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)

_PREFIXES = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"8BPS", "a Photoshop document"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)

_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}


def listed() -> str:
    """The formats as a sentence has them: "JPEG, PNG … or HEIC"."""
    *first, last = DECODABLE.values()
    return f"{', '.join(first)} or {last}"


def has_image_suffix(name: str) -> bool:
    """Whether a file called `name` claims to be an image that we decode."""
    return name.lower().endswith(SUFFIXES)


def image_format(head: bytes) -> str | None:
    """Pillow's name of the format if `head`, the first bytes of a file, opens an image that we decode."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    # Any text may begin with "BM", so the size of the header that follows is asked too.
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "TIFF"
    if head[4:8] == b"ftyp":
        brands = _brands(head)
        return "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIF_BRANDS else None
    return None


def _brands(head: bytes) -> set[bytes]:
    """What a file of the ISO container says it is: the first may be a wrapper's (mif1), the kind stands behind it."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))}


def describe(head: bytes) -> str:
    """What a file looks to be, with its article: "a PDF document"."""
    found = image_format(head)
    if found:
        return f"an {DECODABLE[found]} image" if found == "AVIF" else f"a {DECODABLE[found]} image"
    if not head:
        return "empty"
    for prefix, description in _PREFIXES:
        if head.startswith(prefix):
            return description
    if head[4:8] == b"ftyp":
        # Photos of phones, AVIF and video share this container; images of yet another coding are no video.
        return "an image of an unknown coding" if _brands(head) & {b"mif1", b"msf1"} else "a video"
    if head.startswith(b"PK"):
        return "a PyTorch checkpoint" if b"data.pkl" in head else "a zip archive"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return "a safetensors file"
    return _describe_text(head)


def _describe_text(head: bytes) -> str:
    """Text by its shape; anything else is unknown."""
    try:
        # The cut at HEAD_BYTES may fall within a character.
        text = head[: HEAD_BYTES - 4].decode("utf-8-sig") if len(head) >= HEAD_BYTES else head.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "a file of an unknown kind"
    if any(ord(character) < 32 and character not in "\t\n\r\f" for character in text):
        return "a file of an unknown kind"
    start = text.lstrip().lower()
    if "<svg" in start:
        return "an SVG drawing"
    if start.startswith(("<!doctype html", "<html")):
        return "a web page"
    if start.startswith("<"):
        return "an XML file"
    if start.startswith(("{", "[")):
        return "a JSON file"
    lines = [line for line in text.splitlines() if line][:5]
    if len(lines) > 1 and any(all(mark in line for line in lines) for mark in ",;\t"):
        return "a table of text (CSV)"
    return "a text file"
