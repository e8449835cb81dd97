"""How pictures of one synset differ. Run it in Vitrine's folder: python synsets.py"""

from typing import Any

from core.data.labelled_pictures import choose_pictures, dataset_pictures
from core.data.wordnet import class_synset
from core.methods.accuracy.batched_answers import ask_about
from core.methods.clip.synset_variety import synset_variety
from core.models.weights import load

# --- Settings ---
MODEL = "clip_small"
DATA = "cifar10"
SPLIT = "test"
CLASS_NAME = ""  # as the data set calls it; "": its first
# --- End of settings ---

model = load(MODEL)
module: Any = model.module
found = dataset_pictures(DATA, (SPLIT,))
label = found.classes.index(CLASS_NAME or found.classes[0])
pictures = choose_pictures(tuple(each for each in found.groups[SPLIT] if each.label == label), 60)
answers = ask_about([each.open for each in pictures], model.network.preprocessing, module.embed)
synset = class_synset(found.classes[label])
print(", ".join(synset.names) if synset else found.titles[label], len(answers.kept), "pictures")
for way in synset_variety(answers.thumbnails, answers.values):
    for picture, value in zip(way.ends, way.values, strict=True):
        print(f"{way.way:8} {pictures[answers.kept[picture]].title}: {value:.4f}")
