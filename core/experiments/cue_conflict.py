"""Which texture each image of a cue-conflict data set shows: its file's name says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.data.archives import ARRAY_SIDE
from core.data.catalogue import list_files, read_dataset
from core.data.loading import skipped_images
from core.errors import ConfigError
from core.experiments.evaluation import EvaluatedImages, Evaluation
from core.methods.biases.shape_bias import ShapeBias, read_cues, shape_bias


def stored_textures(dataset: str, images: EvaluatedImages, classes: Sequence[str], size: int) -> dict[str, np.ndarray]:
    """The column `texture` of an evaluation, indices of `classes`; none where the files' names say nothing of it.

    Args:
        size: at which photos were decoded: those that could not be are in no row.
    """
    if read_dataset(dataset)["storage"] != "folder":
        return {}
    textures = np.zeros(len(images), dtype=np.int64)
    for split in images.data:
        skipped = skipped_images(dataset, split, size)
        names = [path.name for path, _ in list_files(dataset, split) if path.name not in skipped]
        for place in np.flatnonzero(images.split == split):
            try:
                textures[place] = read_cues(names[int(images.row[place])], classes)[1]
            except ConfigError:
                return {}
    return {"texture": textures}


def check_cues(dataset: str) -> None:
    """
    Raises:
        ConfigError: a file's name does not say shape and texture, or the images are no files.
        CoreError: the data set is not on this machine.
    """
    info = read_dataset(dataset)
    if info["storage"] != "folder":
        raise ConfigError(
            f"{info['title']} has no file names to read cues from: small images of one size are kept without them.",
            f"Import files named shapeN-textureM of more than {ARRAY_SIDE} pixels.",
        )
    for split in info["splits"]:
        for path, _ in list_files(dataset, split):
            read_cues(path.name, info["classes"])


def has_cues(found: Evaluation) -> bool:
    """Whether an evaluation is of images with a texture beside their shape."""
    return "texture" in found.columns


def shape_biases(found: Evaluation, condition: int = 0) -> list[ShapeBias]:
    """The shape bias of each model of an evaluation of cue-conflict images.

    Raises:
        ConfigError: they are other images, or none has cues in conflict.
    """
    if not has_cues(found):
        raise ConfigError(
            f"The files of {found.summary['dataset_title']} do not say which shape and which texture they show.",
            "Name them shapeN-textureM, such as bear1-clock2.png, with both among the classes.",
        )
    answers = found.answers[:, :, condition]
    categories = found.summary.get("classes", found.classes)
    return [shape_bias(column, found.labels, found.columns["texture"], categories) for column in answers.T]
