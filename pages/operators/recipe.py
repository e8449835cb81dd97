"""Six operators on one picture. Run it in Vitrine's folder: python operators.py"""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from core.data.pictures import open_picture
from core.data.transforms import to_batch
from core.figures.operators import operator_rows, plot_identity_trap
from core.figures.overlay import to_png
from core.methods.operators.layer import OperatorLayer, run_layer
from core.methods.operators.learned_layer import learned_layer
from core.methods.operators.picture import patch_picture, small_picture
from core.methods.operators.single_layer import OperatorSettings, random_layers
from core.methods.operators.trap_curves import trap_curves
from core.models.mixer import MixerNetwork
from core.models.weights import load

# --- Settings ---
IMAGE = "example:coffee"  # or data:DATASET/SPLIT/SEED/PLACE, or the file of a picture
SIDE = 16  # pixels of the longer side
MIXERS: list[str] = []  # names of trained mixers; none: random layers with the settings below
BLOCK = 0  # of trained mixers, from 0
HEAD = 0
SETTINGS: dict[str, Any] = {"kernel_size": 3, "temperature": 2.83, "weight": 1.0, "seed": 0}
POSITION = [5, 8]  # row and column, from 0
CHANNEL = 0
TEMPERATURES = [0.1, 0.32, 1.0, 3.2, 10.0, 32.0, 100.0]  # of the identity trap
# --- End of settings ---

image, settings = open_picture(IMAGE), OperatorSettings(**SETTINGS)
layers: list[OperatorLayer] = []
for name in MIXERS:
    model = load(name)
    network, preprocessing = cast(MixerNetwork, model.module), model.network.preprocessing
    layer = learned_layer(network, to_batch([image], preprocessing), block=BLOCK, head=HEAD)
    layers.append(replace(layer, temperature=settings.temperature, weight=settings.weight))
    picture = patch_picture(image, preprocessing, layer.grid)[0]
if not MIXERS:
    picture = small_picture(image, SIDE)
    layers = list(random_layers(picture, settings).values())

results = [run_layer(layer, (POSITION[0], POSITION[1])) for layer in layers]
arrays: dict[str, np.ndarray] = {"picture": picture}
for result in results:
    arrays[f"{result.operator}_output"] = result.output
    arrays[f"{result.operator}_row"] = result.row[min(CHANNEL, len(result.row) - 1)]
    arrays[f"{result.operator}_field"] = result.field.gradient
    arrays[f"{result.operator}_reach"] = result.field.theoretical
    size = float(np.sqrt(np.square(result.output).mean()))
    print(f"{result.operator:34} RMS {size:.4g}, 90 % of its gradient in {result.field.area()} positions")
for name, pixels in operator_rows(results, picture, CHANNEL).items():
    Path(f"{name}.png").write_bytes(to_png(pixels))
np.savez_compressed("operators.npz", **arrays)  # type: ignore[arg-type]

curves = trap_curves(layers, TEMPERATURES, picture=None if MIXERS else picture, seed=settings.seed)
for title, curve in curves.items():
    shares = ", ".join(f"{share:.1%} at {heat:g}" for share, heat in zip(curve.diagonal, TEMPERATURES, strict=True))
    print(f"a position keeps for itself, {title}: {shares}")
if curves:
    plot_identity_trap(curves, settings.temperature).write_html("identity_trap.html")
