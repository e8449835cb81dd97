"""What the page Patch features computes: the tokens of all photos, their colours, and what is like a chosen patch."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from core.data.transforms import to_batch
from core.errors import ConfigError
from core.figures.patch_features import colour_sheet, likeness_sheet
from core.methods.patch_features.patch_features import (
    Ground,
    PatchColours,
    PatchTokens,
    nearest_patches,
    patch_colours,
    patch_similarity,
    patch_tokens,
)
from core.reports import OnProgress, silent
from pages.shared.cache import display_photo, in_use, loaded_model
from pages.shared.pickers import Picture
from pages.shared.results import shared
from pages.shared.views import ViewPart, as_table


@dataclass(frozen=True, kw_only=True)
class FeaturesView:
    """The page Patch features.

    Attributes:
        model: a name of the catalogue.
        images: keys, as in the address.
        layer: from 0.
        ground: which patches are left uncoloured.
        chosen: photo and patch, each from 0, that all others are compared with; None: nothing is.
    """

    model: str
    images: tuple[str, ...]
    layer: int
    ground: Ground
    chosen: tuple[int, int] | None

    def facts(self) -> dict[str, object]:
        """As it is written down, layers counted from 1 as on the page."""
        return asdict(self) | {"layer": self.layer + 1}


@shared("Reading the patches …", most=6)
def tokens_of(
    name: str, digests: tuple[str, ...], _pictures: list[Picture], *, on_progress: OnProgress = silent
) -> PatchTokens:
    """The tokens of all photos."""
    parts = []
    for index, picture in enumerate(_pictures):
        on_progress(index / len(_pictures), picture.title)
        with in_use(name) as model:
            model.spec.require("attention", "Looking at patch tokens")
            parts.append(patch_tokens(model.module, to_batch([picture.image], model.network.preprocessing)))
    return PatchTokens(tokens=np.concatenate([part.tokens for part in parts], axis=1), grid=parts[0].grid)


@shared("Colouring the patches …", most=12)
def colours_of(
    name: str,
    digests: tuple[str, ...],
    ground: Ground,
    _pictures: list[Picture],
    *,
    on_progress: OnProgress = silent,
) -> list[PatchColours]:
    """Colours of every layer; where too few patches are left in one, all of its patches have theirs."""
    found = tokens_of(name, digests, _pictures)
    colours = []
    for layer, tokens in enumerate(found.tokens):
        on_progress(layer / found.layers, f"layer {layer + 1} of {found.layers}")
        try:
            colours.append(patch_colours(tokens, found.grid, ground=ground))
        except ConfigError:
            colours.append(patch_colours(tokens, found.grid))
    return colours


def shown_part(view: FeaturesView, pictures: list[Picture]) -> ViewPart:
    """Pictures and numbers of the layer that is shown."""
    digests = tuple(picture.digest for picture in pictures)
    found = tokens_of(view.model, digests, pictures)
    colours = colours_of(view.model, digests, view.ground, pictures)[view.layer]
    model = loaded_model(view.model)
    photos = [display_photo(model, picture.digest, picture.image) for picture in pictures]
    arrays = {"tokens": found.tokens[view.layer], "colours": colours.colours, "figure": colours.figure}
    sheets = {"patch_features": colour_sheet(photos, colours.colours, colours.figure)}
    facts: dict[str, object] = {"shares": [round(float(share), 4) for share in colours.shares]}
    maps = colours.first
    if view.chosen is not None:
        likeness = patch_similarity(found.tokens[view.layer], *view.chosen)
        maps = arrays["likeness"] = likeness.reshape(len(pictures), *found.grid)
        facts["nearest"] = list(nearest_patches(likeness, view.chosen[0]))
        sheets["likeness"] = likeness_sheet(photos, maps)
    names = [f"{index + 1} {picture.title}" for index, picture in enumerate(pictures)]
    return ViewPart(pictures=sheets, arrays=arrays, table=as_table(dict(zip(names, maps, strict=True))), facts=facts)
