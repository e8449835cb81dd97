"""Pictures that only one of two models names. Run it in Vitrine's folder: python collection.py"""

from functools import partial
from typing import Any, Literal

import numpy as np

from core.data.pictures import open_picture
from core.data.wordnet import find_synset, imagenet_wnids
from core.methods.accuracy.batched_answers import ask_about
from core.methods.clip.disagreements import class_names, find_disagreements
from core.methods.clip.zero_shot import Scale, text_classifier, zero_shot_scores
from core.models.weights import load

# --- Settings ---
CLIP = "clip_small"
CLASSIFIER = "efficientnet_lite0"
PICTURES = {
    "example:cat": "n02123045",
    "example:coffee": "n07920052",
}  # each with its ImageNet id; or files beside the script
WORDING: Literal["wordnet", "openai"] = "wordnet"  # how the classes are called; or "openai"
TEMPLATES = ["a photo of a {}."]
TOP = 5
# --- End of settings ---

if PICTURES:
    clip, classifier = load(CLIP), load(CLASSIFIER)
    module: Any = clip.module
    openers = [partial(open_picture, each) for each in PICTURES]
    seen = ask_about(openers, clip.network.preprocessing, module.embed)
    said = ask_about(openers, classifier.network.preprocessing, classifier.module)
    names = class_names(WORDING)
    scores = zero_shot_scores(seen.values, text_classifier(module, names, TEMPLATES), names, Scale.of(module))
    labels = np.array([imagenet_wnids().index(wnid) for wnid in PICTURES.values()])
    found = find_disagreements(scores.logits, said.values, labels[seen.kept], TOP)
    for each in found.verdicts:
        picture, wnid = list(PICTURES.items())[seen.kept[each.picture]]
        places = f"place {each.clip_place} and {each.classifier_place}"
        print(f"{picture}: {find_synset(wnid).names[0]}, {each.who}, {places}")
