"""Weight files of torchvision: where they are cached, and how they get there with progress and a checked hash.

The cache is torch's own, so that what other programs downloaded counts. Nothing here imports torch unless a name
outside `FILES` is asked for.
"""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from core.errors import MissingWeightsError, OfflineError, UnknownNameError
from core.files import replaced
from core.reports import OnProgress, silent

# The catalogue's rows, so that their availability can be shown without the library; a test compares with torchvision.
FILES = {
    "resnet50.IMAGENET1K_V1": "resnet50-0676ba61.pth",
    "resnet152.IMAGENET1K_V1": "resnet152-394f9c45.pth",
    "vgg19.IMAGENET1K_V1": "vgg19-dcbb9e9d.pth",
    "efficientnet_b0.IMAGENET1K_V1": "efficientnet_b0_rwightman-7f5810bc.pth",
}
BASE = "https://download.pytorch.org/models/"
_NOT_CONVOLUTIONAL = ("vit_", "swin_", "maxvit_")
_ANSWER_SECONDS = 10
_CHUNK = 1 << 20


def cached_weights(location: str) -> Path | None:
    """The file of `BUILDER.WEIGHTS` in torch's cache, or None; never asks the network."""
    path = _cache() / _url(location).rsplit("/", 1)[1]
    return path if path.is_file() else None


def fetch_weights(location: str, on_progress: OnProgress = silent) -> Path:
    """Download the file of `BUILDER.WEIGHTS` into torch's cache; it appears there complete and verified or not at all.

    An exception out of `on_progress` stops the download and leaves nothing behind.

    Raises:
        OfflineError: the server does not answer.
        MissingWeightsError: the received file has another hash than its name promises.
    """
    url = _url(location)
    target = _cache() / url.rsplit("/", 1)[1]
    digest = hashlib.sha256()
    on_progress(0.0, f"Asking {url.split('/')[2]} for {target.name}")
    try:
        with replaced(target) as partial, urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(_CHUNK):
                partial.write(chunk)
                digest.update(chunk)
                done = partial.tell()
                text = f"Downloading {target.name}: {done / 2**20:.0f} of {total / 2**20:.0f} MiB"
                on_progress(min(1.0, done / total) if total else 0.0, text)
            _check_hash(target.name, digest.hexdigest())
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise OfflineError(
            f"{target.name} is not on this machine, and {url.split('/')[2]} does not answer ({reason}).",
            f"Connect to the internet, or copy the file to {target}.",
        ) from None
    return target


def find_weights(location: str) -> Any:
    """The entry of torchvision's weights enumeration that `BUILDER.WEIGHTS` names."""
    from torchvision import models

    builder, _, name = location.partition(".")
    known = {entry: models.get_model_weights(entry) for entry in convolutional_builders()}
    if builder not in known:
        raise UnknownNameError("convolutional torchvision model", builder, known)
    if name not in known[builder].__members__:
        raise UnknownNameError(f"set of weights for {builder}", name, known[builder].__members__)
    return known[builder][name]


def convolutional_builders() -> list[str]:
    """Names of torchvision's convolutional classifiers."""
    from torchvision import models

    return [name for name in models.list_models(module=models) if not name.startswith(_NOT_CONVOLUTIONAL)]


def _check_hash(name: str, found: str) -> None:
    """torch's convention: the first digits of the SHA-256 end the file name."""
    promised = re.search(r"-([0-9a-f]{8,})\.", name)
    if promised and not found.startswith(promised[1]):
        raise MissingWeightsError(f"{name} arrived damaged: its SHA-256 begins with {found[:8]}.", "Download it again.")


def _cache() -> Path:
    """Where `torch.hub` keeps checkpoints, by its documented environment variables."""
    cache = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch"
    return Path(cache).expanduser() / "hub" / "checkpoints"


def _url(location: str) -> str:
    if location in FILES:
        return BASE + FILES[location]
    return find_weights(location).url
