"""Images and captions pulled together in one space, where several captions of a batch may be true of an image.

With 210 classes most batches hold several images of a class, and captions such as "a photo of an animal." are true of
half of them. Plain CLIP would push those apart. So a pair is a positive wherever the caption is true of the image, and
what one cannot know takes no part.

Sources: Radford et al. 2021, arXiv:2103.00020 (the symmetric softmax); Yang et al. 2022, arXiv:2204.03610, eq. 2 to 4
(UniCL: several positives); Zhai et al. 2023, arXiv:2303.15343 (the sigmoid).
Differs from the papers: truth comes from WordNet's tree instead of equal labels, with a third value, unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.captions import CaptionTable
from core.device import send
from core.seeding import stream
from core.training.batches import Batch

Loss = Literal["softmax", "sigmoid"]
# CLIP's bound on exp(logit_scale), "to prevent training instability".
LARGEST_SCALE = 100.0


def softmax_losses(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean of both directions, for each image and the caption at its place.

    Each row's (and each column's) target is spread evenly over its positives; with one positive each this is CLIP's.

    Args:
        logits: (pairs, pairs), images by captions.
        truth: the same shape: 1 true, 0 false, -1 unknown; the diagonal is true.

    Returns:
        (pairs,) in nats.
    """
    logits = logits.masked_fill(truth < 0, -torch.inf)
    true = truth > 0

    def along(dim: int) -> Tensor:
        found = torch.where(true, logits.log_softmax(dim), 0.0)
        return -found.sum(dim) / true.sum(dim)

    return (along(1) + along(0)) / 2


def sigmoid_losses(logits: Tensor, truth: Tensor) -> Tensor:
    """Of each image: the summed binary cross-entropies of all captions whose truth is known; arguments as above."""
    signs = truth.sign().to(logits.dtype) * 2 - 1  # 1 true, -1 false
    losses = -F.logsigmoid(signs * logits)
    return torch.where(truth >= 0, losses, 0.0).sum(dim=1)


class ZeroShot(nn.Module):
    """Images → logits over classes that are given as texts."""

    def __init__(self, model: Any, vectors: Tensor) -> None:
        """vectors: (classes, dim) of unit length."""
        super().__init__()
        self.model = model
        self.register_buffer("vectors", vectors)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) → (batch, classes)."""
        features = F.normalize(self.model.encode_image(images).float(), dim=-1)
        return self.model.logit_scale.exp() * features @ self.vectors.T


@torch.inference_mode()
def class_vectors(model: Any, prompts: Tensor, batch_size: int = 512) -> Tensor:
    """The text features of each class: the mean of its prompts' unit vectors, of unit length again (prompt ensembling).

    `prompts`: (classes, prompts, length) ids → (classes, dim).
    """
    model.eval()
    device = model.logit_scale.device
    parts = [model.encode_text(ids.to(device)).float() for ids in prompts.flatten(0, 1).split(batch_size)]
    features = F.normalize(torch.cat(parts), dim=-1).unflatten(0, prompts.shape[:2])
    return F.normalize(features.mean(dim=1), dim=-1)


class Contrastive:
    """The objective of a CLIP (open_clip's modules): a caption is drawn for each image, and all are told apart.

    Of several processes each contrasts its own share of a batch.
    """

    has_hits = True

    def __init__(
        self, captions: CaptionTable, ids: Tensor, prompts: Tensor, *, loss: Loss, groups: np.ndarray | None = None
    ) -> None:
        """Keep what the batches are captioned with.

        Args:
            ids: (captions, length) int: `captions.texts` tokenised.
            prompts: (classes, prompts, length) int: how classes are asked for in validation.
            loss: "sigmoid" needs a model with a `logit_bias`.
            groups: (classes,) int: classes of other groups do not compete in validation.
        """
        self.captions, self.ids, self.prompts, self.loss = captions, ids, prompts, loss
        self.groups = None if groups is None else torch.from_numpy(groups)

    def losses(self, network: Callable[..., Any], images: Tensor, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        labels = batch.labels.cpu().numpy()
        drawn = self.captions.draw(labels, stream("captions", seed))
        truth = send(torch.from_numpy(self.captions.truth[labels][:, self.captions.said(drawn)]), images.device)
        ids = send(self.ids[torch.from_numpy(drawn)], images.device)
        image_features, text_features, scale, *bias = network(images, ids)
        image_features, text_features = (F.normalize(each.float(), dim=-1) for each in (image_features, text_features))
        logits = scale.float().clamp(max=LARGEST_SCALE) * image_features @ text_features.T
        if bias:
            logits = logits + bias[0].float()
        found = softmax_losses(logits, truth) if self.loss == "softmax" else sigmoid_losses(logits, truth)
        likeliest = logits.masked_fill(truth < 0, -torch.inf).argmax(dim=1, keepdim=True)
        return found, truth.gather(1, likeliest).squeeze(1) > 0

    def classifier(self, model: nn.Module) -> nn.Module:
        return ZeroShot(model, class_vectors(model, self.prompts))
