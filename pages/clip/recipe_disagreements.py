"""CLIP against ImageNet training. Run it in Vitrine's folder: python disagreements.py"""

from typing import Any, Literal

import numpy as np

from core.data.labelled_pictures import dataset_pictures, example_pictures, folder_pictures
from core.methods.accuracy.batched_answers import ask_about
from core.methods.clip.disagreements import choose_imagenet_pictures, class_names, find_disagreements
from core.methods.clip.zero_shot import Scale, text_classifier, zero_shot_scores
from core.models.weights import load

# --- Settings ---
CLIP = "clip_small"
CLASSIFIER = "efficientnet_lite0"
SOURCE = "examples"  # or "data": of a data set; or "folder"
DATA = ""  # the data set or the folder
SPLITS: tuple[str, ...] = ()
COUNT = 150
ALLOWED: tuple[int, ...] | None = None  # of the 1000 classes, those whose pictures are asked about; None: all
WORDING: Literal["wordnet", "openai"] = "wordnet"  # how the classes are called; or "openai"
TEMPLATES = ["a photo of a {}."]
TOP = 5
# --- End of settings ---

clip, classifier = load(CLIP), load(CLASSIFIER)
module: Any = clip.module
if SOURCE == "folder":
    source = folder_pictures(DATA)
elif SOURCE == "data":
    source = dataset_pictures(DATA, SPLITS)
else:
    source = example_pictures()
pictures, labels, _ = choose_imagenet_pictures(source, COUNT, ALLOWED)
openers = [each.open for each in pictures]
seen = ask_about(openers, clip.network.preprocessing, module.embed)
said = ask_about(openers, classifier.network.preprocessing, classifier.module)
names = class_names(WORDING)
scores = zero_shot_scores(seen.values, text_classifier(module, names, TEMPLATES), names, Scale.of(module))
found = find_disagreements(scores.logits, said.values, np.array(labels)[seen.kept], TOP)
for who in ("both", "only_clip", "only_classifier", "neither"):
    print(who, found.count(who))
for each in found.verdicts:
    print(each.who, pictures[seen.kept[each.picture]].title, names[each.label], each.clip_place, each.classifier_place)
