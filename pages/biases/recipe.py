"""One photo under every manipulation, and what models say of it. Run it in Vitrine's folder: python biases.py"""

from pathlib import Path

import numpy as np

from core.data.pictures import open_picture
from core.figures.manipulations import plot_strengths
from core.figures.overlay import to_png
from core.methods.accuracy.predictions import class_name
from core.methods.manipulations.catalogue import MANIPULATIONS
from core.methods.manipulations.photo import ask_about_photo, photo_square, photo_versions
from core.methods.manipulations.steps import Step, parse_steps
from core.models.weights import load

# --- Settings ---
IMAGE = "example:cat"  # or data:DATASET/SPLIT/SEED/PLACE, or the file of a picture
MODELS = ["vit_p4", "cnn_small"]
LABELS: list[str] = []  # what a model of images and texts chooses from
SIDE = 32  # of the square that is manipulated, in pixels
SEED = 0
KEPT = ""  # done to every picture first, as in "grey:100+blur:2"
STRENGTHS = {"grey": 100.0, "scramble": 4.0, "blur": 3.0}  # each in a picture of its own
SHOWN = "scramble"  # whose curve is drawn
LADDER = [1.0, 2.0, 4.0, 8.0]  # at these strengths
# --- End of settings ---

photo = photo_square(open_picture(IMAGE), SIDE)
kept = parse_steps(KEPT)
shown = [(*kept, Step(name, strength)) for name, strength in STRENGTHS.items()]
along = [(*kept, Step(SHOWN, strength)) for strength in LADDER]
versions = photo_versions(photo, [kept, *shown], seed=SEED)
for name, pixels in zip(["photo", *STRENGTHS], versions, strict=True):
    Path(f"biases_{name}.png").write_bytes(to_png(pixels))

arrays, curves = {}, {}
for place, model_name in enumerate(MODELS):
    model = load(model_name)
    labels = LABELS if model.spec.lacks("classifier") else ()
    found = ask_about_photo(model, photo, versions[1:], labels=labels)
    arrays[f"probabilities_{place}"] = found.probabilities.astype(np.float32)
    print(f"{model.spec.title}: {class_name(found.classes, found.clean_answer)} on the unchanged photo")
    for step, answer, same in zip(shown, found.answers, found.same, strict=True):
        print(f"  {'=' if same else '≠'} {class_name(found.classes, int(answer))}: {step[-1].words}")
    title = f"{'ABCDEF'[place]} {model.spec.title}"
    curves[title] = ask_about_photo(model, photo, photo_versions(photo, along, seed=SEED), labels=labels)
np.savez_compressed("biases.npz", allow_pickle=False, **arrays)
figure = plot_strengths(MANIPULATIONS[SHOWN], LADDER, curves, current=STRENGTHS.get(SHOWN))
figure.write_html("biases_strengths.html")
