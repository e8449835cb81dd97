"""Every manipulation of a batch against a plain loop over its images, as ratios.

    python -m benchmarks.manipulations [--count 256] [--side 32 224] [--rounds 5]

Three ways take turns on the same images, one thread each: the batch at once; the same function called for one image
after the other; and the loop that one would write with Pillow, NumPy, SciPy, scikit-image and torchvision, which is
handed float32 images and returns them. Ratios are of medians of the thread's own seconds, so that
other work on the machine counts little. The loop draws from one generator for all images, so its
random pictures are others; tests compare what they look like.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.color import hsv2rgb, rgb2hsv
from skimage.filters import sobel, threshold_otsu
from torch import Tensor

from benchmarks.report import machine, parse, write
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.colours import ORDERS
from core.methods.manipulations.manipulated import manipulated
from core.methods.manipulations.steps import Step

GREY = np.array([0.2989, 0.587, 0.114], np.float32)
Pixels = np.ndarray  # (height, width, 3) float32 in [0, 1]
Plain = Callable[[Pixels, float, np.random.Generator], Pixels]


def _grey(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    return pixels + ((pixels @ GREY)[..., None] - pixels) * (strength / 100)


def _hue(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    hsv = rgb2hsv(pixels)
    hsv[..., 0] = (hsv[..., 0] + strength / 360) % 1
    return np.asarray(hsv2rgb(hsv))


def _digits(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    kept = np.full(3, 1 - strength / 100, np.float32)
    kept[random.integers(3)] = 1
    return pixels * kept


def _scramble(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    grid, found = int(strength), pixels.copy()
    tall, wide = pixels.shape[0] // grid, pixels.shape[1] // grid
    for place, source in enumerate(random.permutation(grid * grid)):
        (row, column), (old_row, old_column) = divmod(place, grid), divmod(int(source), grid)
        found[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide] = pixels[
            old_row * tall : (old_row + 1) * tall, old_column * wide : (old_column + 1) * wide
        ]
    return found


def _elastic(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    side = min(height, width)
    field = gaussian_filter(random.standard_normal((2, height, width), dtype=np.float32), (0, side / 16, side / 16))
    moved = np.indices((height, width)) + field / field.std() * strength / 100 * side
    return np.stack([map_coordinates(pixels[..., c], moved, order=1, mode="mirror") for c in range(3)], axis=-1)


def _silhouette(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    grey = (pixels @ GREY * 255).round().astype(np.uint8)
    dark = grey <= threshold_otsu(grey)
    border = np.concatenate([dark[0], dark[-1], dark[1:-1, 0], dark[1:-1, -1]])
    drawn = np.where(dark if border.mean() < 0.5 else ~dark, 0, 1)[..., None]
    return pixels + (drawn - pixels) * (strength / 100)


def _edges(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    steep = sobel(pixels @ GREY, mode="nearest")
    return pixels + ((1 - steep / steep.max())[..., None] - pixels) * (strength / 100)


def _patch(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    side, found = round((pixels.shape[0] * pixels.shape[1] / 16) ** 0.5), pixels.copy()
    top, left = (int(random.integers(size - side + 1)) for size in pixels.shape[:2])
    found[top : top + side, left : left + side] += random.standard_normal((side, side, 3), np.float32) * strength / 255
    return found


def _pixelate(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    side, found = int(strength), np.empty_like(pixels)
    for top in range(0, pixels.shape[0], side):
        for left in range(0, pixels.shape[1], side):
            square = (slice(top, top + side), slice(left, left + side))
            found[square] = pixels[square].mean(axis=(0, 1))
    return found


def _jpeg(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(file, "JPEG", quality=100 - int(strength))
    return np.asarray(Image.open(file), np.float32) / 255


PLAIN: dict[str, Plain] = {
    "grey": _grey,
    "hue": _hue,
    "channels": lambda pixels, strength, _: pixels[..., list(ORDERS[int(strength)])],
    "digits": _digits,
    "scramble": _scramble,
    "elastic": _elastic,
    "blur": lambda pixels, strength, _: gaussian_filter(pixels, (strength, strength, 0)),
    "silhouette": _silhouette,
    "edges": _edges,
    "noise_patch": _patch,
    "noise_patch_anywhere": _patch,
    "noise": lambda pixels, strength, random: (
        pixels + random.standard_normal(pixels.shape, np.float32) * strength / 255
    ),
    "brightness": lambda pixels, strength, _: pixels * strength,
    "contrast": lambda pixels, strength, _: (pixels @ GREY).mean() * (1 - strength) + pixels * strength,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}


def loop(images: Tensor, step: Step) -> Tensor:
    """The plain loop: floats in, floats out, range kept."""
    random = np.random.default_rng(0)
    found = [
        np.clip(PLAIN[step.name](image.permute(1, 2, 0).numpy(), step.strength, random), 0, 1).astype(np.float32)
        for image in images
    ]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()


def one_by_one(images: Tensor, step: Step) -> Tensor:
    return torch.cat([manipulated(image[None], [step], seed=0, keys=[key]) for key, image in enumerate(images)])


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/manipulations.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=256, help="images of 32 px; fewer where they are larger")
    parser.add_argument("--side", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parse(parser, words, count=4, side=[16], rounds=1)
    torch.set_num_threads(1)
    where, results = machine(), []
    for side in arguments.side:
        count = max(4, arguments.count * 32 // side)
        images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
        for row in MANIPULATIONS.values():
            step = Step(row.name, row.usual)
            ways = {
                "batch": partial(manipulated, images, [step], seed=0, keys=range(count)),
                "one_by_one": partial(one_by_one, images, step),
                "plain_loop": partial(loop, images, step),
            }
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(arguments.rounds + 1):
                for name, way in ways.items():
                    began = time.process_time()
                    way()
                    if number:  # the first one warms up
                        seconds[name].append(time.process_time() - began)
            medians = {name: statistics.median(values) for name, values in seconds.items()}
            results.append(
                {
                    "manipulation": row.name,
                    "strength": row.usual,
                    "side": side,
                    "images": count,
                    "microseconds_an_image": {name: 1e6 * value / count for name, value in medians.items()},
                    "times_faster_than_plain_loop": medians["plain_loop"] / medians["batch"],
                    "times_faster_than_one_by_one": medians["one_by_one"] / medians["batch"],
                }
            )
    write("manipulations", {"results": results, "machine": where}, quick=arguments.quick)


if __name__ == "__main__":
    main()
