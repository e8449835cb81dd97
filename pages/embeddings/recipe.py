"""The Embeddings page as a script; the tests run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from core.methods.embeddings.embedding import TITLES, PlaneConfig
from pages.embeddings.spaces import Asked

_SCRIPT = '''"""Pictures on a plane. Run it in Vitrine's folder: python embeddings.py"""

import numpy as np

{imports}
from core.figures.embedding import label_palette, plot_plane
from core.methods.embeddings.embedding import PlaneConfig, align, place
from core.methods.embeddings.embedding_quality import directions, faithfulness, nearest, neighbours_right, overlap
from core.methods.embeddings.layer_features import Cut, extract_layers, find_cuts
from core.models.weights import load
from core.reports import finish

{pictures}
config = PlaneConfig({config})
planes, spaces, before = [], [], None
for name, layer, pooling in {asked}:
    model = load(name)
    size = model.network.preprocessing.size
    known, cut = find_cuts(model.module, size), Cut(layer=layer, pooling=pooling)
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
    # A film's frame begins where the one before ended.
    plane = place(features, config, start=before if {film} else None)
    before = plane.coordinates
    planes.append(align(before, planes[-1]) if planes else before)
    spaces.append(nearest(directions(features), 10))
    title = f"{{model.spec.title}}, {{known.title(cut)}}"
    right = neighbours_right(spaces[-1], pictures.labels).mean() if pictures.labelled else float("nan")
    print(f"{{title}}: {{features.shape}}, neighbours right {{right:.1%}}")
    print(faithfulness(directions(features), plane.coordinates))
    if plane.note:
        print(plane.note)
    present = sorted(set(pictures.labels.tolist()))
    # No frame of a film looks smaller than another because of a few far points.
    size = max(float(np.quantile(np.linalg.norm(planes[-1], axis=1), 0.95)), 1e-6) if {film} else 1.0
    np.save(f"plane_{{len(planes)}}.npy", planes[-1] / size)
    figure = plot_plane(
        planes[-1] / size,
        ids=pictures.ids,
        codes=[present.index(label) for label in pictures.labels],
        legend=[pictures.classes[label] if pictures.classes else "pictures" for label in present],
        palette=label_palette(len(present)),
        method="{method}",
    )
    figure.write_html(f"plane_{{len(planes)}}.html")
if len(spaces) > 1:
    print(f"neighbours in common, first and last: {{overlap(spaces[0], spaces[-1]).mean():.1%}}")
'''


def embeddings_recipe(address: str, asked: Sequence[Asked], config: PlaneConfig, *, film: bool) -> str:
    """Features, planes and figures of the page; `film`: each plane begins with the one before."""
    imports, pictures = _pictures(address)
    settings = ", ".join(f"{name}={value!r}" for name, value in asdict(config).items())
    rows = [(each.model, each.cut.layer, each.cut.pooling) for each in asked]
    return _SCRIPT.format(
        imports=imports, pictures=pictures, config=settings, asked=repr(rows), film=film, method=TITLES[config.method]
    )


def _pictures(address: str) -> tuple[str, str]:
    """Imports, and the lines that make `pictures`."""
    kind, _, rest = address.partition(":")
    if kind == "data":
        name, split, count, seed = rest.split("/")
        return (
            "from core.data.image_sets import dataset_sample",
            f"pictures = finish(dataset_sample({name!r}, {split!r}, {count}, {seed}))",
        )
    if kind == "views":
        views, seed = rest.split("/")
        return (
            "from core.data.examples import EXAMPLES, load_example\nfrom core.data.image_sets import view_set",
            "photos = [(example.title, load_example(example.name)) for example in EXAMPLES.values()]\n"
            f'pictures = finish(view_set(photos, {views}, seed={seed}, name="{address}", title="Views"))',
        )
    return (
        "from core.data.image_sets import folder_photos, photo_set",
        "# Your photos, saved in a folder beside this script; its subfolders are the labels.\n"
        'photos, classes = folder_photos("photos", 10_000, 0)\n'
        'pictures = finish(photo_set(photos, classes, name="photos", title="My photos"))',
    )
