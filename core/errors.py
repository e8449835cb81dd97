"""Everything a user can get wrong, as sentences: what was expected, what was got, what to do.

The UI shows a `CoreError` as cause and remedy; any other exception is a bug and stays loud.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CoreError(Exception):
    """A failure whose cause the user can understand and act on."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(f"{cause} {remedy}".strip())
        self.cause = cause
        self.remedy = remedy


class ConfigError(CoreError, ValueError):
    """A setting lies outside what the code can honour."""


class ShapeError(CoreError, ValueError):
    """An array has other axes than the function is defined for."""


class NotFiniteError(CoreError, ValueError):
    """An array holds NaN or infinite values, on which every comparison would answer at random."""


class ImageError(CoreError, ValueError):
    """A file is not an image that we are willing to decode."""


class ArchiveError(CoreError, ValueError):
    """An archive or class folder cannot be imported safely."""


class UnknownNameError(CoreError, LookupError):
    """A name is in no catalogue; the message lists the names that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        nearest = get_close_matches(name, known, n=1)
        hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Known: {', '.join(known) or 'none'}."
        super().__init__(f"There is no {kind} named {name!r}.", hint)


class MissingWeightsError(CoreError):
    """The weights are not on this machine; the remedy says how to get them."""


class IncompatibleError(CoreError):
    """The method needs something that this model does not have."""


class NotOfferedError(IncompatibleError, AttributeError):
    """A network was asked for what it does not have: `hasattr` says no, and a call says why."""


class OfflineError(CoreError):
    """A download was needed and the network did not answer."""


class RunFailedError(CoreError):
    """A background run ended badly; `traceback` holds what it printed."""

    def __init__(self, cause: str, remedy: str = "", traceback: str = "") -> None:
        super().__init__(cause, remedy)
        self.traceback = traceback
