"""Photos in a folder, named by any labels: nothing is imported, copied or kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from core.data.images import MAX_BYTES, decode_image
from core.data.transforms import to_batch
from core.errors import CoreError
from core.methods.accuracy.confusion import Accuracy
from core.methods.accuracy.predictions import class_name, predict_logits, softmax
from core.methods.clip.zero_shot import Scale, embed_images, text_classifier, zero_shot_scores
from core.models.clip import ImageTextEncoder
from core.models.spec import LoadedModel

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class FileAnswer:
    """What was said about one file.

    Attributes:
        probability: of `label`, in [0, 1].
        true_label: the label that its folder is called; empty if none is.
        problem: why the file could not be read; `label` is empty then.
    """

    path: Path
    label: str
    probability: float
    true_label: str = ""
    problem: str = ""


def image_files(folder: Path) -> list[Path]:
    """Every image file in `folder` and the folders in it, sorted; hidden ones are left out.

    Raises:
        CoreError: it is no folder, or holds no images.
    """
    if not folder.is_dir():
        raise CoreError(f"There is no folder {folder}.", "Check the path.")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise CoreError(f"{folder} holds no JPEG, PNG, WebP, GIF, BMP or TIFF files.", "Try another folder.")
    return found


def folder_labels(folder: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """The names of the folders that the files lie in, as labels; empty for files that lie side by side.

    Where there are folders above them (train, test), those directly around the files count.
    """
    names = dict.fromkeys(file.parent.name for file in files if file.parent != folder)
    return tuple(sorted(_readable(name) for name in names))


def classify_files(
    model: LoadedModel,
    files: Sequence[Path],
    labels: Sequence[str],
    templates: Sequence[str],
    *,
    batch_size: int = 16,
) -> Iterator[FileAnswer]:
    """One answer a file, in order; a file that cannot be read is an answer with a problem.

    Raises:
        IncompatibleError: the model knows no texts.
    """
    model.spec.require("image_text", "Naming photos by labels of your own")
    module = cast(ImageTextEncoder, model.module)
    with model.lock:
        weights, scaling = text_classifier(module, labels, templates), Scale.of(module)

    def probabilities(pixels: torch.Tensor) -> np.ndarray:
        return zero_shot_scores(embed_images(module, pixels), weights, labels, scaling).probabilities

    return _answers(model, files, labels, probabilities, batch_size)


def classify_by_classes(model: LoadedModel, files: Sequence[Path], *, batch_size: int = 16) -> Iterator[FileAnswer]:
    """The same with the classes that a classifier was trained on.

    Raises:
        IncompatibleError: the model has no classification head.
    """
    model.spec.require("classifier", "Naming photos by the model's own classes")

    def probabilities(pixels: torch.Tensor) -> np.ndarray:
        return softmax(predict_logits(model.module, pixels))

    return _answers(model, files, model.classes, probabilities, batch_size)


def _answers(
    model: LoadedModel,
    files: Sequence[Path],
    labels: Sequence[str],
    probabilities: Callable[[torch.Tensor], np.ndarray],
    batch_size: int,
) -> Iterator[FileAnswer]:
    """probabilities: pixels → (images, labels)."""
    known = {label.partition(",")[0].strip().casefold(): label for label in reversed(labels)}
    known |= {_readable(label).casefold(): label for label in labels}
    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        pictures, problems = [], {}
        for file in batch:
            try:
                with file.open("rb") as opened:
                    pictures.append(decode_image(opened.read(MAX_BYTES + 1), name=file.name))
            except (CoreError, OSError) as error:
                problems[file] = str(error)
        if pictures:
            with model.lock, torch.inference_mode():
                found = probabilities(to_batch(pictures, model.network.preprocessing))
        place = 0
        for file in batch:
            true_label = known.get(_readable(file.parent.name).casefold(), "")
            if file in problems:
                yield FileAnswer(path=file, label="", probability=0.0, true_label=true_label, problem=problems[file])
                continue
            best = int(np.argmax(found[place]))
            yield FileAnswer(
                path=file,
                label=class_name(labels, best),
                probability=float(found[place, best]),
                true_label=true_label,
            )
            place += 1


def accuracy_of(answers: Sequence[FileAnswer]) -> Accuracy | None:
    """How many answers agree with the files' folders; None where no folder is called like a label."""
    judged = [answer for answer in answers if answer.true_label and not answer.problem]
    if not judged:
        return None
    return Accuracy(correct=sum(answer.label == answer.true_label for answer in judged), count=len(judged))


def _readable(name: str) -> str:
    return " ".join(name.replace("_", " ").split())
