"""Train on Home."""

from __future__ import annotations

from pages.shared.pickers import Picture
from pages.shared.previews import augmented_photo
from pages.shared.tiles import Tiles, tile

TOUR = ("**Train**: choose another augmentation and watch the images change; ask how long it would take here.",)


def augmented(picture: Picture) -> None:
    """What training makes of the chosen photo."""
    tile(
        augmented_photo(picture.digest, picture.image),
        "Train",
        "The same photo as a ViT meets it in nine epochs of RandAugment, 32 pixels wide.",
        "train",
    )


TILES: Tiles = ((1, augmented),)
