"""Images under manipulations, one after another: a seed and an image's number give one image, in any batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from core.errors import ConfigError, ShapeError
from core.finite import require_finite
from core.methods.manipulations import colours, geometry, lines
from core.methods.manipulations.catalogue import manipulation
from core.methods.manipulations.draws import Draws
from core.methods.manipulations.steps import Step

# Values that are manipulated together: what fits into a processor's cache is done sooner.
TOGETHER = 2**20

# Of images and a strength; random ones take their draws too, and those of two numbers the second one before them.
PLAIN: dict[str, Callable[[Tensor, float], Tensor]] = {
    "grey": colours.fade,
    "hue": colours.rotate_hue,
    "channels": colours.reorder,
    "blur": geometry.blur,
    "silhouette": lines.silhouette,
    "edges": lines.edges,
    "brightness": colours.brighten,
    "contrast": colours.change_contrast,
    "pixelate": geometry.pixelate,
    "jpeg": colours.write_jpeg,
}
RANDOM: dict[str, Callable[[Tensor, float, Draws], Tensor]] = {
    "digits": colours.colour_digits,
    "scramble": geometry.scramble,
    "noise": colours.add_noise,
}
RANDOM_EXTENT: dict[str, Callable[[Tensor, float, float, Draws], Tensor]] = {
    "elastic": geometry.elastic,
    "noise_patch": partial(colours.noise_patch, anywhere=False),
    "noise_patch_anywhere": partial(colours.noise_patch, anywhere=True),
}


def manipulated(images: Tensor, steps: Sequence[Step], *, seed: int, keys: Sequence[int]) -> Tensor:
    """The images after each step in turn: (images, 3, height, width) in [0, 1], on the device of `images`.

    What is drawn at random rests on `seed`, on the image's key and on how often the same manipulation came before: not
    on the other images, nor on the other steps. Steps at their neutral strength change nothing, bit by bit.

    Args:
        images: (images, 3, height, width), float32 in [0, 1]: before any normalisation; any size, and none too.
        keys: each image's own number, such as its place in its data set.

    Raises:
        ShapeError: the images have other axes, or there is not a key for each.
        ConfigError: values lie outside [0, 1].
        NotFiniteError: values are no numbers.
    """
    _require_images(images, len(keys))
    together = max(1, TOGETHER // max(1, images[:1].numel()))
    if len(images) <= together or all(step.neutral for step in steps):
        return _after_all(images, steps, seed, keys)
    places = range(0, len(images), together)
    return torch.cat([_after_all(images[at : at + together], steps, seed, keys[at : at + together]) for at in places])


def _after_all(images: Tensor, steps: Sequence[Step], seed: int, keys: Sequence[int]) -> Tensor:
    before: Counter[str] = Counter()
    for step in steps:
        draws = Draws(seed=seed, keys=tuple(int(key) for key in keys), time=before[step.name])
        before[step.name] += 1
        if len(images) and not step.neutral:
            images = _after(images, step, draws).clamp_(0, 1)  # always a tensor of its own
    return images


def _after(images: Tensor, step: Step, draws: Draws) -> Tensor:
    if step.name in PLAIN:
        return PLAIN[step.name](images, step.strength)
    if step.name in RANDOM:
        return RANDOM[step.name](images, step.strength, draws)
    extent = manipulation(step.name).extent
    assert extent is not None
    return RANDOM_EXTENT[step.name](images, step.strength, extent.usual if step.extent is None else step.extent, draws)


def _require_images(images: Tensor, keys: int) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.float32:
        raise ShapeError(
            f"Images are manipulated as float32 (images, 3, height, width), not {images.dtype} {tuple(images.shape)}.",
            "Give RGB images as a batch; a grey one repeats its channel.",
        )
    if keys != len(images):
        raise ShapeError(f"{len(images)} images need a number each, and got {keys}.", "Give one key per image.")
    if not images.numel():
        return
    lowest, highest = (float(value) for value in images.aminmax())
    if not 0 <= lowest <= highest <= 1:  # NaN fails too
        require_finite("The images", images, "Look for the step that made them.")
        raise ConfigError(
            f"Images are manipulated in [0, 1], and these go from {lowest:g} to {highest:g}.",
            "Manipulate them before they are normalised.",
        )
