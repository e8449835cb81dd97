"""Does the map know the network? Explain again with random weights: a map that stays shows the picture alone.

Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv:1810.03292, section 3 (cascading randomisation
from the head down; rank correlation of the maps).
Differs from the paper: instead of drawing weights as they were before training, each tensor's own entries are shuffled,
which keeps their size and needs no knowledge of how a network was initialised. Batch norm is measured anew on the
pictures, as at the start of a training: with the statistics of other weights, what passes would explode or vanish.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from core.device import as_input_of
from core.errors import ConfigError
from core.finite import require_finite
from core.methods.accuracy.targets import Target, pick_target
from core.methods.masking.faithfulness import FEWEST_IMAGES, Gain
from core.methods.masking.orders import scores_on_grid
from core.reports import OnProgress, silent
from core.seeding import stream, stream_seed, torch_generator

if TYPE_CHECKING:  # a page quotes what was measured before PyTorch is there
    from torch import Tensor, nn

    Explain = Callable[[nn.Module, Tensor, Target], np.ndarray]

SanityOutcome = Literal["changes", "hardly changes", "undecided", "too few images"]
# The last quarter of the layers with the head, and all of them.
SHARES = (0.25, 1.0)
# A map that keeps this much of its order without the weights shows the picture rather than the network.
STAYS = 0.5


@dataclass(frozen=True, kw_only=True)
class SanityCheck:
    """How much of an explanation's maps is left when the weights are random, over many images.

    Attributes:
        method: name of the explanation.
        count: images.
        shares: of the layers that are random, counted from the head.
        similarity: for each share, the mean over the images of `map_similarity` with the trained network's map, with
            its 95 % bootstrap interval.
        outcome: for the last share: "changes" if the interval lies below `STAYS`, "hardly changes" if it lies above;
            "too few images" below `FEWEST_IMAGES`.
    """

    method: str
    count: int
    shares: tuple[float, ...]
    similarity: tuple[Gain, ...]
    outcome: SanityOutcome

    def sentence(self, title: str) -> str:
        """What it amounts to, for the method called `title`."""
        part, whole = self.similarity[0].mean, self.similarity[-1].mean
        numbers = (
            f"with all layers random {whole:.2f} of the map's order is left, "
            f"with the last {self.shares[0]:.0%} of them {part:.2f}"
        )
        if self.outcome == "hardly changes":
            return f"{title} hardly changes without what was learned: {numbers}. It shows the picture, not the network."
        if self.outcome == "changes":
            return f"{title} changes with the weights: {numbers}."
        return f"{title}: {self.outcome}; {numbers}."


def randomised(module: nn.Module, images: Tensor, share: float, *, seed: int = 0) -> nn.Module:
    """A copy of `module`, in evaluation mode, with the weights of the last `share` of its layers shuffled.

    The same seed shuffles a layer alike at every share: a larger share goes on where a smaller one ended.

    Args:
        images: (n, channels, height, width), normalised; batch norm, where there is any, is measured on them.
        share: of the layers that have weights, from the head down, in (0, 1].

    Raises:
        ConfigError: `share` is no share.
    """
    import torch

    if not 0 < share <= 1:
        raise ConfigError(f"The share of random layers is {share}; expected above 0, up to 1.")
    module = copy.deepcopy(module)
    layers = [layer for layer in module.modules() if next(layer.parameters(recurse=False), None) is not None]
    first = len(layers) - max(1, round(share * len(layers)))
    with torch.no_grad():
        for index, layer in enumerate(layers):
            if index < first:
                continue
            for place, parameter in enumerate(layer.parameters(recurse=False)):
                generator = torch_generator(stream_seed("shuffled weights", seed, index, place))
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))
        norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
        if norms:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # the mean of what is seen, which is one batch
                norm.train()
            module(as_input_of(module, images))
    return module.eval()


def map_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """How much of the order of the patches two maps share: the rank correlation's absolute value, in [0, 1].

    Absolute, as a map turned upside down is still the same map. Of a map that is the same everywhere nothing is shared.
    """
    from scipy.stats import spearmanr

    require_finite("The first map", first)
    second = scores_on_grid(second, (first.shape[0], first.shape[1]))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return abs(float(spearmanr(first.ravel(), second.ravel()).statistic))


def sanity_similarities(
    module: nn.Module,
    images: Tensor,
    methods: Mapping[str, Explain],
    *,
    classifier: bool = True,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> dict[str, np.ndarray]:
    """Similarity of each explanation's maps with those under random weights, by name: (images, shares).

    Explained is the class that the trained network predicts; without a classifier, each network's own embedding.

    Args:
        images: (n, channels, height, width), normalised.
        shares: of the layers that are random, counted from the head.
    """
    networks = [module, *(randomised(module, images, share, seed=seed) for share in shares)]
    found = {name: np.zeros((len(images), len(shares)), dtype=np.float32) for name in methods}
    for index in range(len(images)):
        image = images[index : index + 1]
        target = pick_target(module, image, classifier=classifier)
        targets = [
            target,
            *(target if classifier else pick_target(each, image, classifier=False) for each in networks[1:]),
        ]
        for name, explain in methods.items():
            trained, *others = (explain(each, image, its) for each, its in zip(networks, targets, strict=True))
            found[name][index] = [map_similarity(trained, other) for other in others]
        on_progress((index + 1) / len(images), f"{index + 1} of {len(images)} images under random weights")
    return found


def summarise_sanity(
    similarities: Mapping[str, np.ndarray], shares: Sequence[float] = SHARES, *, resamples: int = 2000, seed: int = 0
) -> dict[str, SanityCheck]:
    """Each explanation over all its images (images, shares), with intervals from seeded bootstrap samples of images."""
    return {name: _check(name, values, tuple(shares), resamples, seed) for name, values in similarities.items()}


def _check(method: str, values: np.ndarray, shares: tuple[float, ...], resamples: int, seed: int) -> SanityCheck:
    require_finite("The similarities", values)
    drawn = stream("images under random weights", seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975), axis=0)
    similarity = tuple(
        Gain(mean=float(mean), low=float(bottom), high=float(top))
        for mean, bottom, top in zip(values.mean(axis=0), low, high, strict=True)
    )
    outcome: SanityOutcome = "undecided"
    if len(values) < FEWEST_IMAGES:
        outcome = "too few images"
    elif high[-1] < STAYS or low[-1] > STAYS:
        outcome = "changes" if high[-1] < STAYS else "hardly changes"
    return SanityCheck(method=method, count=len(values), shares=shares, similarity=similarity, outcome=outcome)
