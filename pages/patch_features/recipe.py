"""Patch tokens as colours, and what is like one patch. Run it in Vitrine's folder: python patch_features.py"""

from typing import Any

import numpy as np
from PIL import Image

from core.data.pictures import open_picture
from core.data.transforms import crop_to_square, display_preprocessing, to_batch
from core.figures.patch_features import colour_sheet, likeness_sheet
from core.methods.patch_features.patch_features import nearest_patches, patch_colours, patch_similarity, patch_tokens
from core.models.weights import load

# --- Settings ---
MODEL = "vit_p4"
IMAGES = ["example:cat", "example:coffee"]  # or data:DATASET/SPLIT/SEED/PLACE, or files of pictures
LAYER = 5  # from 0
GROUND: Any = "all"  # or high, low: leave out the patches whose first component is
CHOSEN: list[int] | None = [0, 27]  # photo and patch, from 0, that all are compared with
# --- End of settings ---

model = load(MODEL)
preprocessing = model.network.preprocessing
images = [open_picture(each) for each in IMAGES]
photos = [np.asarray(crop_to_square(image, display_preprocessing(preprocessing, image))) for image in images]
found = patch_tokens(model.module, to_batch(images, preprocessing))
tokens = found.tokens[LAYER]
colours = patch_colours(tokens, found.grid, ground=GROUND)
arrays = {"tokens": tokens, "colours": colours.colours, "figure": colours.figure}
print("shares of the variance:", ", ".join(f"{share:.1%}" for share in colours.shares))
Image.fromarray(colour_sheet(photos, colours.colours, colours.figure)).save("patch_features.png")
if CHOSEN is not None:
    likeness = patch_similarity(tokens, *CHOSEN)
    arrays["likeness"] = likeness.reshape(len(images), *found.grid)
    print("most alike in every photo:", nearest_patches(likeness, CHOSEN[0]))
    Image.fromarray(likeness_sheet(photos, arrays["likeness"])).save("likeness.png")
np.savez_compressed("patch_features.npz", **arrays)
