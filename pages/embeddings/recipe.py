"""Pictures on a plane. Run it in Vitrine's folder: python embeddings.py"""

from pathlib import Path
from typing import Any

import numpy as np

from core.data.pictures import open_picture, open_set
from core.data.vector_sets import vector_table
from core.data.vectors import write_vectors
from core.figures.embedding import Outlines, label_palette, plot_plane, share_groups
from core.methods.embeddings.embedding import TITLES, PlaneConfig, align, given_plane, place
from core.methods.embeddings.embedding_quality import (
    Neighbours,
    agreement,
    directions,
    faithfulness,
    nearest,
    neighbours_right,
    overlap,
)
from core.methods.embeddings.features import FeaturePooling
from core.methods.embeddings.layer_features import Readout, extract_layers, find_readouts
from core.methods.embeddings.search import best, image_query, search, text_query
from core.models.weights import load
from core.reports import finish

# --- Settings ---
PICTURES = "views:3/0"  # VIEWS/SEED of the bundled photos, data:DATASET/SPLIT/COUNT/SEED, a folder, vectors:FILE
CUTS: list[tuple[str, int, FeaturePooling]] = [
    ("cnn_small", 0, "mean"),
    ("cnn_small", 4, "mean"),
]  # model, layer, pooling; a file of vectors has no model
FILM = True  # each plane begins where the one before ended, and none looks smaller because of a few far points
PLANE: dict[str, Any] = {"method": "pca"}
PLACED = False  # at the places that came with the vectors
COLOUR = "Label"  # or Split, Condition, Neighbours with its label
OUTLINE = ""  # the same
FIND = ""  # text:WORDS or image:PICTURE, ranked by the last of the cuts, words by its embeddings
# --- End of settings ---

pictures, config = finish(open_set(PICTURES)), PlaneConfig(**PLANE)
planes: list[np.ndarray] = []
spaces = []
before = None


def vectors_of(name: str, layer: int, pooling: FeaturePooling) -> np.ndarray:
    """(pictures, dim) features, from the cache where they were computed before."""
    if not name and pictures.vectors is not None:
        return pictures.vectors
    model = load(name)
    preprocessing = model.network.preprocessing
    cut = Readout(layer=layer, pooling=pooling)
    extraction = extract_layers(
        model.module,
        pictures.source(preprocessing.size),
        cuts=(cut,),
        known=find_readouts(model.module, preprocessing.size),
        model=name,
        size=preprocessing.size,
        normalisation=preprocessing.normalisation,
    )
    return finish(extraction)[cut].vectors


def painted(what: str, near: Neighbours) -> tuple[np.ndarray, list[str], list[str]]:
    """Codes of all pictures, what each means, and its colour."""
    for each in pictures.attributes:
        if each.title == what:
            return each.codes, list(each.values), label_palette(len(each.values))
    if what.startswith("Neighbours"):
        return share_groups(agreement(near, pictures.labels), min(10, near.count))
    present, codes = np.unique(pictures.labels, return_inverse=True)
    words = [pictures.classes[label] if pictures.classes else "pictures" for label in present]
    return codes, words, label_palette(len(present))


for name, layer, pooling in CUTS:
    features = vectors_of(name, layer, pooling)
    placed = PLACED and pictures.positions is not None
    plane = given_plane(pictures.positions) if placed else place(features, config, start=before if FILM else None)
    before = plane.coordinates
    planes.append(align(before, planes[-1]) if planes else before)
    spaces.append(nearest(directions(features), 10))
    model = load(name) if name else None
    known = find_readouts(model.module, model.network.preprocessing.size) if model else None
    cut = Readout(layer=layer, pooling=pooling)
    title = f"{model.spec.title}, {known.title(cut)}" if model and known else "The vectors of the file"
    right = neighbours_right(spaces[-1], pictures.labels).mean() if pictures.labelled else float("nan")
    print(f"{title}: {features.shape}, neighbours right {right:.1%}")
    print(faithfulness(directions(features), plane.coordinates))
    if plane.note:
        print(plane.note)
    codes, legend, palette = painted(COLOUR, spaces[-1])
    rims, rim_legend, inks = painted(OUTLINE, spaces[-1])
    scale = max(float(np.quantile(np.linalg.norm(planes[-1], axis=1), 0.95)), 1e-6) if FILM else 1.0
    np.save(f"plane_{len(planes)}.npy", planes[-1] / scale)
    figure = plot_plane(
        planes[-1] / scale,
        ids=pictures.ids,
        codes=codes,
        legend=legend,
        palette=palette,
        outlines=Outlines(codes=rims, legend=rim_legend, palette=inks) if OUTLINE else None,
        method=TITLES[config.method],
    )
    figure.write_html(f"plane_{len(planes)}.html")
    kept = write_vectors(vector_table(pictures, features, planes[-1] / scale), "npz")
    Path(f"vectors_{len(planes)}.npz").write_bytes(kept)
if len(spaces) > 1:
    print(f"neighbours in common, first and last: {overlap(spaces[0], spaces[-1]).mean():.1%}")
if FIND:
    kind, separator, sought = FIND.partition(":")
    name, layer, pooling = CUTS[-1]
    model = load(name)
    size = model.network.preprocessing.size
    known = find_readouts(model.module, size)
    if kind == "text":
        query, pooling = text_query(model.module, sought), "embedding"  # type: ignore[arg-type]
    else:
        query = image_query(
            model.module,
            open_picture(sought),
            Readout(layer=layer, pooling=pooling),
            known,
            size=size,
            normalisation=model.network.preprocessing.normalisation,
        )
    found = search(query, vectors_of(name, known.at("late") if kind == "text" else layer, pooling))
    for rank, picture, similarity in best(found, pictures.ids, 24):
        print(f"{rank:3}  {similarity:6.3f}  {picture}")
