"""Sets of pictures of several kinds in one: all splits of a data set, or the same things under several conditions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from core.data.arrays import ArrayDataset
from core.data.catalogue import read_dataset
from core.data.condition_sets import changed_picture
from core.data.conditions import CONDITIONS, ConditionName
from core.data.image_sets import Attribute, Drawn, ImageSet, Photo, dataset_sample, photo_set, square
from core.reports import Progress, shifted

# Photos are read at this side before they are changed; small pictures stay as small as they are.
_SIDE = 224


def split_set(name: str, count: int, seed: int) -> Generator[Progress, None, ImageSet]:
    """Up to `count` random pictures of all splits of an imported data set together, about as many of each split.

    What a split is depends on the data set: train and test, or the conditions or domains that it was made in.

    Raises:
        CoreError: the data set is not on this machine, or pictures of a split cannot be read.
    """
    info = read_dataset(name)
    splits = tuple(map(str, info["splits"]))
    # What a small split lacks, the larger ones give.
    shares: dict[str, int] = {}
    left = count
    for place, split in enumerate(sorted(splits, key=lambda each: int(info["splits"][each]))):
        shares[split] = min(int(info["splits"][split]), max(1, left // (len(splits) - place)))
        left -= shares[split]
    parts: list[ImageSet] = []
    done, steps = 0, sum(shares.values())
    for split in splits:
        parts.append((yield from shifted(dataset_sample(name, split, shares[split], seed), done, steps)))
        done += shares[split]
    return joined(parts, splits, title="Split", name=f"splits:{name}/{count}/{seed}", of=f"{info['title']}, all splits")


def joined(parts: Sequence[ImageSet], values: Sequence[str], *, title: str, name: str, of: str) -> ImageSet:
    """Sets that share their classes as one, with what tells the parts apart as an attribute.

    Args:
        values: what each part is called.
        title: what kind of thing that is.
        name, of: of the new set, as `ImageSet.name` and `ImageSet.title`.
    """
    side = min(part.thumbnails.shape[1] for part in parts)
    codes = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    starts = np.cumsum([0, *(len(part) for part in parts)])
    labels = np.concatenate([part.labels for part in parts])

    def source(wanted: int) -> ArrayDataset:
        found = [part.source(wanted).images for part in parts]
        extent = found[0].shape[1]

        def draw(row: int, size: int) -> np.ndarray:
            part = int(codes[row])
            image = np.asarray(found[part][row - int(starts[part])])
            return image if image.shape[:2] == (size, size) else square(Image.fromarray(image), size)

        images = Drawn(draw, range(len(labels)), extent)
        return ArrayDataset(name=name, split="all splits", images=images, labels=labels, classes=parts[0].classes)  # type: ignore[arg-type]

    return ImageSet(
        name=name,
        title=of,
        ids=tuple(each for part in parts for each in part.ids),
        labels=labels,
        classes=parts[0].classes,
        thumbnails=np.concatenate([_at(part.thumbnails, side) for part in parts]),
        source=source,
        note=" ".join(part.note for part in parts if part.note),
        kind=parts[0].kind,
        attributes=(Attribute(title=title, codes=codes, values=tuple(values)),),
    )


def condition_set(
    name: str, split: str, count: int, seed: int, conditions: Sequence[ConditionName] = tuple(CONDITIONS)
) -> Generator[Progress, None, ImageSet]:
    """Random pictures of a split, each as it is and changed, up to `count` in all; every one at its usual strength.

    Where a condition cannot be drawn of a picture, as a silhouette of what looks like its background, it is left out,
    and the note says so.

    Raises:
        CoreError: as `core.data.image_sets.dataset_sample`.
    """
    return (
        yield from changed_set(
            (yield from dataset_sample(name, split, max(1, count // len(conditions)), seed)),
            conditions,
            name=f"conditions:{name}/{split}/{count}/{seed}",
        )
    )


def changed_set(
    base: ImageSet, conditions: Sequence[ConditionName] = tuple(CONDITIONS), *, name: str
) -> Generator[Progress, None, ImageSet]:
    """The pictures of `base` under each condition, as one set with the condition as an attribute."""
    pixels = base.source(_SIDE).images
    photos = [
        Photo(
            id=f"{base.ids[row]}, {CONDITIONS[kind].title.lower()}",
            open=changed_picture(_opened(pixels, row), kind, _usual(kind), row),
            label=int(base.labels[row]),
            mark=place,
        )
        for place, kind in enumerate(conditions)
        for row in range(len(base))
    ]
    titles = tuple(CONDITIONS[kind].title for kind in conditions)
    found: ImageSet = yield from photo_set(
        photos,
        base.classes,
        name=name,
        title=f"{base.title}, in {len(conditions)} conditions",
        marks=("Condition", titles),
    )
    return replace(found, kind=base.kind, note=" ".join(each for each in (base.note, found.note) if each))


def _usual(kind: ConditionName) -> float:
    strengths = CONDITIONS[kind].strengths
    return strengths[1] if strengths else 0.0


def _opened(pixels: np.ndarray, row: int) -> Callable[[], Image.Image]:
    return lambda: Image.fromarray(np.array(pixels[row]))


def _at(thumbnails: np.ndarray, side: int) -> np.ndarray:
    if thumbnails.shape[1] == side:
        return thumbnails
    return np.stack([square(Image.fromarray(each), side) for each in thumbnails])
