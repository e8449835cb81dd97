"""What a model attends to in one photo. Run it in Vitrine's folder: python attention.py"""

from pathlib import Path

import numpy as np

from core.data.pictures import open_picture
from core.data.transforms import crop_to_square, display_preprocessing, shared_part, to_batch
from core.figures.overlay import centre, difference, dim_outside, mosaic, overlay, scale_of, to_png
from core.methods.accuracy.predictions import predict_logits, top_predictions
from core.methods.accuracy.targets import pick_target
from core.methods.attention.attention import (
    Direction,
    Fusion,
    attention_distance,
    attention_entropy,
    attention_maps,
    masses,
    readout_maps,
    shown_map,
)
from core.methods.attention.explanations import explanations_for
from core.methods.attention.rollout import rollout_maps, rollout_to
from core.models.weights import load

# --- Settings ---
MODEL = "vit_p4"
IMAGE = "example:cat"  # or data:DATASET/SPLIT/SEED/PLACE, or the file of a picture
LAYER = 5  # from 0
HEAD = "mean"  # "max" or "min" of all, or one of them, counted from 1
PATCH = -1  # in raster order; -1: what the model's head reads
DIRECTION: Direction = "to"  # what the patch attends to, or which attend to it: "from"
KIND = "attention"  # of the layer; or "rollout", from the first layer up to it
MASS = 1.0  # below 1: show the patches that hold this share of the map
AS_SEEN = False  # the photo at the model's resolution
TAB: str | None = "Explanations"  # the part of the page that follows; None: for a model without attention
CLASS_INDEX: int | None = None  # that is explained; None: the likeliest
FUSION: Fusion = "mean"  # of the heads, for the rollout among the explanations
DISCARD = 0.0
RESIDUAL = True
BESIDE = "Another model"  # or "Another image"
COMPARED = "Last-layer attention"  # or "Rollout"
OTHER = "differential_vit_p4"  # the second model, or image
# --- End of settings ---

model, image = load(MODEL), open_picture(IMAGE)
preprocessing = model.network.preprocessing
batch = to_batch([image], preprocessing)
photo = np.asarray(crop_to_square(image, display_preprocessing(preprocessing, image)))
classifies = not model.spec.lacks("classifier")
arrays: dict[str, np.ndarray] = {}
pictures: dict[str, np.ndarray] = {}

if TAB is not None:
    maps = attention_maps(model.module, batch)
    if KIND == "rollout":
        values = rollout_to(maps, LAYER, HEAD, PATCH)
    else:
        values = shown_map(maps, layer=LAYER, head=HEAD, patch=PATCH, direction=DIRECTION)
    shown = np.asarray(crop_to_square(image, preprocessing)) if AS_SEEN else photo
    masks = None
    if MASS < 1:
        arrays["mask"], masks = masses(values, MASS), masses(readout_maps(maps), MASS)
        arrays["masks"], pictures["map"] = masks, dim_outside(shown, arrays["mask"])
    else:
        pictures["map"] = overlay(shown, values, signed=maps.signed and KIND == "attention", smooth=not AS_SEEN)
    pictures["mosaic"] = mosaic(photo, readout_maps(maps), signed=maps.signed, masks=masks)
    arrays |= {"map": values, "readout": readout_maps(maps), "rollout": rollout_maps(maps)}

if TAB in ("Explanations", None):
    target = pick_target(model.module, batch, CLASS_INDEX, classifier=classifies)
    for method in explanations_for(model.spec):
        if method.name == "rollout":
            values = rollout_maps(maps, fusion=FUSION, discard_ratio=DISCARD, residual=RESIDUAL)[-1]
        else:
            values = method.explain(model.module, batch, target)
        arrays[f"explanation_{method.name}"], pictures[method.name] = values, overlay(photo, values)

if TAB == "Attention distance":
    arrays["distance_px"] = attention_distance(maps, preprocessing.size / maps.grid[0])
    arrays["entropy_bits"] = attention_entropy(maps)

if TAB in ("Predictions", None) and classifies:
    arrays["logits"] = predict_logits(model.module, batch)[0]
    for each in top_predictions(arrays["logits"], model.classes):
        print(f"{each.label:30} {each.probability:6.1%}")

if TAB == "Compare" and OTHER:
    two_models = BESIDE == "Another model"
    pairs = [(model, image), (load(OTHER), image) if two_models else (model, open_picture(OTHER))]
    densities, photos, distances = [], [], []
    for eye, picture in pairs:
        its = attention_maps(eye.module, to_batch([picture], eye.network.preprocessing))
        values = rollout_maps(its)[-1] if COMPARED == "Rollout" else np.abs(readout_maps(its)[-1]).mean(axis=0)
        densities.append(values / values.sum() * values.size)
        displayed = display_preprocessing(eye.network.preprocessing, picture)
        photos.append(np.asarray(crop_to_square(picture, displayed)))
        distances.append(attention_distance(its, 100 / its.grid[0]))
    scale = (0.0, max(scale_of(density)[1] for density in densities))
    for place, density, beneath in zip(("first", "second"), densities, photos, strict=True):
        arrays[f"density_{place}"], pictures[place] = density, overlay(beneath, density, scale=scale)
    if two_models:
        shares = shared_part(image.size, [eye.network.preprocessing for eye, _ in pairs])
        common = [centre(density, share) for density, share in zip(densities, shares, strict=True)]
        pictures["difference"] = difference(centre(photos[0], shares[0]), *common)
        arrays |= {"distance_first": distances[0], "distance_second": distances[1]}

for name, pixels in pictures.items():
    Path(f"{name}.png").write_bytes(to_png(pixels))
np.savez_compressed("attention.npz", allow_pickle=False, **arrays)
for name, values in arrays.items():
    print(name, values.shape)
