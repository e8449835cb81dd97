"""t-SNE and UMAP of 10,000 features of 512 dimensions on two cores: which library, which of its ways.

python -m benchmarks.embedding [--images 10000] [--dim 512] [--threads 2]

The features are drawn: 20 classes, spectrum falling as 1/k, as features of networks do. All t-SNEs work on the first
50 principal components, begin with PCA, perplexity 30, 750 steps; UMAP: 15 neighbours, the library's number of epochs.
Seconds of CPU are given beside seconds of the clock, because other work may share the cores. Before the clock starts
each has run once on 300 images, so that most of the compiling is not counted (UMAP's search for neighbours among many
compiles in the first row that needs it, `umap_learn`). Ratios are to scikit-learn.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.report import machine, parse, write
from core.methods.embeddings.embedding import PlaneConfig, place, principal_components
from core.methods.embeddings.embedding_quality import directions, faithfulness, nearest, neighbours_right

CLASSES = 20


def drawn_features(count: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(images, dim) float32 and (images,) labels: Gaussian classes that overlap a little."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    spectrum = 1 / np.sqrt(np.arange(1, dim + 1))
    centres = random.normal(size=(CLASSES, dim)) * spectrum
    spread = random.normal(size=(count, dim)) * spectrum * 0.8
    return (centres[labels] + spread).astype(np.float32), labels


def variants(threads: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Every way to draw (images, dim) on a plane that is compared."""
    from openTSNE import TSNE
    from sklearn.manifold import TSNE as ScikitTSNE
    from umap import UMAP

    def first_50(points: np.ndarray) -> np.ndarray:
        return principal_components(points, 50)[0]

    def ours(**settings: object) -> Callable[[np.ndarray], np.ndarray]:
        return lambda points: place(points, PlaneConfig(**settings)).coordinates  # type: ignore[arg-type]

    def opentsne(gradient: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda points: np.asarray(
            TSNE(negative_gradient_method=gradient, n_jobs=threads, random_state=0).fit(first_50(points))
        )

    def scikit(dimensions: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda points: ScikitTSNE(
            n_components=dimensions, max_iter=750, n_jobs=threads, random_state=0
        ).fit_transform(first_50(points))

    return {
        "scikit_learn_tsne": scikit(2),
        "opentsne_barnes_hut": opentsne("bh"),
        "opentsne_fft": opentsne("fft"),
        "vitrine_tsne": ours(method="tsne"),
        "umap_learn": lambda points: UMAP(n_jobs=threads).fit_transform(points),
        "umap_learn_seeded": lambda points: UMAP(random_state=0).fit_transform(points),
        "umap_learn_seeded_pca50": lambda points: UMAP(random_state=0).fit_transform(first_50(points)),
        "vitrine_umap": ours(method="umap"),
        "vitrine_pca": ours(method="pca"),
    }


def measured(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, dict[str, float]]:
    """What `work` returns, and its seconds by the clock and of the CPU."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, {
        "seconds": max(0.01, round(time.perf_counter() - clock, 2)),  # ratios are taken of these
        "cpu_seconds": max(0.01, round(time.process_time() - processor, 2)),
    }


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/embedding.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parse(parser, words, images=400, dim=16, threads=1)
    warnings.filterwarnings("ignore", message=".*n_jobs.*")
    torch.set_num_threads(arguments.threads)
    where = machine()
    features, labels = drawn_features(arguments.images, arguments.dim)
    small, _ = drawn_features(300, arguments.dim)
    points = directions(features)
    rows: dict[str, dict[str, float]] = {}
    for name, draw in variants(arguments.threads).items():
        _, first = measured(lambda draw=draw: draw(small))  # type: ignore[misc]
        plane, row = measured(lambda draw=draw: draw(points))  # type: ignore[misc]
        kept = faithfulness(points, plane)
        assert kept is not None
        rows[name] = {
            **row,
            "first_call_on_300_seconds": first["seconds"],
            "neighbour_accuracy": round(float(neighbours_right(nearest(plane, 10), labels).mean()), 4),
            "trustworthiness": round(kept.trustworthiness, 4),
            "continuity": round(kept.continuity, 4),
            "kept": round(kept.kept, 4),
        }
        print(name, rows[name], flush=True)
    base = rows["scikit_learn_tsne"]
    write(
        "embedding",
        {
            "images": arguments.images,
            "dim": arguments.dim,
            "classes": CLASSES,
            "neighbour_accuracy_of_the_features": float(neighbours_right(nearest(points, 10), labels).mean()),
            "planes": rows,
            "faster_than_scikit_learn_tsne": {
                name: {
                    "clock": round(base["seconds"] / row["seconds"], 2),
                    "cpu": round(base["cpu_seconds"] / row["cpu_seconds"], 2),
                }
                for name, row in rows.items()
            },
            "quality_over": "5,000 of the images, 10 neighbours",
            "machine": where,
        },
        quick=arguments.quick,
    )


if __name__ == "__main__":
    main()
