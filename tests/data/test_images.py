"""Every kind of file that someone will upload: decoded as seen on screen, or refused in one sentence."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from core.data import images
from core.data.formats import SUFFIXES, has_image_suffix
from core.data.image_sets import folder_photos
from core.data.images import decode_image, decode_photo, image_digest
from core.data.samples import image_files
from core.errors import ImageError
from tests.examples import examples


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width: int = 60, height: int = 40) -> Image.Image:
    """Smooth, and different in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (255 * x / width, 255 * y / height, 255 - 255 * x / width)
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def difference(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(np.asarray(first, dtype=float) - np.asarray(second, dtype=float)).mean())


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_each_format_by_content_whatever_its_name(kind: str) -> None:
    decoded = decode_image(encode(photo(), kind), name="labels.csv")
    assert decoded.mode == "RGB"
    assert type(decoded) is Image.Image
    assert difference(decoded, photo()) < 12


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_formats_of_phones(kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    decoded = decode_image(encode(photo(), kind, quality=95), name="IMG_0001")
    assert decoded.info == {}
    assert difference(decoded, photo()) < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    upright = photo()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpose that a camera held this way has applied
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(encode(stored, kind, exif=exif.tobytes()), max_side=30)
    assert decoded.size == (30, 20)
    assert difference(decoded, upright.resize((30, 20), Image.Resampling.LANCZOS)) < 12


def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = encode(photo(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    assert decode_image(data).size == (60, 40)


def test_metadata_does_not_survive() -> None:
    exif = Image.Exif()
    exif[0x010E] = "at home"
    assert decode_image(encode(photo(), "JPEG", exif=exif, icc_profile=b"profile", comment=b"me")).info == {}


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "LA"), ("WEBP", "RGBA"), ("TIFF", "RGBA")])
def test_transparency_is_laid_on_white(kind: str, mode: str) -> None:
    picture = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 4, 4))
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode_image(encode(picture.convert(mode), kind, **options))
    assert decoded.getpixel((1, 1)) == (0, 0, 0)
    assert decoded.getpixel((6, 1)) == (255, 255, 255)


def test_half_transparency_and_reduction() -> None:
    decoded = decode_image(encode(Image.new("RGBA", (64, 64), (255, 0, 0, 128)), "PNG"), max_side=16)
    red, green, blue = decoded.getpixel((8, 8))
    assert red == 255
    assert abs(green - 127) <= 2
    assert green == blue


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_transparency(kind: str) -> None:
    picture = Image.new("P", (8, 4), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.paste(1, (4, 0, 8, 4))
    decoded = decode_image(encode(picture, kind, transparency=0))
    assert decoded.getpixel((1, 1)) == (255, 255, 255)
    assert decoded.getpixel((6, 1)) == (200, 100, 50)


def test_palette_with_graded_transparency() -> None:
    picture = Image.new("P", (8, 4), 0)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    decoded = decode_image(encode(picture, "PNG", transparency=bytes([128, 255])))
    assert abs(decoded.getpixel((1, 1))[0] - 127) <= 2


def test_bilevel() -> None:
    decoded = decode_image(encode(Image.new("1", (8, 8), 1), "PNG"))
    assert decoded.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)
    decoded = decode_image(encode(Image.fromarray(np.tile(ramp, (8, 1))), kind))
    assert np.array_equal(np.asarray(decoded)[0, :, 0], np.arange(256))


def test_sixteen_bits_of_the_other_byte_order() -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(">u2")
    picture = Image.frombytes("I;16B", (256, 8), np.tile(ramp, (8, 1)).tobytes())
    assert np.array_equal(np.asarray(decode_image(encode(picture, "TIFF")))[0, :, 0], np.arange(256))


