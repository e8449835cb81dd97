"""One place that turns a seed into randomness, so that every result can be asked for again.

NumPy pads seeds with zeros: `default_rng(3)`, `default_rng((3, 0))` and `default_rng((3, 0, 0))` are one stream, and
`default_rng(0)` is that of every seed that is all zeros. What must not depend on each other therefore draws from
`stream`, under a tag of its own.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # torch takes seconds to import, and data sets are listed without it
    import torch

# Draws that stay as they were before there were tags, and why. They collide where their numbers do.
PUBLISHED: dict[str, str] = {
    "validation split": "Bundled models learned from the rest: another split would test them on what they have seen.",
    "limited images": "Cards and tables name results on these images.",
    "tested rows": "Tables name accuracies on these images.",
    "tested pictures": "Tables name accuracies on these images, and a run goes on with them after a stop.",
    "noise of a draw": "Answers kept on disk were made with it, and what a model answers rests on it.",
    "data set sample": "Cached features are named by the seed that chose their images.",
    "views of photos": "Cached features are named by the seed that cut their images.",
    "folder photos": "Addresses name these pictures by the seed that chose them.",
}


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch globally; for worker processes only, never for a library call."""
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def seed_device(seed: int, device: torch.device) -> None:
    """Seed torch's global generators of the CPU and of `device`, and no others.

    `torch.manual_seed` does the same, and writes down the call's traceback for every kind of device that has not been
    used yet: 0.4 ms on a CPU, which is 4 % of a step of a small network.
    """
    import torch

    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        # As `torch.cuda.manual_seed` does, for the device in question: it may not be the current one.
        place = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[place].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def stream(tag: str, *numbers: int) -> np.random.Generator:
    """Random numbers that belong to `tag` and `numbers` alone, the same on every machine.

    Args:
        tag: what is drawn, in words; each is used in one place.
        numbers: the seed, and the place in the work: any whole numbers, `(3,)` and `(3, 0)` being different places.
    """
    return np.random.default_rng(_entropy(tag, numbers))


def stream_seed(tag: str, *numbers: int) -> int:
    """A seed below 2⁶³ for what makes its own generator, as torch and scikit-learn do; differs as `stream` does."""
    return _entropy(tag, numbers) >> 193


def published_stream(name: str, *entropy: int) -> np.random.Generator:
    """A draw whose numbers are known outside, by its name in `PUBLISHED`: NumPy's stream of `entropy` itself."""
    if name not in PUBLISHED:
        raise KeyError(f"{name!r} is no published draw; it has {', '.join(PUBLISHED)}.")
    return np.random.default_rng(entropy)


def torch_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator on `device` that owns its state."""
    import torch

    return torch.Generator(device=device).manual_seed(seed)


def _entropy(tag: str, numbers: tuple[int, ...]) -> int:
    """256 bits: a hash, so that neither padding nor a number of several words makes two places one."""
    text = "\0".join([tag, *(str(int(number)) for number in numbers)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest(), "big")
