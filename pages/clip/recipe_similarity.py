"""Photos against texts. Run it in Vitrine's folder: python similarity.py"""

from typing import Any

from core.data.pictures import open_picture
from core.data.transforms import to_batch
from core.methods.clip.zero_shot import Scale, embed_images, embed_texts, probabilities, similarity_matrix
from core.models.weights import load

# --- Settings ---
MODEL = "clip_small"
IMAGES = ["example:cat", "example:coffee", "example:rocket"]
TEXTS = ["a photo of a cat.", "a photo of an espresso.", "a photo of a rocket."]
MEASURE = "cosine"  # or, in per cent, which of the "texts" an image is given, or which of the "images" a text
# --- End of settings ---

model = load(MODEL)
module: Any = model.module
batch = to_batch([open_picture(image) for image in IMAGES], model.network.preprocessing)
values = similarity_matrix(embed_images(module, batch), embed_texts(module, TEXTS))
if MEASURE != "cosine":
    scaling = Scale.of(module)
    logits = scaling.scale * values + scaling.bias
    if MEASURE == "images":
        values = 100 * probabilities(logits.T, scaling.kind).T
    else:
        values = 100 * probabilities(logits, scaling.kind)
for row in values:
    print("  ".join(f"{value:6.3f}" for value in row), " best:", TEXTS[row.argmax()])
