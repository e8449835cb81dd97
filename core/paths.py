"""Where things live: the checkout or the wheel holds code and bundled models, `VITRINE_HOME` all that accumulates."""

from __future__ import annotations

import os
import tomllib
from importlib import metadata
from pathlib import Path

from core.errors import CoreError

# Whence `core` and `pages` are imported: the checkout, or site-packages.
CHECKOUT = Path(__file__).resolve().parent.parent
INSTALLED = not (CHECKOUT / "pyproject.toml").is_file()
# What is no code lies beside it in a checkout and in a folder of its own in a wheel (setup.py). Nothing is written
# there but by `bundle --install`, in a checkout.
FILES = CHECKOUT / "vitrine_files" if INSTALLED else CHECKOUT
ASSETS = FILES / "assets"
BUNDLED = FILES / "checkpoints"
BUNDLED_STUDIES = ASSETS / "studies"


def version() -> str:
    """The version of Vitrine that runs, as pyproject.toml has it."""
    if INSTALLED:
        return metadata.version("vitrine")
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def local_path(text: str) -> Path:
    """A file or folder on this machine as somebody typed it; whether it is there is the caller's question.

    Raises:
        CoreError: no path can be written like that.
    """
    shown = text if len(text) <= 200 else f"{text[:199]}…"
    try:
        path = Path(text.strip()).expanduser().resolve()
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return path
    except RuntimeError as error:  # the home of a user who does not exist
        raise CoreError(f"{shown!r} names a user whom this machine does not know.", "Write the path out.") from error
    except (OSError, ValueError) as error:  # too long, or holds a NUL or half a letter
        raise CoreError(f"{shown!r} cannot be a path on this machine.", "Check the path.") from error
    return path


def home() -> Path:
    """The user's folder for data, weights, runs and caches (`VITRINE_HOME`, default `~/.vitrine`)."""
    return Path(os.environ.get("VITRINE_HOME") or Path.home() / ".vitrine").expanduser()


def data_root() -> Path:
    """Where imported data sets live (`VITRINE_DATA`, default `VITRINE_HOME/data`)."""
    return Path(os.environ.get("VITRINE_DATA") or home() / "data").expanduser()


def weights_root() -> Path:
    """Where fetched weights live."""
    return home() / "weights"


def studies_root() -> Path:
    """Where the journals of sweeps live, one file each."""
    return home() / "studies"


def runs_root() -> Path:
    """Where training runs live, one folder each."""
    return home() / "runs"


def uploads_root() -> Path:
    """Where photos live that browsers sent, a folder for each browser."""
    return home() / "uploads"


def collections_root() -> Path:
    """Where collections of pictures live that people put together, a folder for each browser."""
    return home() / "collections"


def cache_root() -> Path:
    """Where results that can be computed again live."""
    return home() / "cache"


def settings_file() -> Path:
    """What was chosen for this machine in the app, such as the device."""
    return home() / "settings.json"
