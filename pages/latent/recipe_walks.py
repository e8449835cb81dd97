"""Walks through the latent space of a VAE. Run it in Vitrine's folder: python latent_walks.py"""

from typing import Any

import numpy as np
from PIL import Image

from core.figures.patches import image_sheet
from core.methods.latent.drawing import interpolate, traverse
from core.methods.latent.pictures import as_bytes, open_files, open_pictures
from core.methods.latent.reencoding import reencode
from core.methods.latent.statistics import latent_statistics
from core.models.weights import load

# --- Settings ---
MODEL = "vae_bernoulli"
PICTURES = "own:500/0"  # or data:DATASET/SPLIT/COUNT/SEED
BEGIN = 0  # a picture's place in the set, "centre", or a file
END = 1
TURNED: dict[int, float] = {}  # latents of the first that were turned by hand
EXTENT = 3.0
STEPS = 9
FILM = 13
ROWS = 10
# --- End of settings ---

model: Any = load(MODEL).module
pictures = open_pictures(model, PICTURES)


def latent_of(which: int | str) -> np.ndarray:
    """The mean of a picture's posterior."""
    if which == "centre":
        return np.zeros(model.config.latent_dim, dtype=np.float32)
    images = pictures.images[which : which + 1] if isinstance(which, int) else open_files(model.config, [which])
    return reencode(model, images).latents[0, 0]


first, last = latent_of(BEGIN).copy(), latent_of(END)
for dimension, value in TURNED.items():
    first[dimension] = value
order = latent_statistics(model, pictures.images).order().tolist()
rows = traverse(model, first, order[:ROWS], extent=EXTENT, steps=STEPS)
for dimension, change in zip(rows.dimensions, rows.change, strict=True):
    print(f"z{dimension} from {-EXTENT:g} to {EXTENT:g} changes a pixel by {change:.4f}")
Image.fromarray(image_sheet([as_bytes(each) for each in rows.pictures], first_apart=False)).save("traversal.png")
straight = interpolate(model, first, last, steps=FILM, way="linear")
turning = interpolate(model, first, last, steps=FILM, way="spherical")
Image.fromarray(image_sheet([as_bytes(straight.pictures), as_bytes(turning.pictures)])).save("interpolation.png")
