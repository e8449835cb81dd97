"""What style transfer minimises, by the definitions of the paper and for many pictures at once.

Gatys, Ecker & Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks" (the journal's arXiv:1508.06576).
The paper's constants are kept: PyTorch's tutorial divides a Gram matrix by N·M and takes the mean of squares, which is
4/N² of the paper's E, another factor for every layer, so that layer weights of the one mean nothing in the other.
"""

from __future__ import annotations

from torch import Tensor


def gram_matrices(maps: Tensor) -> Tensor:
    """G = F Fᵀ of every picture: maps (batch, N, height, width) → (batch, N, N), summed over the M positions."""
    flat = maps.flatten(2)
    return flat @ flat.transpose(1, 2)


def content_losses(maps: Tensor, wanted: Tensor) -> Tensor:
    """½ Σ (F − P)² of every picture, (batch,)."""
    return 0.5 * (maps - wanted).square().flatten(1).sum(dim=1)


def style_layer_losses(maps: Tensor, wanted: Tensor) -> Tensor:
    """E = Σ (G − A)² / (4 N² M²) of every picture, (batch,).

    Args:
        maps: (batch, N, height, width) of the pictures.
        wanted: (batch or 1, N, N) Gram matrices A of the style, of maps of the same size.
    """
    channels, positions = maps.shape[1], maps.shape[2] * maps.shape[3]
    # Divided first: sums over positions squared leave half precision, and lose digits in single.
    difference = (gram_matrices(maps) - wanted) / (2 * channels * positions)
    return difference.square().flatten(1).sum(dim=1)


def total_variations(images: Tensor) -> Tensor:
    """Σ (x − right neighbour)² + Σ (x − lower neighbour)² of every picture, (batch,).

    The paper has no such term; Mahendran & Vedaldi 2015 (arXiv:1412.0035, β = 2) keep grain down with it.
    """
    across = images.diff(dim=3).square().flatten(1).sum(dim=1)
    return across + images.diff(dim=2).square().flatten(1).sum(dim=1)
