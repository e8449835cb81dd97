"""How many latents to put into one pass of a denoising network, measured; no result depends on it.

On a CPU a few sizes are timed once, and the smallest that is nearly as fast as the best is taken: beyond it a batch
only costs memory. On a GPU larger is faster until memory ends: two small batches tell what a latent costs, and four
fifths of what is free are filled. A classification that runs out of memory all the same halves its batch and goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable

import torch
from torch import Tensor

from core.methods.diffusion.denoising_error import Denoiser
from core.seeding import stream_seed, torch_generator
from core.timing import seconds_of

SIZES = (1, 4, 8, 16, 32, 64, 128)
# A pass as long as this is long enough: a larger batch would only make stopping slow.
SLOW_S = 2.0
NEARLY = 1.05
FILLED = 0.8
MOST_ON_GPU = 1024

_lock = threading.Lock()
_known: dict[Hashable, int] = {}


def fitting_batch(denoise: Denoiser, latent: Tensor, *, most: int, key: Hashable = None) -> int:
    """A good number of latents for one pass, from 1 to `most`.

    Args:
        denoise: as for `core.methods.diffusion.diffusion_classifier.classify`; asked under prompt 0 at time step 0.
        latent: (channels, height, width), on the device that is meant.
        most: as many as there ever are at once: prompts × samples between two looks.
        key: what the answer depends on, such as names of model and precision: measured once for each in a process.
    """
    place = None if key is None else (key, str(latent.device), tuple(latent.shape), torch.get_num_threads())
    with _lock:
        known = _known.get(place) if place is not None else None
    if known is None:
        known = _on_gpu(denoise, latent) if latent.device.type == "cuda" else _by_time(denoise, latent)
        if place is not None:
            with _lock:
                _known[place] = known
    return max(1, min(known, most))


def choose_size(seconds: dict[int, float]) -> int:
    """The smallest batch that is nearly as fast per latent as the best; `seconds` a pass by size."""
    each = {size: spent / size for size, spent in seconds.items()}
    return min(size for size, spent in each.items() if spent <= NEARLY * min(each.values()))


def filling_size(free: int, peaks: dict[int, int]) -> int:
    """The largest batch whose memory fits, a power of two; `peaks` in bytes of a small and a larger batch."""
    small, large = sorted(peaks)
    each = max(1.0, (peaks[large] - peaks[small]) / (large - small))
    fits = int((FILLED * free - (peaks[small] - small * each)) / each)
    return 1 << (max(1, min(fits, MOST_ON_GPU)).bit_length() - 1)


def _by_time(denoise: Denoiser, latent: Tensor) -> int:
    seconds: dict[int, float] = {}
    for size in SIZES:
        spent = min(pass_seconds(denoise, latent, size) for _ in range(3 if not seconds else 2))
        seconds[size] = spent
        if spent > SLOW_S or spent / size > 1.3 * min(each / number for number, each in seconds.items()):
            break
    return choose_size(seconds)


def _on_gpu(denoise: Denoiser, latent: Tensor) -> int:
    device = latent.device
    pass_seconds(denoise, latent, 1)  # kernels and workspaces that stay
    peaks = {}
    for size in (2, 6):
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        try:
            pass_seconds(denoise, latent, size)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return 1
        peaks[size] = torch.cuda.max_memory_allocated(device) - before
    free, _ = torch.cuda.mem_get_info(device)
    # What the allocator holds and does not use is free too.
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return filling_size(free + idle, peaks)


def pass_seconds(denoise: Denoiser, latent: Tensor, size: int) -> float:
    """How long one pass of noise takes, from an idle device to an idle device."""
    noise = torch.randn((size, *latent.shape), generator=torch_generator(stream_seed("timed noise", size))).to(
        latent.device
    )
    zeros = torch.zeros(size, dtype=torch.int64, device=latent.device)
    return seconds_of(lambda: denoise(noise, zeros, zeros), latent.device)
