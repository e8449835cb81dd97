"""Drawings of a VAE from several distributions. Run it in Vitrine's folder: python latent_samples.py"""

from typing import Any

import numpy as np
from PIL import Image

from core.figures.patches import image_sheet
from core.methods.latent.drawing import Source, draw
from core.methods.latent.pictures import as_bytes, open_pictures
from core.methods.latent.statistics import latent_statistics
from core.models.weights import load

# --- Settings ---
MODEL = "vae_bernoulli"
PICTURES = "own:500/0"  # or data:DATASET/SPLIT/COUNT/SEED
COUNT = 36
SEED = 0
SCALE = 0.7071067811865475  # b of the Laplace distribution; its variance is 2b²
# --- End of settings ---

model: Any = load(MODEL).module
statistics = latent_statistics(model, open_pictures(model, PICTURES).images)
sources: tuple[Source, ...] = ("normal", "laplace", "posterior", "mixture")
for source in sources:
    drawn = draw(model, source, COUNT, seed=SEED, scale=SCALE, statistics=statistics)
    length = float(np.linalg.norm(drawn.latents, axis=1).mean())
    print(f"{source}: {COUNT} drawings, {length:.2f} from the centre on average")
    rows = np.array_split(as_bytes(drawn.pictures), max(1, int(COUNT**0.5)))
    Image.fromarray(image_sheet(rows, cell=48, gap=3, first_apart=False)).save(f"{source}.png")