def test_sixteen_bits_with_a_transparent_value() -> None:
    values = np.full((4, 4), 30000, dtype=np.uint16)
    values[0, 0] = 1234
    plain = encode(Image.fromarray(values), "PNG")
    body = struct.pack(">H", 1234)
    chunk = struct.pack(">I", 2) + b"tRNS" + body + struct.pack(">I", zlib.crc32(b"tRNS" + body))
    end = plain.index(b"IDAT") - 4
    decoded = decode_image(plain[:end] + chunk + plain[end:])
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((2, 2)) == (117, 117, 117)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 65535], [32768, 257]], dtype=np.int32), [[0, 255], [128, 1]]),
        (np.array([[0, 255], [128, 7]], dtype=np.int32), [[0, 255], [128, 7]]),
        (np.array([[-100, 100], [0, -100]], dtype=np.int32), [[0, 255], [128, 0]]),
        (np.array([[0.0, 1.0], [0.5, np.nan]], dtype=np.float32), [[0, 255], [128, 0]]),
        (np.full((2, 2), -5, dtype=np.int32), [[0, 0], [0, 0]]),
        (np.zeros((2, 2), dtype=np.float32), [[0, 0], [0, 0]]),
    ],
)
def test_greyscale_of_32_bits(values: np.ndarray, expected: list[list[int]]) -> None:
    decoded = decode_image(encode(Image.fromarray(values), "TIFF"))
    assert np.asarray(decoded)[..., 0].tolist() == expected


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    # Pillow writes CMYK JPEG the Adobe way: inverted, with Adobe's marker.
    data = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind)
    assert (b"Adobe" in data) == (kind == "JPEG")
    red, green, blue = decode_image(data).getpixel((8, 8))
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode_image(data).getpixel((8, 8)) == (255, 0, 0)


def test_a_large_jpeg_is_decoded_at_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    original = images._to_eight_bits
    monkeypatch.setattr(images, "_to_eight_bits", lambda image: sizes.append(image.size) or original(image))
    decoded = decode_image(encode(photo(4000, 3000), "JPEG"), max_side=1600)
    assert sizes == [(2000, 1500)]
    assert decoded.size == (1600, 1200)


@given(width=st.integers(2, 300), height=st.integers(2, 300), max_side=st.integers(2, 320))
@examples(40)
def test_longer_side_is_bounded_and_never_enlarged(width: int, height: int, max_side: int) -> None:
    if max(width, height) > images.MAX_ASPECT * min(width, height):
        return
    decoded = decode_image(encode(Image.new("RGB", (width, height), (9, 9, 9)), "PNG"), max_side=max_side)
    longer, shorter = max(width, height), min(width, height)
    # The shorter side of a panorama keeps 0.4 of what the longer side of other photos has.
    assert max(decoded.size) <= max(max_side, round(longer * 0.4 * max_side / shorter))
    assert max(decoded.size) <= longer
    assert min(decoded.size) >= min(shorter, int(0.4 * max_side), int(max_side * shorter / longer) or 1)


def test_a_panorama_keeps_what_a_model_takes_of_it() -> None:
    decoded = decode_image(encode(photo(20_000, 500), "JPEG"))
    assert decoded.size == (20_000, 500)
    decoded = decode_image(encode(photo(9_000, 1_500), "JPEG"))
    assert decoded.size == (3_840, 640)


def grey_file(largest: int, kind: str) -> bytes:
    ramp = np.linspace(0, largest, 256).round().astype(np.uint16)
    return encode(Image.fromarray(np.tile(ramp, (8, 1))), kind)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(("largest", "bits"), [(255, 8), (1023, 10), (4095, 12), (16383, 14), (65535, 16)])
def test_greyscale_is_scaled_by_the_bits_it_uses_and_says_so(largest: int, bits: int, kind: str) -> None:
    decoded = decode_photo(grey_file(largest, kind))
    shown = np.asarray(decoded.image)[0, :, 0]
    np.testing.assert_allclose(shown, np.arange(256), atol=1)
    assert shown[-1] == 255
    assert (f"{bits} of its 16 bits" in decoded.note) == (bits < 16)


def deep_colours(largest: int) -> bytes:
    """A PNG of 16 bits a channel, a ramp of red and green up to `largest`: Pillow writes none."""
    ramp = np.linspace(0, largest, 256).round()
    rows = np.stack([ramp, ramp[::-1], 0 * ramp], axis=-1)[None].repeat(8, axis=0).astype(">u2")

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", 256, 8, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("largest", "bits"), [(1023, 10), (4095, 12), (16383, 14), (65535, 16)])
def test_colours_of_few_bits_in_sixteen_are_not_black(largest: int, bits: int) -> None:
    decoded = decode_photo(deep_colours(largest))
    shown = np.asarray(decoded.image)[0].astype(int)
    assert np.abs(shown[:, 0] - np.arange(256)).max() <= 256 >> (bits - 8)
    assert np.abs(shown[:, 1] - np.arange(256)[::-1]).max() <= 256 >> (bits - 8)
    assert shown[-1, 0] == 255
    assert (f"{bits} of its 16 bits" in decoded.note) == (bits < 16)


