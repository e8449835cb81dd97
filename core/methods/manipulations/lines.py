"""What is left of a photo when its surface goes: its silhouette, its edges."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

# Below this difference of brightness over a pixel, the steepest edge of a picture is not drawn black: a plain wall
# would be all edges. Half of it is grey.
FAINT = 0.05


def silhouette(images: Tensor, strength: float) -> Tensor:
    """Black where the object is, white elsewhere, mixed with the image at `strength` percent.

    Otsu's threshold parts dark from light; the object is the side that holds less of the border. An image of one
    brightness has no object, and turns white.

    Source: Otsu 1979; scikit-image's `threshold_otsu` on 256 grey levels.
    """
    grey = _grey_levels(images)
    dark = grey <= _otsu(grey)[:, None, None]
    border = torch.cat([dark[:, 0], dark[:, -1], dark[:, 1:-1, 0], dark[:, 1:-1, -1]], dim=1)
    thing = torch.where((border.float().mean(dim=1) < 0.5)[:, None, None], dark, ~dark)
    plain = grey.flatten(1).amin(dim=1) == grey.flatten(1).amax(dim=1)
    thing &= ~plain[:, None, None]
    return _mixed(images, 1 - thing[:, None].to(images.dtype), strength)


def edges(images: Tensor, strength: float) -> Tensor:
    """Black where brightness changes, white elsewhere, mixed with the image at `strength` percent.

    Sobel's gradient over the image's steepest; the border is repeated outwards. Source: scikit-image's `sobel`.
    """
    grey = v2.rgb_to_grayscale(images)
    wide = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    down = (wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]) / 4
    along = (wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]) / 4
    across = (down[..., 2:] - down[..., :-2]).square() + (along[:, :, 2:] - along[:, :, :-2]).square()
    steep = (across / 2).sqrt()
    steepest = steep.amax(dim=(2, 3), keepdim=True).clamp_min(FAINT)
    return _mixed(images, 1 - steep / steepest, strength)


def _mixed(images: Tensor, drawn: Tensor, strength: float) -> Tensor:
    return torch.lerp(images, drawn.expand_as(images), strength / 100)


def _grey_levels(images: Tensor) -> Tensor:
    """(images, height, width) whole numbers 0 to 255."""
    return (v2.rgb_to_grayscale(images)[:, 0] * 255).round().clamp(0, 255).to(torch.int64)


def _otsu(grey: Tensor) -> Tensor:
    """(images,) the level up to which a pixel is dark: the largest variance between the two classes."""
    counts = torch.zeros(len(grey), 256, dtype=torch.float64, device=grey.device)
    pixels = grey.flatten(1)
    counts.scatter_add_(1, pixels, torch.ones_like(pixels, dtype=torch.float64))
    level = torch.arange(256, dtype=torch.float64, device=grey.device)
    below, mass = counts.cumsum(dim=1), (counts * level).cumsum(dim=1)
    above, rest = below[:, -1:] - below, mass[:, -1:] - mass
    between = below * above * (mass / below.clamp_min(1) - rest / above.clamp_min(1)) ** 2
    return between.argmax(dim=1)
