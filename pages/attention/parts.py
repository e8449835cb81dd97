"""The parts of the Attention page: each takes the view and gives what is shown, for the screen and for the export."""

from __future__ import annotations

import numpy as np
import pandas as pd
from PIL import Image

from core.data.transforms import shared_part
from core.figures.attention import plot_attention_distance, plot_predictions
from core.figures.overlay import centre, difference, dim_outside, mosaic, overlay, scale_of
from core.methods.accuracy.predictions import top_predictions
from core.methods.attention.attention import (
    attention_distance,
    attention_entropy,
    masses,
    readout_maps,
    shown_map,
)
from core.methods.attention.explanations import explanations_for
from core.methods.attention.rollout import rollout_to
from pages.components.attention.packing import PackedMaps, pack
from pages.shared.cache import (
    described_model,
    display_photo,
    explanation_of,
    logits_of,
    maps_of,
    reader_name,
    rollout_of,
)
from pages.shared.pickers import Picture
from pages.shared.results import shared
from pages.shared.views import AttentionView, ViewPart, as_table

CELL = 72  # of the mosaic, in pixels


@shared("Drawing every head …", most=24)
def mosaic_of(name: str, digest: str, cell: int, mass: float, _image: Image.Image) -> np.ndarray:
    """The picture of every layer and head; below 1, of the patches that hold this `mass` of each."""
    maps = readout_maps(maps_of(name, digest, _image))
    photo = display_photo(described_model(name), digest, _image)
    masks = masses(maps, mass) if mass < 1 else None
    return mosaic(photo, maps, cell=cell, signed=maps_of(name, digest, _image).signed, masks=masks)


@shared("Packing the attention …", most=4)
def packed_of(name: str, digest: str, _image: Image.Image) -> PackedMaps:
    """The attention of one photo as files for the browser."""
    return pack(maps_of(name, digest, _image))


def map_of(view: AttentionView, picture: Picture) -> np.ndarray:
    """The map on the photo, (rows, columns): attention of a layer, or rollout up to it."""
    maps = maps_of(view.model, picture.digest, picture.image)
    if view.kind == "rollout":
        return rollout_to(maps, view.layer, view.head, view.patch)
    return shown_map(maps, view.layer, view.head, view.patch, view.direction)


def look_part(view: AttentionView, picture: Picture) -> ViewPart:
    """The map on the photo, the mosaic it is chosen from, and the film's numbers."""
    maps, values = maps_of(view.model, picture.digest, picture.image), map_of(view, picture)
    photo = display_photo(described_model(view.model), picture.digest, picture.image, as_seen=view.as_seen)
    arrays = {
        "map": values,
        "readout": readout_maps(maps),
        "rollout": rollout_of(view.model, picture.digest, "mean", 0.0, True, picture.image),
    }
    if view.mass < 1:
        arrays |= {"mask": masses(values, view.mass), "masks": masses(readout_maps(maps), view.mass)}
        shown = dim_outside(photo, arrays["mask"])
    else:
        signed = maps.signed and view.kind == "attention"
        shown = overlay(photo, values, signed=signed, smooth=not view.as_seen)
    return ViewPart(
        pictures={"map": shown, "mosaic": mosaic_of(view.model, picture.digest, CELL, view.mass, picture.image)},
        arrays=arrays,
        table=as_table({"map": values}),
        facts={"grid": maps.grid, "reads": reader_name(maps), "signed": maps.signed},
    )


def explanations_part(view: AttentionView, picture: Picture) -> ViewPart:
    """A heat map for every method that suits the model."""
    model = described_model(view.model)
    photo = display_photo(model, picture.digest, picture.image)
    pictures, captions, arrays = {}, {}, {}
    for method in explanations_for(model.spec):
        if method.name == "rollout":
            choice = (view.fusion, view.discard, view.residual)
            values = rollout_of(view.model, picture.digest, *choice, picture.image)[-1]
        else:
            values = explanation_of(view.model, picture.digest, method.name, view.class_index, picture.image)
        pictures[method.name], captions[method.name] = overlay(photo, values), method.title
        arrays[f"explanation_{method.name}"] = values
    return ViewPart(pictures=pictures, captions=captions, arrays=arrays, table=as_table(arrays))


