"""The map of a latent space. Run it in Vitrine's folder: python latent_map.py"""

from typing import Any

import numpy as np
from PIL import Image

from core.figures.latent import manifold_sheet, plot_latent_plane
from core.methods.latent.drawing import Layout, manifold
from core.methods.latent.passes import decoded
from core.methods.latent.pictures import as_bytes, open_pictures, picture_of
from core.methods.latent.statistics import latent_statistics
from core.models.weights import load

# --- Settings ---
MODEL = "vae_2d"
PICTURES = "own:500/0"  # or data:DATASET/SPLIT/COUNT/SEED
LAYOUT: Layout = "even"
DIMENSIONS = [0, 1]
AT = [0.0, 0.0]
# --- End of settings ---

model: Any = load(MODEL).module
across, up = DIMENSIONS
pictures = open_pictures(model, PICTURES)
statistics = latent_statistics(model, pictures.images)
print(f"{pictures.title}: {len(pictures.images)} pictures, {statistics.means.shape[1]} latents")
plane = manifold(model, 21, layout=LAYOUT, dimensions=(across, up))
Image.fromarray(manifold_sheet(plane)).save("manifold.png")
latent = np.zeros(model.config.latent_dim, dtype=np.float32)
latent[across], latent[up] = AT
Image.fromarray(picture_of(as_bytes(decoded(model, latent[None])[0]))).resize((280, 280)).save("decoded.png")
figure = plot_latent_plane(statistics.means, pictures.labels, pictures.classes, dimensions=(across, up), pinned=latent)
figure.write_html("points.html")
print(f"decoded at z{across} = {AT[0]:.3f}, z{up} = {AT[1]:.3f}")
