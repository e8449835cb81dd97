"""The images whose answers are compared between number formats, and the labels that a CLIP chooses from."""

from __future__ import annotations

from pathlib import Path

from core.data.catalogue import installed_datasets, read_dataset, sample_images
from core.data.examples import EXAMPLES, load_example
from core.data.images import image_digest
from core.data.prompts import dataset_labels
from pages.shared.pickers import Picture, chosen_pictures
from pages.shared.results import shared

OWN, OWN_PICKER = "own", "compared_photos"
OWN_DEFAULT = tuple(f"example:{each}" for each in ("cat", "coffee", "motorcycle"))


def compared_pictures(source: str, count: int) -> tuple[Picture, ...]:
    """The images whose answers are compared: the example photos, photos of one's own, or `count` random ones of a
    data set's split."""
    return tuple(own_photos()) if source == OWN else _drawn(source, count)


def own_photos() -> list[Picture]:
    """What was chosen in the picker of `OWN`."""
    return chosen_pictures(OWN_PICKER, OWN_DEFAULT)


@shared("Reading images …", most=8)
def _drawn(source: str, count: int) -> tuple[Picture, ...]:
    if source == "examples":
        found = [(EXAMPLES[name].title, load_example(name)) for name in EXAMPLES]
    else:
        name, _, split = source.partition("/")
        titles = class_titles(name)
        found = [(titles[label], image) for image, label in sample_images(name, split, count, 0)]
    return tuple(
        Picture(key=f"{source}/{number}", title=title, image=image, digest=image_digest(image))
        for number, (title, image) in enumerate(found)
    )


def picture_sources() -> dict[str, str]:
    """What can be compared on this machine, with titles."""
    found = {"examples": f"The {len(EXAMPLES)} example photos", OWN: "Your own photos"}
    for name, card in installed_datasets().items():
        for split in card["splits"]:
            if split in ("test", "val") or len(card["splits"]) == 1 or not {"test", "val"} & set(card["splits"]):
                found[f"{name}/{split}"] = f"{card['title']}, {split}"
    return found


def class_titles(name: str) -> tuple[str, ...]:
    """Readable names of a data set's classes, in label order."""
    card = read_dataset(name)
    return dataset_labels(card["classes"], card.get("class_titles"))


def default_labels(source: str) -> tuple[str, ...]:
    """Labels for a zero-shot classifier on these images."""
    if source == OWN:  # one photo a class, called after its file
        names = (Path(picture.title).stem.replace("_", " ") for picture in own_photos())
        return tuple(dict.fromkeys(name.strip() or "photo" for name in names))
    if source == "examples":
        return tuple(dict.fromkeys(example.word or example.title for example in EXAMPLES.values()))
    return tuple(dict.fromkeys(class_titles(source.partition("/")[0])))
