"""Images and captions in one plane by PCA, t-SNE or UMAP, before an alignment and after it, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.methods.embeddings.embedding import Method, PlaneConfig, place
from core.methods.modality_gap.alignment import VARIANTS, Variant, fit_alignment
from core.methods.modality_gap.modality_gap import Pairs
from core.methods.modality_gap.procrustes import unit_vectors
from core.reports import OnProgress, silent


@dataclass(frozen=True, kw_only=True)
class SidePlane:
    """Both clouds in a plane that was found for them together.

    Attributes:
        images: (n, 2) float32.
        captions: (sentences, 2) float32: each sentence is one point, however many images have it.
        classes: (sentences,) the class of each.
        neighbours_across: of the images, the share whose nearest other point, in all dimensions, is a caption; chance
            is the share of captions among all other points. 0 where the clouds lie apart.
        by_chance: what it would be if captions lay among the images at random.
        note: what was done otherwise than asked, and why; empty if nothing.
        explained: for PCA, the share of the variance on each axis; else empty.
    """

    images: np.ndarray
    captions: np.ndarray
    classes: np.ndarray
    neighbours_across: float
    by_chance: float
    note: str = ""
    explained: tuple[float, ...] = ()


def planes_beside(
    fitted: Pairs,
    held_out: Pairs,
    variant: Variant,
    *,
    method: Method = "pca",
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> tuple[SidePlane, SidePlane]:
    """The held-out pairs as given, and moved by `variant`, which is fitted on the others.

    Each plane is found for what it shows: places in one mean nothing in the other, what lies beside what does.
    """
    found = []
    for number, each in enumerate((VARIANTS["before"], variant)):
        alignment = fit_alignment(fitted.images, fitted.texts, each)
        images = unit_vectors(alignment.move_images(held_out.images))
        sentences = np.unique(np.stack([held_out.labels, held_out.chosen], axis=1), axis=0)
        captions = unit_vectors(alignment.move_texts(held_out.captions[sentences[:, 0], sentences[:, 1]]))
        both = np.concatenate([images, captions])
        title = "before" if number == 0 else "after"

        def tell(share: float, text: str, number: int = number, title: str = title) -> None:
            on_progress((number + share) / 2, f"{title}, {text}")

        plane = place(both, PlaneConfig(method=method, perplexity=_perplexity(len(both)), seed=seed), on_progress=tell)
        across, chance = _across(images, captions)
        found.append(
            SidePlane(
                images=plane.coordinates[: len(images)],
                captions=plane.coordinates[len(images) :],
                classes=sentences[:, 0],
                neighbours_across=across,
                by_chance=chance,
                note=plane.note,
                explained=plane.explained,
            )
        )
    return found[0], found[1]


def side_arrays(sides: tuple[SidePlane, SidePlane]) -> dict[str, np.ndarray]:
    """The places of both clouds on both sides, by name."""
    named = zip(("before", "after"), sides, strict=True)
    return {
        f"{title}_{cloud}": places
        for title, side in named
        for cloud, places in (("images", side.images), ("captions", side.captions))
    }


def _perplexity(count: int) -> float:
    """Thirty neighbours, as usual, or as many as few points allow."""
    return float(np.clip((count - 1) / 3, 2, 30))


def _across(images: np.ndarray, captions: np.ndarray) -> tuple[float, float]:
    """How many images have a caption as their nearest point, and how many would by chance."""
    own = images @ images.T
    np.fill_diagonal(own, -np.inf)
    nearer = (images @ captions.T).max(axis=1) > own.max(axis=1)
    return float(nearer.mean()), len(captions) / (len(images) - 1 + len(captions))
