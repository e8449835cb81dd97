"""Pictures on a plane. Run it in Vitrine's folder: python embeddings.py"""

from typing import Any

import numpy as np

from core.data.pictures import open_set
from core.figures.embedding import label_palette, plot_plane
from core.methods.embeddings.embedding import TITLES, PlaneConfig, align, place
from core.methods.embeddings.embedding_quality import directions, faithfulness, nearest, neighbours_right, overlap
from core.methods.embeddings.features import FeaturePooling
from core.methods.embeddings.layer_features import Readout, extract_layers, find_readouts
from core.models.weights import load
from core.reports import finish

# --- Settings ---
PICTURES = "views:3/0"  # VIEWS/SEED of the bundled photos, or data:DATASET/SPLIT/COUNT/SEED, or a folder
CUTS: list[tuple[str, int, FeaturePooling]] = [
    ("cnn_small", 0, "mean"),
    ("cnn_small", 4, "mean"),
]  # model, layer, pooling
FILM = True  # each plane begins where the one before ended, and none looks smaller because of a few far points
PLANE: dict[str, Any] = {"method": "pca"}
# --- End of settings ---

pictures, config = finish(open_set(PICTURES)), PlaneConfig(**PLANE)
planes: list[np.ndarray] = []
spaces = []
before = None
for name, layer, pooling in CUTS:
    model = load(name)
    size = model.network.preprocessing.size
    known, cut = find_readouts(model.module, size), Readout(layer=layer, pooling=pooling)
    features = finish(
        extract_layers(
            model.module,
            pictures.source(size),
            cuts=(cut,),
            known=known,
            model=name,
            size=size,
            normalisation=model.network.preprocessing.normalisation,
        )
    )[cut].vectors
    plane = place(features, config, start=before if FILM else None)
    before = plane.coordinates
    planes.append(align(before, planes[-1]) if planes else before)
    spaces.append(nearest(directions(features), 10))
    title = f"{model.spec.title}, {known.title(cut)}"
    right = neighbours_right(spaces[-1], pictures.labels).mean() if pictures.labelled else float("nan")
    print(f"{title}: {features.shape}, neighbours right {right:.1%}")
    print(faithfulness(directions(features), plane.coordinates))
    if plane.note:
        print(plane.note)
    present = np.unique(pictures.labels)
    scale = max(float(np.quantile(np.linalg.norm(planes[-1], axis=1), 0.95)), 1e-6) if FILM else 1.0
    np.save(f"plane_{len(planes)}.npy", planes[-1] / scale)
    figure = plot_plane(
        planes[-1] / scale,
        ids=pictures.ids,
        codes=np.searchsorted(present, pictures.labels),
        legend=[pictures.classes[label] if pictures.classes else "pictures" for label in present],
        palette=label_palette(len(present)),
        method=TITLES[config.method],
    )
    figure.write_html(f"plane_{len(planes)}.html")
if len(spaces) > 1:
    print(f"neighbours in common, first and last: {overlap(spaces[0], spaces[-1]).mean():.1%}")
