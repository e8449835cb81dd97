"""Several photos by several classifiers. Run it in Vitrine's folder: python classifiers.py"""

from functools import partial

from core.data.pictures import open_picture
from core.data.samples import Sample
from core.methods.accuracy.classify import classify_samples, summary
from core.models.weights import load

# --- Settings ---
MODELS = ["vit_p4", "clip_small"]
IMAGES = ["example:cat", "example:coffee"]  # or data:DATASET/SPLIT/SEED/PLACE, or files of pictures
NAMES = [["tabby"], ["espresso"]]  # of each one's true class, an ImageNet id or words; empty where it is unknown
LABELS = ["tabby", "espresso", "rocket"]  # what models of images and texts choose from
# --- End of settings ---

samples = [
    Sample(title=image, names=tuple(names), open=partial(open_picture, image))
    for image, names in zip(IMAGES, NAMES, strict=True)
]
for name in MODELS:
    model = load(name)
    labels = [] if model.spec.lacks("image_text") else LABELS
    answers = list(classify_samples(model, samples, labels=labels))
    print(f"{name}: {summary(answers)}")
    for sample, answer in zip(samples, answers, strict=True):
        said = answer.problem or ", ".join(f"{each.label} {each.probability:.1%}" for each in answer.top)
        print(f"  {sample.title}: {said}" + (f"; the true class is number {answer.place}" if answer.place else ""))
