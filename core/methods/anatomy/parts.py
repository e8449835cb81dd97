"""What a model is made of, as it is described and compared: parts, their roles, and the facts of a design.

`core.methods.anatomy.anatomy` reads them from a module.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

from core.notebook import Drawn

Role = Literal[
    "patch embedding",
    "positional",
    "class token",
    "convolution",
    "query",
    "key",
    "value",
    "output projection",
    "lambda",
    "MLP",
    "norm",
    "bias",
    "layer scale",
    "projection",
    "head",
    "token embedding",
    "text tower",
    "other",
]
ROLES: tuple[Role, ...] = get_args(Role)
Tower = Literal["vision", "text"]
Fact = str | int

# Facts of a design in order of presentation, and what people read.
FACTS: dict[str, str] = {
    "kind": "Kind",
    "parameters": "Parameters",
    "depth": "Blocks",
    "width": "Width",
    "heads": "Attention heads",
    "attention": "Attention",
    "mlp_width": "MLP width",
    "patch_size": "Patch size",
    "stem": "Stem",
    "stem_pooling": "Pooling after the stem",
    "downsampling": "Downsampling",
    "pooling": "Pooling",
    "output_dim": "Output dimension",
    "norm": "Normalisation",
    "activation": "Activation",
    "text_depth": "Text blocks",
    "text_width": "Text width",
    "text_heads": "Text attention heads",
    "vocabulary": "Text vocabulary",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One tensor of parameters, or one of the equal parts of a fused query-key-value tensor.

    Attributes:
        path: name in the module; a part of a fused tensor ends in its slice of rows.
        part: the block that it belongs to (`blocks.3`, `layer1.0`), the stage around blocks, or its first-level module.
        layer: number of that block within its tower, from 0; None outside of blocks. `title` counts from 1.
        role: what it is for; "text tower" for everything there.
        inner_role: the same, but inside the text tower too.
        tower: vision, or text in an image-text model.
        shape: of the tensor or part.
        parameters: how many numbers.
    """

    path: str
    part: str
    layer: int | None
    role: Role
    inner_role: Role
    tower: Tower
    shape: tuple[int, ...]
    parameters: int

    @property
    def title(self) -> str:
        """The part as people read it, blocks and stages counted from 1: "block 4", "text block 1", "stage 2"."""
        if self.layer is not None:
            return f"{'text ' * (self.tower == 'text')}block {self.layer + 1}"
        *_, kind, number = ("", *self.part.split("."))
        return f"{kind.removesuffix('s')} {int(number) + 1}" if kind and number.isdigit() else self.part


@dataclass(frozen=True, kw_only=True)
class Anatomy(Drawn):
    """All parameters of a model, each counted once, and the facts of its design (keys of `FACTS`)."""

    rows: tuple[Part, ...]
    facts: dict[str, Fact]

    @property
    def total(self) -> int:
        """Parameters of the whole module."""
        return sum(row.parameters for row in self.rows)

    def by_role(self) -> dict[Role, int]:
        """Parameters of each role that occurs, in the order of `ROLES`."""
        counts: Counter[Role] = Counter()
        for row in self.rows:
            counts[row.role] += row.parameters
        return {role: counts[role] for role in ROLES if role in counts}

    def by_layer(self, tower: Tower = "vision") -> dict[int | None, dict[Role, int]]:
        """Parameters by block and (inner) role; None holds what lies outside of blocks."""
        layers: dict[int | None, dict[Role, int]] = {}
        for row in self.rows:
            if row.tower == tower:
                roles = layers.setdefault(row.layer, {})
                roles[row.inner_role] = roles.get(row.inner_role, 0) + row.parameters
        return layers


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One way in which two models differ, with the values (None: it has no such thing) and as a sentence."""

    topic: str
    first: Fact | None
    second: Fact | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class CountPair:
    """Parameters of one role in one block of two models; `layer` is None outside of blocks and for totals."""

    layer: int | None
    role: Role
    first: int
    second: int

    @property
    def differs(self) -> bool:
        return self.first != self.second


@dataclass(frozen=True, kw_only=True)
class Comparison(Drawn):
    """Two models side by side.

    Attributes:
        differences: of design first, then of the roles' sizes.
        roles: totals of every role that either model has.
        rows: the same by block of the vision tower.
    """

    differences: tuple[Difference, ...]
    roles: tuple[CountPair, ...]
    rows: tuple[CountPair, ...]


def compare_anatomy(first: Anatomy, second: Anatomy) -> Comparison:
    """Where two models differ, in words and in numbers."""
    differences = [
        _difference(label, first.facts.get(key), second.facts.get(key))
        for key, label in FACTS.items()
        if first.facts.get(key) != second.facts.get(key)
    ]
    ours, theirs = first.by_role(), second.by_role()
    roles = [
        CountPair(layer=None, role=role, first=ours.get(role, 0), second=theirs.get(role, 0))
        for role in ROLES
        if role in ours or role in theirs
    ]
    differences += [
        _difference(f"Parameters: {pair.role}", pair.first or None, pair.second or None)
        for pair in roles
        if pair.differs
    ]
    blocks, other_blocks = first.by_layer(), second.by_layer()
    rows = [
        CountPair(
            layer=layer,
            role=role,
            first=blocks.get(layer, {}).get(role, 0),
            second=other_blocks.get(layer, {}).get(role, 0),
        )
        for layer in sorted({*blocks, *other_blocks}, key=lambda layer: -1 if layer is None else layer)
        for role in ROLES
        if role in blocks.get(layer, {}) or role in other_blocks.get(layer, {})
    ]
    return Comparison(differences=tuple(differences), roles=tuple(roles), rows=tuple(rows))


def _difference(topic: str, first: Fact | None, second: Fact | None) -> Difference:
    said = ["none" if value is None else f"{value:,}" if isinstance(value, int) else value for value in (first, second)]
    return Difference(topic=topic, first=first, second=second, sentence=f"{topic}: {said[0]} against {said[1]}.")
