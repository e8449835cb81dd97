"""The parts of the Attention page: each takes the view and gives what is shown, for the screen and for the export."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.data.transforms import shared_part
from core.figures.attention import plot_attention_distance, plot_predictions
from core.figures.overlay import centre, difference, dim_outside, overlay, scale_of
from core.methods.accuracy.predictions import top_predictions
from core.methods.attention.attention import (
    attention_distance,
    attention_entropy,
    attention_mass,
    readout_maps,
    shown_map,
)
from core.methods.attention.explanations import explanations_for
from pages.shared.cache import (
    display_photo,
    explanation_of,
    loaded_model,
    logits_of,
    maps_of,
    mosaic_of,
    reader_name,
    rollout_of,
)
from pages.shared.pickers import Picture
from pages.shared.views import AttentionView, ViewPart, as_table

CELL, GAP = 72, 4  # of the mosaic, in pixels


def look_part(view: AttentionView, picture: Picture) -> ViewPart:
    """The map on the photo, the mosaic it is chosen from, and the film's numbers."""
    maps = maps_of(view.model, picture.digest, picture.image)
    values = shown_map(maps, view.layer, view.head, view.patch, view.direction)
    photo = display_photo(loaded_model(view.model), picture.digest, picture.image, as_seen=view.as_seen)
    return ViewPart(
        pictures={
            "map": overlay(photo, values, signed=maps.signed, smooth=not view.as_seen),
            "mosaic": mosaic_of(view.model, picture.digest, CELL, False, picture.image),
        },
        arrays={
            "map": values,
            "readout": readout_maps(maps),
            "rollout": rollout_of(view.model, picture.digest, "mean", 0.0, True, picture.image),
        },
        table=as_table({"map": values}),
        facts={"grid": maps.grid, "reads": reader_name(maps), "signed": maps.signed},
    )


def explanations_part(view: AttentionView, picture: Picture) -> ViewPart:
    """A heat map for every method that suits the model."""
    model = loaded_model(view.model)
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


def mass_part(view: AttentionView, picture: Picture) -> ViewPart:
    """The fewest patches that hold a share of the last layer's attention, for all heads and for each."""
    maps = maps_of(view.model, picture.digest, picture.image)
    photo = display_photo(loaded_model(view.model), picture.digest, picture.image)
    last = np.abs(readout_maps(maps)[-1])
    cells = {"all_heads": last.mean(axis=0)} | {f"head_{head + 1}": last[head] for head in range(maps.heads)}
    pictures, captions, arrays = {}, {}, {}
    for cell, values in cells.items():
        mask = attention_mass(values, view.mass)
        pictures[f"mass_{cell}"], arrays[f"mass_{cell}"] = dim_outside(photo, mask), mask
        captions[f"mass_{cell}"] = f"{cell.replace('_', ' ')}: {mask.sum()} of {mask.size} patches"
    return ViewPart(pictures=pictures, captions=captions, arrays=arrays, table=as_table(arrays))


def distance_part(view: AttentionView, picture: Picture) -> ViewPart:
    """How far every head looks, and how spread its attention is."""
    maps, model = maps_of(view.model, picture.digest, picture.image), loaded_model(view.model)
    size = model.network.preprocessing.size
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
    model = loaded_model(view.model)
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
        sides.append((values / values.sum() * values.size, display_photo(loaded_model(name), side.digest, side.image)))
    scale = (0.0, max(scale_of(density)[1] for density, _ in sides))
    pictures, captions, arrays = {}, {}, {}
    for place, name, side, (density, photo) in zip(("first", "second"), names, (picture, other), sides, strict=True):
        pictures[place], arrays[f"density_{place}"] = overlay(photo, density, scale=scale), density
        peak = f"at its peak {density.max():.1f}× an even spread"
        captions[place] = f"{loaded_model(name).spec.title} – {side.title}; {peak}"
    shown = ViewPart(pictures=pictures, captions=captions, arrays=arrays, table=as_table(arrays))
    return shown.beside(_model_difference(names, picture, sides)) if two_models else shown


def _model_difference(names: tuple[str, str], picture: Picture, sides: list[tuple[np.ndarray, np.ndarray]]) -> ViewPart:
    # Models cut the photo differently: compare the part that both see.
    shares = shared_part(picture.image.size, [loaded_model(name).network.preprocessing for name in names])
    common = [centre(density, share) for (density, _), share in zip(sides, shares, strict=True)]
    distances, titles = [], []
    for name in names:
        maps, model = maps_of(name, picture.digest, picture.image), loaded_model(name)
        distances.append(attention_distance(maps, 100 / maps.grid[0]))
        titles.append(f"{model.spec.title} ({model.network.preprocessing.size} px)")
    figure = plot_attention_distance(distances, titles, image_size=100)
    figure.update_yaxes(title="mean attention distance (% of the side)")
    return ViewPart(
        pictures={"difference": difference(centre(sides[0][1], shares[0]), *common)},
        captions={"difference": "Difference: red where the second looks more, blue less"},
        arrays={"distance_first": distances[0], "distance_second": distances[1]},
        figures={"compare_distance": figure},
    )