def drawing(colour: str, other: str = "") -> Image.Image:
    """A disc on nothing; its right half in another colour."""
    canvas = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).ellipse((10, 10, 70, 70), fill=colour)
    if other:
        half = Image.new("RGBA", (40, 80), (0, 0, 0, 0))
        ImageDraw.Draw(half).ellipse((-30, 10, 30, 70), fill=other)
        canvas.paste(half, (40, 0))
    return canvas


@pytest.mark.parametrize(
    ("picture", "ground", "said"),
    [
        (drawing("white"), 0, "shown black"),
        (drawing("#fffff0"), 0, "shown black"),
        (drawing("black"), 255, ""),
        (drawing("yellow"), 255, ""),
        (drawing("white", "black"), 128, "shown grey"),
    ],
    ids=["white", "ivory", "black", "yellow", "white and black"],
)
def test_a_drawing_on_nothing_stays_visible(picture: Image.Image, ground: int, said: str) -> None:
    decoded = decode_photo(encode(picture, "PNG"))
    assert decoded.image.getpixel((1, 1)) == (ground,) * 3
    assert said in decoded.note
    assert bool(decoded.note) == bool(said)


def test_torch_checkpoint_names() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", b"")
    assert "PyTorch checkpoint" in refusal(buffer.getvalue(), "weights.pt").cause


def refusal(data: bytes, name: str) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode_image(data, name=name)
    error = caught.value
    assert name in error.cause
    assert error.cause.endswith(".")
    assert error.remedy.endswith(".")
    assert "\n" not in str(error)
    return error


@pytest.mark.parametrize(
    ("name", "data", "looks"),
    [
        ("empty.jpg", b"", "empty"),
        ("renamed.jpg", b"Dear diary,\ntoday I was no image.", "text file"),
        ("drawing.svg", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("page.png", b"<!DOCTYPE html><html></html>", "web page"),
        ("feed.png", b"<?xml version='1.0'?><rss/>", "XML"),
        ("paper.pdf", b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        ("labels.csv", b"file,label\na.jpg,0\nb.jpg,1\n", "CSV"),
        ("labels.tsv", "datei\tklasse\nä.jpg\t0\n".encode(), "CSV"),
        ("card.json", b'{"family": "vit"}', "JSON"),
        ("object.pkl", pickle.dumps({"a": 1}), "pickle"),
        ("legacy.pt", pickle.dumps([1, 2], protocol=2), "pickle"),
        ("model.safetensors", struct.pack("<Q", 40) + json.dumps({"weight": {"dtype": "F32"}}).encode(), "safetensors"),
        ("photo.heif", b"\0\0\0\x18ftypmif1\0\0\0\0mif1vvic", "unknown coding"),
        ("clip.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isom", "video"),
        ("array.npy", b"\x93NUMPY\x01\0", "NumPy"),
        ("set.zip", b"PK\x03\x04rest", "zip"),
        ("set.tar.gz", b"\x1f\x8b\x08\0", "gzip"),
        ("noise.png", bytes(range(128, 256)), "unknown"),
        ("almost.bmp", b"BMW is a car, and this is a text.", "text file"),
    ],
)
def test_what_is_no_image_is_named(name: str, data: bytes, looks: str) -> None:
    assert looks in refusal(data, name).cause


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        ("photo.avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "AVIF"),
        # The wrapper's name first: some encoders do so, and the kind stands among the compatible ones.
        ("wrapped.heic", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        ("wrapped.avif", b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
    ],
)
def test_what_shares_the_container_of_video_is_told_apart(name: str, head: bytes, kind: str) -> None:
    if kind == "HEIC":
        pytest.importorskip("pillow_heif")
    assert f"damaged or incomplete {kind}" in refusal(head, name).cause


def test_heic_without_its_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_reads_heif", lambda: False)
    assert "pillow-heif" in refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "photo.heic").cause


def test_the_suffixes_are_all_that_such_files_have() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.init()
    kinds = set(images.DECODABLE) | {"MPO"}  # which opens as JPEG
    assert set(SUFFIXES) == {suffix for suffix, kind in Image.registered_extensions().items() if kind in kinds}
    assert has_image_suffix("IMG_0001.HEIC")
    assert has_image_suffix("a.b.JFIF")
    assert not has_image_suffix("jpg")


def test_every_reader_takes_every_suffix(tmp_path: Path) -> None:
    data = encode(photo(), "JPEG")
    for suffix in SUFFIXES:
        (tmp_path / "cat").mkdir(exist_ok=True)
        (tmp_path / "cat" / f"photo{suffix.upper()}").write_bytes(data)
    assert len(folder_photos(str(tmp_path), 100, 0)[0]) == len(SUFFIXES)
    assert len(image_files(tmp_path)) == len(SUFFIXES)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    assert "damaged" in refusal(data[: int(len(data) * share)], f"half.{kind.lower()}").cause


def test_thirty_thousand_squared_is_refused_by_its_header() -> None:
    tracemalloc.start()
    try:
        error = refusal(png_header(30_000, 30_000), "bomb.png")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "megapixels" in error.cause
    assert peak < 2**20


@pytest.mark.parametrize(
    "data",
    [
        png_header(10_001, 10_000),
        png_header(2**31 - 1, 2**31 - 1),
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 70, 0, 0, 54, 40, 12_000, 12_000, 1, 24, 0, 0, 0, 0, 0, 0) + b"\0" * 16,
        b"GIF89a"
        + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0)
        + b"\x2c"
        + struct.pack("<HHHHB", 0, 0, 9, 9, 0)
        + b"\2\0;",
    ],
    ids=["just above", "largest", "bmp", "gif"],
)
def test_pixel_limit_holds_for_every_format(data: bytes) -> None:
    assert "megapixels" in refusal(data, "bomb").cause


