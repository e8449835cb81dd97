"""How a prediction changes as patches are removed. Run it in Vitrine's folder: python masking.py"""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.data.pictures import open_picture
from core.data.transforms import to_batch
from core.figures.overlay import to_png
from core.figures.patches import sharp
from core.methods.accuracy.targets import pick_target
from core.methods.attention.explanations import find_explanation
from core.methods.masking.faithfulness import compare_with_band, faithfulness
from core.methods.masking.masking import masked_pixels, masked_responses, masking_curve, random_band
from core.methods.masking.orders import (
    PUBLISHED,
    Fill,
    Strategy,
    keep_for_setting,
    keep_from_patches,
    masking_order,
    scores_on_grid,
)
from core.models.weights import load

# --- Settings ---
MODEL = "vit_p4"
IMAGE = "example:cat"  # or data:DATASET/SPLIT/SEED/PLACE, or the file of a picture
GRID = (8, 8)  # of patches
METHODS = ("rollout", "attention")  # explanations that are put to the test
STRATEGY: Strategy | Literal["hand"] = "most_attended"  # which patches go first; "hand": those that are REMOVED
METHOD = "rollout"  # that ranks them
FILL: Fill = "mean"  # what is shown instead
STEP = 2  # of so many STEPS, how far
STEPS = 4
ORDERS = 4  # random ones, to compare with
REMOVED: tuple[int, ...] = ()  # in raster order
# --- End of settings ---

model = load(MODEL)
batch = to_batch([open_picture(IMAGE)], model.network.preprocessing)
target = pick_target(model.module, batch, classifier=not model.spec.lacks("classifier"))
filling: dict[str, Any] = {"fill": FILL, "normalisation": model.network.preprocessing.normalisation}
scores = {name: find_explanation(name).explain(model.module, batch, target) for name in METHODS}
arrays: dict[str, np.ndarray] = {}

if STRATEGY == "hand":
    keeps = [keep_from_patches(REMOVED, GRID), keep_from_patches([], GRID)]
    keeps += [keep_for_setting(setting, GRID) for setting in PUBLISHED.values()]
    responses = masked_responses(model.module, batch, target, np.stack(keeps), **filling)
    arrays |= {"masks": np.stack(keeps), "responses": responses.confidence}
    shown = keeps[0]
else:
    ranked = scores_on_grid(scores[METHOD], GRID)
    curves = {}
    strategies: list[Strategy] = [STRATEGY]
    if STRATEGY == "most_attended":
        strategies.append("least_attended")  # beside it
    for strategy in strategies:
        order = masking_order(strategy, GRID, scores=ranked, seed=0)
        curves[strategy] = masking_curve(model.module, batch, target, order, grid=GRID, steps=STEPS, **filling)
        arrays |= {f"order_{strategy}": order, f"curve_{strategy}": curves[strategy].confidence}
    curve = curves[STRATEGY]
    removed = arrays[f"order_{STRATEGY}"][: round(float(curve.shares[STEP]) * GRID[0] * GRID[1])]
    shown = keep_from_patches(removed, GRID)
    band = random_band(model.module, batch, target, grid=GRID, steps=STEPS, orders=ORDERS, **filling)
    arrays |= {"shares": curve.shares, "random_curves": band.curves}
    print(compare_with_band(curve, band))

Path("masked.png").write_bytes(to_png(sharp(masked_pixels(batch, shown, **filling))))
result = faithfulness(model.module, batch, target, scores, grid=GRID, steps=STEPS, random_orders=ORDERS, **filling)
for name, tested in result.methods.items():
    arrays |= {f"deletion_{name}": tested.deletion, f"insertion_{name}": tested.insertion}
arrays |= {"deletion_random": result.random.deletion, "insertion_random": result.random.insertion}
np.savez_compressed("masking.npz", allow_pickle=False, **arrays)
for name, values in arrays.items():
    print(name, values.shape)