def distance_part(view: AttentionView, picture: Picture) -> ViewPart:
    """How far every head looks, and how spread its attention is."""
    maps, model = maps_of(view.model, picture.digest, picture.image), described_model(view.model)
    size = model.preprocessing.size
    distances, entropy = attention_distance(maps, size / maps.grid[0]), attention_entropy(maps)
    layer, head = np.divmod(np.arange(distances.size), maps.heads)
    return ViewPart(
        figures={"distance": plot_attention_distance([distances], [model.spec.title], image_size=size)},
        arrays={"distance_px": distances, "entropy_bits": entropy},
        table=pd.DataFrame(
            {
                "layer": layer + 1,
                "head": head + 1,
                "distance_px": distances.ravel(),
                "entropy_bits": entropy.ravel(),
            }
        ),
    )


def predictions_part(view: AttentionView, picture: Picture) -> ViewPart:
    """The likeliest classes; nothing for a backbone without a head."""
    model = described_model(view.model)
    if model.spec.lacks("classifier"):
        return ViewPart()
    logits = logits_of(view.model, picture.digest, picture.image)
    options = top_predictions(logits, model.classes)
    return ViewPart(
        figures={"predictions": plot_predictions(options)},
        arrays={"logits": logits},
        table=pd.DataFrame([vars(option) for option in options]),
    )


def compare_part(view: AttentionView, picture: Picture, other: Picture) -> ViewPart:
    """Two models or two images on one scale, and for two models their difference.

    `other`: the second image; the first again where a second model is compared.
    """
    two_models = view.beside == "Another model"
    names = (view.model, view.other if two_models else view.model)
    sides = []
    for name, side in zip(names, (picture, other), strict=True):
        if view.compared == "Rollout":
            values = rollout_of(name, side.digest, "mean", 0.0, True, side.image)[-1]
        else:
            values = np.abs(readout_maps(maps_of(name, side.digest, side.image))[-1]).mean(axis=0)
        # Shares per unit of area, so that 64 patches and 256 patches can share one scale.
        sides.append(
            (values / values.sum() * values.size, display_photo(described_model(name), side.digest, side.image))
        )
    scale = (0.0, max(scale_of(density)[1] for density, _ in sides))
    pictures, captions, arrays = {}, {}, {}
    for place, name, side, (density, photo) in zip(("first", "second"), names, (picture, other), sides, strict=True):
        pictures[place], arrays[f"density_{place}"] = overlay(photo, density, scale=scale), density
        peak = f"at its peak {density.max():.1f}× an even spread"
        captions[place] = f"{described_model(name).spec.title} – {side.title}; {peak}"
    shown = ViewPart(pictures=pictures, captions=captions, arrays=arrays, table=as_table(arrays))
    return shown.beside(_model_difference(names, picture, sides)) if two_models else shown


def _model_difference(names: tuple[str, str], picture: Picture, sides: list[tuple[np.ndarray, np.ndarray]]) -> ViewPart:
    # Models cut the photo differently: compare the part that both see.
    shares = shared_part(picture.image.size, [described_model(name).preprocessing for name in names])
    common = [centre(density, share) for (density, _), share in zip(sides, shares, strict=True)]
    distances, titles = [], []
    for name in names:
        maps, model = maps_of(name, picture.digest, picture.image), described_model(name)
        distances.append(attention_distance(maps, 100 / maps.grid[0]))
        titles.append(f"{model.spec.title} ({model.preprocessing.size} px)")
    figure = plot_attention_distance(distances, titles, image_size=100)
    figure.update_yaxes(title="mean attention distance (% of the side)")
    return ViewPart(
        pictures={"difference": difference(centre(sides[0][1], shares[0]), *common)},
        captions={"difference": "Difference: red where the second looks more, blue less"},
        arrays={"distance_first": distances[0], "distance_second": distances[1]},
        figures={"compare_distance": figure},
    )
