"""Photos against words: any labels, no training; and how well that does on a whole data set."""

from __future__ import annotations

from pages.clip import collection_panel, conditions, disagreements, synsets_panel
from pages.clip.evaluation import EVALUATION
from pages.clip.similarity_panel import images_picker, similarity_export, similarity_panel
from pages.clip.zero_shot_panel import zero_shot_export, zero_shot_panel
from pages.shared.cache import loaded_model
from pages.shared.export import Export, export_popover
from pages.shared.framing import framing_popover
from pages.shared.layout import control_bar, control_strip, heading, teaching_cards
from pages.shared.pickers import image_picker, model_picker, own_model_form

VIEWS = {
    "labels": "One image",
    "matrix": "Images × texts",
    "dataset": "Whole data set",
    "conditions": "Conditions",
    "imagenet": "Against ImageNet",
    "collection": "Ten classes",
    "synsets": "Synsets",
}
# Of the bar, where it has pictures.
WIDTHS = {"labels": [3, 3, 2, 2, 2], "matrix": [3, 4, 2, 2]}
CARDS = {"conditions": "conditions", "imagenet": "disagreements", "collection": "disagreements", "synsets": "synsets"}


def make_export() -> Export:
    """What the open view shows."""
    if view == "dataset":
        return EVALUATION.export()
    if view == "conditions":
        return conditions.export(name)
    if view == "imagenet":
        return disagreements.export(name)
    if view == "collection":
        return collection_panel.export(name)
    if view == "synsets":
        return synsets_panel.export(name)
    return zero_shot_export(name, pictures[0]) if view == "labels" else similarity_export(name)


heading("CLIP", "Which of these words fits the picture?")
view = control_strip("view").segmented_control(
    "View", list(VIEWS), format_func=VIEWS.__getitem__, default="labels", required=True, key="view",
    bind="query-params", label_visibility="collapsed",
)  # fmt: skip
bar = control_bar(WIDTHS.get(view, [7, 2, 2]), whole=2 if view in WIDTHS else 1)
pictures = []
if view in WIDTHS:
    with bar[0]:
        pictures = images_picker() if view == "matrix" else [image_picker(default="example:coffee")]
with bar[1 if view in WIDTHS else 0]:
    name = model_picker("image_text", preferred=("clip_small",))
with bar[-2]:
    own_model_form()
if view == "dataset":
    EVALUATION.panel(name)
elif view == "matrix":
    similarity_panel(name, pictures)
elif view == "conditions":
    conditions.panel(name)
elif view == "imagenet":
    disagreements.panel(name)
elif view == "collection":
    collection_panel.panel()
elif view == "synsets":
    synsets_panel.panel(name)
else:
    with bar[2]:
        framing_popover(pictures[0], loaded_model(name).network.preprocessing)
    zero_shot_panel(name, pictures[0])
with bar[-1]:
    export_popover(make_export, key="export")
teaching_cards("clip", CARDS.get(view, ""))
