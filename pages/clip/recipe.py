"""One photo against labels. Run it in Vitrine's folder: python zero_shot.py"""

from typing import Any

from core.data.pictures import open_picture
from core.data.transforms import to_batch
from core.methods.clip.zero_shot import Scale, embed_images, text_classifier, zero_shot_scores
from core.models.weights import load

# --- Settings ---
MODEL = "clip_small"
IMAGE = "example:coffee"  # or data:DATASET/SPLIT/SEED/PLACE, or the file of a picture
LABELS = ["cat", "dog", "espresso", "rocket", "flower", "motorcycle"]
TEMPLATES = ["a photo of a {}."]
# --- End of settings ---

model = load(MODEL)
module: Any = model.module
batch = to_batch([open_picture(IMAGE)], model.network.preprocessing)
weights = text_classifier(module, LABELS, TEMPLATES)
scores = zero_shot_scores(embed_images(module, batch), weights, LABELS, Scale.of(module))
for index in scores.order():
    print(f"{LABELS[index]:30} {scores.probabilities[0, index]:6.1%}  cosine {scores.cosines[0, index]:.4f}")
