"""Pictures through a VAE again and again. Run it in Vitrine's folder: python latent_reconstructions.py"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.figures.patches import image_sheet
from core.methods.latent.pictures import as_bytes, open_files, open_pictures
from core.methods.latent.reencoding import reencode
from core.models.weights import load

# --- Settings ---
MODEL = "vae_bernoulli"
PICTURES = "own:500/0"  # or data:DATASET/SPLIT/COUNT/SEED
SHOWN = 12
PASSES = 3
FILES: list[str] = []  # image files or folders of them, such as pictures
INVERTED = False
# --- End of settings ---

model: Any = load(MODEL).module
images = open_pictures(model, PICTURES).images
if FILES and all(Path(file).exists() for file in FILES):
    mine = open_files(model.config, FILES, inverted=INVERTED)[:SHOWN]
    images = np.concatenate([mine, images])
found = reencode(model, images[:SHOWN], PASSES)
for number, errors in enumerate(found.squared_error, 1):
    print(f"pass {number}: squared error {errors.mean():.2f} a picture")
Image.fromarray(image_sheet([as_bytes(each) for each in found.pictures])).save("passes.png")
