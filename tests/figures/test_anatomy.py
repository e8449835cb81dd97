"""The figures of parameters add up: every tensor once, in its block, roles sorted, two models mirrored."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.anatomy import ROLE_COLOURS, plot_anatomy, plot_comparison, plot_layers, plot_roles
from core.figures.theme import contrast, ink_on
from core.methods.anatomy.parts import Anatomy, Comparison, CountPair, Part


def part(path: str, role: str, shape: tuple[int, ...], *, layer: int | None = None, inner: str = "") -> Part:
    return Part(
        path=path, part=path.rpartition(".")[0], layer=layer, role=role, inner_role=inner or role,  # type: ignore[arg-type]
        tower="vision", shape=shape, parameters=int(np.prod(shape)),
    )  # fmt: skip


ANATOMY = Anatomy(
    rows=(
        part("blocks.0.query", "query", (4, 5), layer=0),
        part("blocks.0.mlp", "MLP", (10, 3), layer=0),
        part("blocks.1.query", "query", (4, 5), layer=1),
        part("head.weight", "head", (30,)),
    ),
    facts={},
)


def test_the_tree_map_holds_every_tensor_once_in_its_block() -> None:
    [tree] = plot_anatomy(ANATOMY, "a model").data
    values, parents = dict(zip(tree.ids, tree.values, strict=True)), dict(zip(tree.ids, tree.parents, strict=True))
    assert values["a model"] == ANATOMY.total == 100
    assert {name for name, parent in parents.items() if parent == "a model"} == {"blocks.0", "blocks.1", "head"}
    assert {name: values[name] for name in ("blocks.0", "blocks.1", "head")} == {
        "blocks.0": 50, "blocks.1": 20, "head": 30,
    }  # fmt: skip
    assert values["blocks.0/blocks.0.mlp"] == 30
    assert parents["blocks.0/blocks.0.mlp"] == "blocks.0"
    labels = dict(zip(tree.ids, tree.labels, strict=True))
    assert (labels["blocks.0"], labels["head/head.weight"]) == ("block 1", "head")
    notes = dict(zip(tree.ids, tree.customdata, strict=True))
    assert notes["blocks.0/blocks.0.mlp"] == "<br>blocks.0.mlp<br>10 × 3"
    assert notes["blocks.1"] == "<br>blocks.1"


def test_letters_of_the_tree_map_can_be_read_on_every_ground_whatever_the_page_is() -> None:
    figure = plot_anatomy(ANATOMY, "a model")
    [tree] = figure.data
    pairs = list(zip(tree.textfont.color, tree.marker.colors, strict=True))
    assert len(pairs) == len(tree.ids)
    assert all(contrast(ink, ground) >= 4.5 for ink, ground in pairs)
    assert all(contrast(ink_on(ground), ground) >= 4.5 for ground in ROLE_COLOURS.values())
    assert figure.layout.uniformtext.to_plotly_json() == {"minsize": 10, "mode": "hide"}


def test_contrasts_are_those_of_the_guideline() -> None:
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)  # the example of WCAG's techniques


def test_roles_are_counted_in_millions_and_the_largest_is_on_top() -> None:
    figure = plot_roles(ANATOMY)
    [bars] = figure.data
    assert list(bars.y) == ["MLP", "head", "query"]
    np.testing.assert_allclose(bars.x, [30e-6, 30e-6, 40e-6])
    assert list(bars.text) == ["30.0%", "30.0%", "40.0%"]
    assert list(bars.marker.color) == [ROLE_COLOURS[role] for role in bars.y]
    assert figure.layout.xaxis.range[0] == 0
    assert figure.layout.xaxis.range[1] == pytest.approx(48e-6)


def test_blocks_are_counted_from_one_and_what_is_outside_of_them_is_left_out() -> None:
    bars = {trace.name: trace for trace in plot_layers(ANATOMY).data}
    assert bars.keys() == {"query", "MLP"}
    assert list(bars["query"].x) == [1, 2]
    np.testing.assert_allclose(bars["query"].y, [20e-6, 20e-6])
    np.testing.assert_allclose(bars["MLP"].y, [30e-6, 0])


def test_two_models_are_mirrored_and_what_differs_is_full_in_colour() -> None:
    roles = (
        CountPair(layer=None, role="query", first=2_000_000, second=2_000_000),
        CountPair(layer=None, role="MLP", first=4_000_000, second=0),
    )
    figure = plot_comparison(Comparison(differences=(), roles=roles, rows=()), "this", "that")
    left, right = figure.data
    assert list(left.y) == ["MLP", "query"]
    np.testing.assert_allclose(left.x, [-4, -2])
    np.testing.assert_allclose(right.x, [0, 2])
    assert (list(left.text), list(right.text)) == (["4.00", "2.00"], ["", "2.00"])
    assert list(left.customdata) == [4_000_000, 2_000_000]
    assert list(left.marker.opacity) == [1.0, 0.35]
    assert list(figure.layout.xaxis.tickvals) == [-4, -2, 0, 2, 4]
    assert list(figure.layout.xaxis.ticktext) == ["4", "2", "0", "2", "4"]
    assert list(figure.layout.xaxis.range) == [-5, 5]
