"""Photos to begin with, so that no page opens empty. They come with packages that are installed anyway."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from core.data.images import decode_image
from core.errors import CoreError, UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Example:
    """One photo.

    Attributes:
        name: key in the catalogue and in page addresses.
        title: what people read.
        package: the installed package that holds the file, as `pip` calls it.
        module: the same package, as Python imports it.
        file: path inside the module.
        attribution: who made it.
        licence: under which it may be shown.
        word: the ImageNet class that fits it best; None where ImageNet has no class for it, which is worth seeing too.
    """

    name: str
    title: str
    package: str
    module: str
    file: str
    attribution: str
    licence: str
    word: str | None = None


def _scikit_image(name: str, title: str, file: str, attribution: str, licence: str, word: str | None = None) -> Example:
    return Example(
        name=name,
        title=title,
        package="scikit-image",
        module="skimage",
        file=f"data/{file}",
        attribution=attribution,
        licence=licence,
        word=word,
    )


def _scikit_learn(name: str, title: str, file: str, photographer: str, word: str | None = None) -> Example:
    return Example(
        name=name,
        title=title,
        package="scikit-learn",
        module="sklearn",
        file=f"datasets/images/{file}",
        attribution=f"{photographer} (Flickr)",
        licence="CC BY 2.0",
        word=word,
    )


_ALL = (
    _scikit_image("cat", "Cat", "chelsea.png", "Stéfan van der Walt", "CC0", "tiger cat"),
    _scikit_image("coffee", "Cup of coffee", "coffee.png", "Rachel Michetti, Pikolo Espresso Bar", "CC0", "espresso"),
    _scikit_image("motorcycle", "Motorcycle", "motorcycle_left.png", "Middlebury Stereo 2014", "not stated", "moped"),
    _scikit_image("astronaut", "Astronaut Eileen Collins", "astronaut.png", "NASA", "public domain"),
    _scikit_image("rocket", "Rocket at dusk", "rocket.jpg", "SpaceX", "public domain", "missile"),
    _scikit_image("camera", "Photographer (greyscale)", "camera.png", "Lav Varshney", "CC0", "tripod"),
    _scikit_learn("pagoda", "Tower of the Summer Palace", "china.jpg", "danielbuechele", "palace"),
    # The package's README names danielbuechele for both of its photos but links to vultilion's page for this one.
    _scikit_learn("flower", "Dahlia", "flower.jpg", "vultilion"),
)

EXAMPLES: dict[str, Example] = {example.name: example for example in _ALL}


def load_example(name: str) -> Image.Image:
    """The photo called `name`, upright RGB.

    Raises:
        UnknownNameError: there is no such example.
        CoreError: the package that holds it is not installed.
    """
    if name not in EXAMPLES:
        raise UnknownNameError("example image", name, EXAMPLES)
    example = EXAMPLES[name]
    # Found, not imported: scikit-learn alone would cost half a second.
    module = find_spec(example.module)
    path = Path(module.origin).parent / example.file if module is not None and module.origin else None
    if path is None or not path.is_file():
        raise CoreError(
            f"The example {example.title!r} comes with {example.package}, where it was not found.",
            f"Install it: python -m pip install {example.package}",
        )
    return decode_image(path.read_bytes(), name=path.name)
