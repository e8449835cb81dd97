"""One manipulation after another, and how they are written in settings and addresses: `scramble:4+grey:100`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import ConfigError
from core.methods.manipulations.catalogue import manipulation


@dataclass(frozen=True)
class Step:
    """A manipulation at one strength.

    Attributes:
        extent: the second number of those that have one; None is its usual value.

    Raises:
        UnknownNameError: there is no such manipulation.
        ConfigError: it has no such strength, or no such second number.
    """

    name: str
    strength: float
    extent: float | None = None

    def __post_init__(self) -> None:
        row = manipulation(self.name)
        row.check(self.strength)
        if self.extent is None:
            return
        if row.extent is None:
            raise ConfigError(f"{row.title} takes one number, its strength.", f"Write {self.name}:{self.strength:g}.")
        if not row.extent.lowest <= self.extent <= row.extent.highest:
            raise ConfigError(
                f"{row.extent.title} goes from {row.extent.lowest:g} to {row.extent.highest:g} {row.extent.unit}, "
                f"not {self.extent:g}.",
                "Choose a share in between.",
            )

    @property
    def neutral(self) -> bool:
        """Whether it changes nothing."""
        return self.strength == manipulation(self.name).neutral

    @property
    def words(self) -> str:
        """As it is written beside a picture: 'Scrambled tiles, 4 tiles a side'."""
        row = manipulation(self.name)
        return f"{row.title}, {row.words(self.strength)}"


def format_steps(steps: Sequence[Step]) -> str:
    """The steps as text that `parse_steps` reads: `noise_patch:64@0.0625+grey:100`, or nothing for none."""
    return "+".join(
        f"{step.name}:{_number(step.strength)}" + ("" if step.extent is None else f"@{_number(step.extent)}")
        for step in steps
    )


def parse_steps(text: str) -> tuple[Step, ...]:
    """The steps that `format_steps` wrote; a name alone has its usual strength.

    Raises:
        UnknownNameError: a step names no manipulation.
        ConfigError: what follows the name is no strength of it.
    """
    # An address turns a plus into a space.
    return tuple(_step(part.strip()) for part in text.replace(" ", "+").split("+") if part.strip())


def _step(part: str) -> Step:
    name, _, rest = part.partition(":")
    row = manipulation(name)
    strength, _, extent = rest.partition("@")
    try:
        return Step(name, float(strength) if strength else row.usual, float(extent) if extent else None)
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{part!r} is no manipulation with its strength.", f"Write it as {name}:{row.usual:g}."
        ) from error


def _number(value: float) -> str:
    """The shortest text that is read as the same number."""
    return str(int(value)) if value == int(value) else repr(float(value))
