"""What a file of weights really is, told by its first bytes and named before any library stumbles over it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from core.errors import MissingWeightsError

_TAKE_WEIGHTS = (
    "Where you trust it, save its weights alone, for example: "
    'torch.save(torch.jit.load("FILE").state_dict(), "weights.pth")'
)
_EXPORTED = "Expected safetensors, or a state dict saved with torch.save; export it again from PyTorch."
# How a file begins, what it then is, and what to do.
_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec",
        "a pointer of Git LFS, a few lines of text that stand for the file, not the weights",
        "Fetch the weights: run `git lfs install` and `git lfs pull` in the clone, or download the file itself.",
    ),
    (b"\x89HDF", "an HDF5 file, as Keras and TensorFlow write it", _EXPORTED),
    (b"GGUF", "a GGUF file, as llama.cpp reads it", _EXPORTED),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"7z\xbc\xaf", "a 7-Zip archive", "Unpack it first."),
    (b"\xfd7zXZ", "an xz archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"\x89PNG", "a PNG picture", "Choose the file of the weights."),
    (b"\xff\xd8\xff", "a JPEG picture", "Choose the file of the weights."),
    (b"%PDF", "a PDF document", "Choose the file of the weights."),
)
_DOWNLOAD = (
    "Download the file itself (on the Hub: the button `download`, or an address with /resolve/ in place of /blob/)."
)


def check_weight_file(path: Path) -> None:
    """Refuse a file that is something else than weights, by its content.

    Raises:
        MissingWeightsError: it is empty, a Git LFS pointer, a web page, an archive, TorchScript or another format.
    """
    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise MissingWeightsError(f"{path.name} cannot be read ({error}).") from error
    if not start:
        raise MissingWeightsError(f"{path.name} is empty.", "Download or copy it again.")
    for beginning, what, remedy in _STARTS:
        if start.startswith(beginning):
            raise MissingWeightsError(f"{path.name} is {what}.", remedy)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        raise MissingWeightsError(
            f"{path.name} is a web page or XML, not weights: a download saved what the browser showed.", _DOWNLOAD
        )
    if text.startswith((b"{", b"[")) and _is_text(text):
        raise MissingWeightsError(f"{path.name} is a JSON text, not weights, perhaps an error of a server.", _DOWNLOAD)
    if _is_text(text) and path.suffix != ".safetensors":
        raise MissingWeightsError(f"{path.name} is a text, not weights.", _DOWNLOAD)
    if start.startswith(b"PK"):
        _check_zip(path)


def _check_zip(path: Path) -> None:
    """torch.save writes a zip file with a `data.pkl`; TorchScript is one too, with code beside it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise MissingWeightsError(
            f"{path.name} is damaged, perhaps only half of it arrived ({error}).", "Download or copy it again."
        ) from error
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise MissingWeightsError(
            f"{path.name} is a TorchScript program: code together with weights, and no code from a file is run here.",
            _TAKE_WEIGHTS.replace("FILE", path.name),
        )
    if "data.pkl" not in names:
        raise MissingWeightsError(f"{path.name} is a zip archive, not weights.", "Unpack it first.")


def _is_text(start: bytes) -> bool:
    """Whether a whole line or more of printable characters begins the file."""
    try:
        text = start[:256].decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        if error.start < 200:
            return False
        text = start[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t" for letter in text)
