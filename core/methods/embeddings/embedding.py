"""Features as points on a plane or in space: PCA, t-SNE, UMAP, and successive planes turned to fit each other.

Sources: van der Maaten & Hinton 2008 (JMLR 9:2579) and Poličar et al. 2024 (J. Stat. Softw. 109:3) for t-SNE; McInnes
et al. 2018, arXiv:1802.03426 for UMAP; Kobak & Linderman 2021 (Nat. Biotechnol. 39:156) for beginning both with PCA.

All three see directions: features at unit length, so that distance means cosine. t-SNE works on their first 50
principal components. Both neighbour methods are given exact neighbours, found once by matrix products.

Libraries were chosen by `benchmarks/embedding.py` (10,000 × 512, one thread, two cores): openTSNE's t-SNE on a grid
took 29 s, scikit-learn's 54 s, and both kept 31 % of the neighbours; openTSNE also reports its steps and takes given
neighbours. umap-learn with a seed took 9 s, or 12 s with exact neighbours, and kept 22 %; there is no other UMAP.
"""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from core.configs import check_options, option
from core.errors import CoreError, NotFiniteError, ShapeError
from core.files import replaced
from core.finite import require_finite
from core.methods.embeddings.embedding_quality import Neighbours, directions, nearest
from core.paths import cache_root
from core.reports import OnProgress, silent
from core.seeding import stream

Method = Literal["pca", "tsne", "umap"]

TITLES: dict[Method, str] = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}

_PCA_FIRST = 50
# t-SNE: iterations with exaggerated attraction, then without; reports come every so many.
_EXAGGERATED, _PLAIN, _EVERY = 250, 500, 25
# From here on interpolation on a grid is the faster approximation of t-SNE's repulsion; both took 15 s of CPU at 4,000.
_GRID_FROM = 4000
_EPOCHS = None  # of UMAP: its own choice, 500, or 200 above 10,000 images
# Below this number neighbourhoods have no structure that t-SNE or UMAP could keep.
_FEWEST = 6
# UMAP compiles itself and keeps global state; numba's threads abort the process when two threads enter them.
_UMAP = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class PlaneConfig:
    """How to draw features."""

    method: Method = option("tsne", "Method", "PCA keeps large distances, t-SNE and UMAP keep neighbours.")
    dimensions: Literal[2, 3] = option(2, "Dimensions")
    perplexity: float = option(
        30.0, "Perplexity", "t-SNE: about how many neighbours each image should keep.", minimum=2, maximum=200
    )
    neighbours: int = option(15, "Neighbours", "UMAP: how many each image should keep.", minimum=2, maximum=200)
    min_dist: float = option(
        0.1, "Minimum distance", "UMAP: how tightly points may be packed.", minimum=0.0, maximum=0.99
    )
    seed: int = option(0, "Seed", "Another one, another plane of the same features.", minimum=0, maximum=9999)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Where each image lies.

    Attributes:
        coordinates: (images, dimensions) float32, centred, with a mean squared distance of 1 from the centre.
        note: what was done otherwise than asked, and why; empty if nothing.
        explained: of the variance of the directions, the share that each axis of a PCA holds; else empty.
    """

    coordinates: np.ndarray
    note: str = ""
    explained: tuple[float, ...] = ()

    @property
    def varies(self) -> bool:
        """Whether there was anything to spread out."""
        return bool(self.coordinates.any())


def place(
    vectors: np.ndarray,
    config: PlaneConfig,
    *,
    start: np.ndarray | None = None,
    on_progress: OnProgress = silent,
) -> Plane:
    """Coordinates of every image; the same on the same machine for the same seed.

    Too few or identical images do not fail: the note says what is shown instead.

    Args:
        vectors: (images, dim) features.
        start: (images, dimensions) where t-SNE and UMAP begin, such as the plane of the layer before; PCA if None.
        on_progress: called with a share and a text; what it raises stops the work.

    Raises:
        CoreError: there are no images, or features that are not finite.
        ShapeError: the features are no matrix, or `start` is not one point for each.
    """
    points, note = _check(vectors, start, config)
    if note:
        return Plane(coordinates=np.zeros((len(points), config.dimensions), np.float32), note=note)
    on_progress(0.0, "principal components")
    components, explained = principal_components(points, max(_PCA_FIRST, config.dimensions), seed=config.seed)
    axes = _padded(components, config.dimensions)
    if config.method == "pca":
        flat = components.shape[1] < config.dimensions
        text = f"The features have {components.shape[1]} dimensions; the other axes are zero." if flat else ""
        return Plane(coordinates=_scaled(axes), note=text, explained=explained[: config.dimensions])
    if len(points) < _FEWEST:
        return Plane(
            coordinates=_scaled(axes),
            note=f"{len(points)} images are too few for {TITLES[config.method]}, which needs at least {_FEWEST}: "
            "this is their PCA.",
            explained=explained[: config.dimensions],
        )
    begin = _scaled(axes if start is None else start)
    run = _tsne if config.method == "tsne" else _umap
    coordinates, note = run(points, components, begin, config, on_progress)
    return Plane(coordinates=_scaled(coordinates), note=note)


def given_plane(positions: np.ndarray) -> Plane:
    """Places (images, 2 or 3) that somebody else computed, as a plane.

    Raises:
        ShapeError: they have another number of axes.
        NotFiniteError: one is no number.
    """
    if positions.ndim != 2 or positions.shape[1] not in (2, 3):
        raise ShapeError(f"Places of shape {positions.shape}; expected (images, 2 or 3).")
    require_finite("The places", positions)
    return Plane(coordinates=_scaled(np.asarray(positions, np.float32)), note="The places are those of the file.")


def place_once(
    vectors: np.ndarray,
    config: PlaneConfig,
    *,
    start: np.ndarray | None = None,
    on_progress: OnProgress = silent,
) -> Plane:
    """`place`, from the cache on disk where the same features were placed in the same way before."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((sorted(asdict(config).items()), vectors.shape)).encode())
    digest.update(np.ascontiguousarray(vectors, np.float32).tobytes())
    digest.update(b"" if start is None else np.ascontiguousarray(start, np.float32).tobytes())
    path = cache_root() / "planes" / f"{digest.hexdigest()}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return Plane(
                coordinates=stored["coordinates"],
                note=str(stored["note"]),
                explained=tuple(map(float, stored["explained"])),
            )
    plane = place(vectors, config, start=start, on_progress=on_progress)
    with replaced(path) as file:
        np.savez(file, coordinates=plane.coordinates, note=np.array(plane.note), explained=np.array(plane.explained))
    return plane