def test_file_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 2**20)
    assert "limit is 1 MiB" in refusal(b"\xff\xd8\xff" + bytes(2**20), "huge.jpg").cause


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_too_small(size: tuple[int, int]) -> None:
    assert "too few" in refusal(encode(Image.new("RGB", size), "PNG"), "dot.png").cause


def test_smallest_that_is_shown() -> None:
    assert decode_image(encode(Image.new("RGB", (2, 2)), "PNG")).size == (2, 2)


def test_absurdly_narrow() -> None:
    assert "as long as wide" in refusal(encode(Image.new("RGB", (4000, 3)), "PNG"), "line.png").cause


def test_names_are_made_printable_and_short() -> None:
    with pytest.raises(ImageError) as caught:
        decode_image(b"", name="a\nb\x1b[31m" + "x" * 500)
    assert "\n" not in caught.value.cause
    assert "\x1b" not in caught.value.cause
    assert len(caught.value.cause) < 120


def assert_picture_or_sentence(data: bytes) -> None:
    try:
        decoded = decode_image(data)
    except ImageError:
        return
    assert decoded.mode == "RGB"


@given(data=st.binary(max_size=200))
@examples(100)
def test_any_bytes_give_a_picture_or_a_sentence(data: bytes) -> None:
    assert_picture_or_sentence(data)


_SEEDS = [
    encode(photo(24, 16), kind, **options)
    for kind, options in (
        ("JPEG", {}),
        ("PNG", {}),
        ("WEBP", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    )
]


@given(
    seed=st.sampled_from(_SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6),
)
@examples(150)
def test_damaged_files_give_a_picture_or_a_sentence(seed: bytes, edits: list[tuple[int, int]]) -> None:
    data = bytearray(seed)
    for position, value in edits:
        data[position % len(data)] = value
    assert_picture_or_sentence(bytes(data))


def test_digest_tells_pixels_and_size_apart() -> None:
    first = photo()
    assert image_digest(first) == image_digest(photo())
    assert image_digest(first) == image_digest(decode_image(encode(first, "PNG")))
    changed = first.copy()
    changed.putpixel((3, 3), (1, 2, 3))
    assert image_digest(changed) != image_digest(first)
    assert image_digest(Image.new("RGB", (4, 2))) != image_digest(Image.new("RGB", (2, 4)))
    assert len(image_digest(first)) == 64
