"""Accuracy by condition. Run it in Vitrine's folder: python conditions.py"""

from typing import Any

from core.data.condition_sets import made_conditions, stored_conditions
from core.data.conditions import ConditionName
from core.data.labelled_pictures import dataset_pictures, example_pictures, folder_pictures
from core.methods.accuracy.batched_answers import ask_about
from core.methods.clip.conditions import parse_references, tally
from core.methods.clip.zero_shot import text_classifier, unit
from core.models.weights import load

# --- Settings ---
MODEL = "clip_small"
SOURCE = "made"  # of ordinary pictures; or "stored": the parts of a data set; or "folder": CONDITION/CATEGORY/*.jpg
DATA = "examples"  # or a data set, or a folder
SPLITS: tuple[str, ...] = ()  # of the data set; all of them where there is none
COUNT = 4  # pictures of each category in each condition; 0 is all that are stored so
STRENGTHS: dict[ConditionName, float] = {"whole": 0, "silhouette": 0, "blur": 3.0, "edges": 0.7, "features": 4}
TEMPLATES = ["a photo of a {}."]
REFERENCES = ""
# --- End of settings ---

model = load(MODEL)
module: Any = model.module
if SOURCE == "folder":
    found = stored_conditions(folder_pictures(DATA), COUNT)
elif SOURCE == "stored":
    found = stored_conditions(dataset_pictures(DATA, SPLITS), COUNT)
else:
    ordinary = example_pictures() if DATA == "examples" else dataset_pictures(DATA, SPLITS)
    found = made_conditions(ordinary, COUNT, STRENGTHS)
answers = ask_about([each.open for each in found.pictures], model.network.preprocessing, module.embed)
weights = text_classifier(module, found.categories, TEMPLATES)
predicted = (unit(answers.values) @ weights.T).argmax(axis=1)
references = parse_references(REFERENCES, found.conditions)
for row in tally(found, answers.kept, predicted, references).rows:
    print(f"{row.condition:20} {row.accuracy:6.1%} of {row.count}, 95 % from", *row.interval, row.sentence())