def principal_components(points: np.ndarray, count: int, *, seed: int = 0) -> tuple[np.ndarray, tuple[float, ...]]:
    """Scores (images, up to `count`) on the first components of (images, dim), and each one's share of the variance."""
    from sklearn.decomposition import PCA

    require_finite("The features", points)
    count = min(count, points.shape[1], len(points) - 1)
    # Of 10,000 × 512 the covariance takes a tenth of the time of a randomised solver, and is exact.
    solver = "covariance_eigh" if points.shape[1] <= 1024 else "auto"
    fitted = PCA(n_components=count, svd_solver=solver, random_state=seed).fit(points)
    shares = np.nan_to_num(fitted.explained_variance_ratio_)
    return fitted.transform(points).astype(np.float32), tuple(map(float, shares))


def align(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """`moving` (images, dimensions) turned and mirrored, not bent or resized, to lie as near to `fixed` as it can.

    Orthogonal Procrustes of the centred points; the centre becomes that of `fixed`.

    Raises:
        ShapeError: the two are not of the same shape.
    """
    if moving.shape != fixed.shape:
        raise ShapeError(f"A plane of {moving.shape} cannot be laid on one of {fixed.shape}.")
    require_finite("The plane to be turned", moving)
    require_finite("The plane that stays", fixed)
    centre = fixed.mean(axis=0)
    centred = moving - moving.mean(axis=0)
    left, _, right = np.linalg.svd(centred.T.astype(np.float64) @ (fixed - centre))
    return (centred @ (left @ right) + centre).astype(np.float32)


def _check(vectors: np.ndarray, start: np.ndarray | None, config: PlaneConfig) -> tuple[np.ndarray, str]:
    """Directions, and why there is nothing to spread out, if so."""
    if vectors.ndim != 2:
        raise ShapeError(f"Features of shape {vectors.shape}; expected (images, dim).")
    if not len(vectors):
        raise CoreError("There are no images to place.", "Choose at least one.")
    if start is not None and start.shape != (len(vectors), config.dimensions):
        raise ShapeError(f"{len(vectors)} images begin at {start.shape} points in {config.dimensions} dimensions.")
    if start is not None:
        require_finite("The plane to begin with", start)
    broken = ~np.isfinite(vectors).all(axis=1)
    if broken.any():
        raise NotFiniteError(
            f"The features of {int(broken.sum()):,} of {len(vectors):,} images are not numbers (NaN or infinite).",
            "The model's weights or its precision are at fault: choose another model or layer.",
        )
    points = directions(vectors)
    if len(points) == 1:
        return points, "One image has no neighbours: it lies in the middle."
    if float(np.abs(points).max(initial=0)) < 1e-6:
        return points, (
            f"All {len(points):,} images have the same features up to their length, so that nothing can be told apart: "
            "they all lie in the middle."
        )
    return points, ""


def _tsne(
    points: np.ndarray, components: np.ndarray, begin: np.ndarray, config: PlaneConfig, say: OnProgress
) -> tuple[np.ndarray, str]:
    from openTSNE import TSNE
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    most = (len(points) - 1) / 3
    perplexity = min(config.perplexity, most)
    note = ""
    if perplexity < config.perplexity:
        note = (
            f"A perplexity of {config.perplexity:g} needs more than {3 * config.perplexity:.0f} images; "
            f"of {len(points):,} it was lowered to {perplexity:.1f}."
        )
    near = nearest(components, int(3 * perplexity), lambda share, text: say(0.2 * share, text))
    threads = _threads()
    affinities = PerplexityBasedNN(
        knn_index=PrecomputedNeighbors(near.indices.astype(np.int64), near.distances.astype(np.float64)),
        perplexity=perplexity,
        n_jobs=threads,
    )
    calls = 0

    def report(iteration: int, error: float, embedding: np.ndarray) -> None:
        nonlocal calls
        calls += 1
        done = min(_EVERY * calls, _EXAGGERATED + _PLAIN)
        say(0.25 + 0.75 * done / (_EXAGGERATED + _PLAIN), f"t-SNE, step {done} of {_EXAGGERATED + _PLAIN}")

    found = TSNE(
        n_components=config.dimensions,
        early_exaggeration_iter=_EXAGGERATED,
        n_iter=_PLAIN,
        # The grid exists for two dimensions only.
        negative_gradient_method="fft" if config.dimensions == 2 and len(points) >= _GRID_FROM else "bh",
        callbacks=report,
        callbacks_every_iters=_EVERY,
        random_state=config.seed,
        n_jobs=threads,
    ).fit(affinities=affinities, initialization=_small(begin, config.seed))
    return np.asarray(found), note


def _umap(
    points: np.ndarray, components: np.ndarray, begin: np.ndarray, config: PlaneConfig, say: OnProgress
) -> tuple[np.ndarray, str]:
    count = min(config.neighbours, len(points) - 1)
    note = ""
    if count < config.neighbours:
        note = f"{config.neighbours} neighbours were asked for; each of {len(points):,} images has {count} others."
    near = nearest(points, count - 1, lambda share, text: say(0.2 * share, text))
    while not _UMAP.acquire(timeout=0.5):
        say(0.2, "UMAP: waiting for another one to end")
    try:
        say(0.2, "UMAP: compiling, for some seconds after the server has started")
        from umap import UMAP

        reducer = UMAP(
            n_neighbors=count,
            n_components=config.dimensions,
            min_dist=config.min_dist,
            n_epochs=_EPOCHS,
            init=10 * begin / max(float(np.abs(begin).max()), 1e-12) + _noise(begin.shape, config.seed),
            precomputed_knn=_with_self(near),
            random_state=config.seed,
            n_jobs=1,
            tqdm_kwds={"disable": False, "file": _Epochs(say), "bar_format": "{n}/{total}", "mininterval": 0.2},
        )
        with warnings.catch_warnings():
            # New images are never added to a plane, and one seeded thread is what was asked for.
            warnings.filterwarnings("ignore", message=".*(NNDescent|n_jobs|disconnected).*")
            return np.asarray(reducer.fit_transform(points)), note
    finally:
        _UMAP.release()


class _Epochs(io.TextIOBase):
    """The file that UMAP's progress bar is written to: the only place from which it can be watched or stopped."""

    def __init__(self, say: OnProgress) -> None:
        self.say = say

    def write(self, text: str) -> int:
        done, slash, total = text.strip().partition("/")
        if slash and done.isdecimal() and total.isdecimal():
            share = int(done) / max(1, int(total))
            self.say(0.25 + 0.75 * share, f"UMAP, epoch {done} of {total}")
        return len(text)


def _with_self(near: Neighbours) -> tuple[np.ndarray, np.ndarray]:
    """As UMAP counts neighbours: the first one is the point itself."""
    own = np.arange(len(near.indices), dtype=np.int32)[:, None]
    return np.hstack([own, near.indices]), np.hstack([np.zeros_like(own, np.float32), near.distances])


def _small(begin: np.ndarray, seed: int) -> np.ndarray:
    """A start as t-SNE wants it: a standard deviation of 1e-4, and no two points in one place."""
    return (begin / max(float(begin.std()), 1e-12) + _noise(begin.shape, seed)) * 1e-4


def _noise(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return stream("jitter", seed).normal(scale=1e-3, size=shape)


def _padded(components: np.ndarray, dimensions: int) -> np.ndarray:
    """The first `dimensions` columns; zeros where there are fewer."""
    missing = max(0, dimensions - components.shape[1])
    return np.pad(components[:, :dimensions], ((0, 0), (0, missing)))


def _scaled(coordinates: np.ndarray) -> np.ndarray:
    """Centred, with a mean squared distance of 1 from the centre."""
    centred = coordinates - coordinates.mean(axis=0)
    reach = float(np.sqrt((centred.astype(np.float64) ** 2).sum(axis=1).mean()))
    return (centred / max(reach, 1e-12)).astype(np.float32)


def _threads() -> int:
    """As many as PyTorch uses, which the machine's owner may have limited."""
    import torch

    return torch.get_num_threads()


def describe(config: PlaneConfig) -> dict[str, Any]:
    """The settings that matter for the method, for a caption or an export."""
    names = {"pca": (), "tsne": ("perplexity", "seed"), "umap": ("neighbours", "min_dist", "seed")}[config.method]
    values = asdict(config)
    return {"method": TITLES[config.method], **{name: values[name] for name in names}}
