"""What of this page the address keeps beside its widgets: how far the slider stands, and the mask painted by hand.

A mask is its grid and a bit a patch, `14x14.AAEAAQ`, or `none`.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.errors import ConfigError
from pages.shared.address import remember, remembered
from pages.shared.foreign import plain

NOTHING = "none"
SHARE = "25"
_FORM = re.compile(r"([1-9]\d{0,2})x([1-9]\d{0,2})\.([\w-]*)", re.ASCII)


def step_shown(steps: int) -> int:
    """Of `steps` equal ones, where the slider stands, by the share in the address, in percent."""
    text = remembered("share", SHARE, always=False)
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 100:
        st.warning(
            f"What the address says of share is none of 0 to 100 %: {SHARE} % are removed.", icon=":material/link_off:"
        )
        share = float(SHARE)
    return round(share / 100 * steps)


def choose_step(step: int, steps: int) -> None:
    """Let the slider stand at `step`; the address follows."""
    remember("share", f"{100 * step / steps:.0f}")


def mask_shown(grid: tuple[int, int]) -> tuple[int, ...]:
    """The patches of `grid` that were removed by hand; none, and a sentence, where the address cannot be meant."""
    try:
        return read_mask(remembered("mask", NOTHING, always=False), grid)
    except ConfigError as error:
        st.warning(plain(error.cause), icon=":material/link_off:")
        return ()


def choose_mask(removed: Sequence[int], grid: tuple[int, int]) -> None:
    """Let these patches be removed by hand; the address follows."""
    remember("mask", written_mask(removed, grid))


def written_mask(removed: Sequence[int], grid: tuple[int, int]) -> str:
    """The patches `removed` of a `grid` (rows, columns), by raster index."""
    if not removed:
        return NOTHING
    bits = np.zeros(grid[0] * grid[1], dtype=bool)
    bits[list(removed)] = True
    # What follows the last set bit goes without saying.
    packed = np.packbits(bits).tobytes().rstrip(b"\0")
    return f"{grid[0]}x{grid[1]}." + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_mask(text: str, grid: tuple[int, int]) -> tuple[int, ...]:
    """The patches that `text` removes from a `grid`, in raster order.

    Raises:
        ConfigError: it is none, or of another grid.
    """
    if text == NOTHING:
        return ()
    found = _FORM.fullmatch(text)
    if not found:
        raise ConfigError("What the address says of mask is no mask: nothing is removed.")
    rows, columns, packed = int(found[1]), int(found[2]), found[3]
    if (rows, columns) != grid:
        raise ConfigError(
            f"The mask in the address is of {rows} × {columns} patches, and this model has {grid[0]} × {grid[1]}: "
            "nothing is removed."
        )
    try:
        content = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ConfigError("What the address says of mask is no mask: nothing is removed.") from error
    removed = np.flatnonzero(np.unpackbits(np.frombuffer(content, np.uint8)))
    if len(removed) and removed[-1] >= rows * columns:
        raise ConfigError(f"The mask in the address is larger than its {rows} × {columns} patches: nothing is removed.")
    return tuple(removed.tolist())
