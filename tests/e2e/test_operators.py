"""Operators in the browser: the same numbers as torch's, and six columns that follow the hand."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.methods.operators.layer import OperatorLayer, run_layer
from core.methods.operators.learned_layer import learned_layer
from core.methods.operators.single_layer import OPERATORS, OperatorSettings, random_layers
from core.models.mixer import MixerConfig, MixerNetwork, OperatorName
from pages.components.operators import operators as component
from pages.components.operators.packing import Arrays, pack
from tests.e2e.waiting import until

# The component's own arithmetic on packed layers, without its pictures.
COMPUTE = """
([columns, packed, grid, state, channel]) => {
  const arrays = Object.fromEntries(Object.entries(packed).map(([name, text]) => [name,
    Float64Array.from(new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer))]))
  const layers = layersOf(columns, arrays, grid)
  const run = sweep(layers, state)
  let step = run.next()
  while (!step.done) step = run.next()
  return layers.map((layer, index) => ({
    output: [...step.value[index].output], kept: step.value[index].own, local: isLocal(layer),
    row: [...rowAt(layer, state.at, state, channel)], field: [...fieldAt(layer, state.at, state)],
    y: factorsOf(layer, state.at, { ...state, channel }).y,
  }))
}
"""
CHOICES: list[tuple[tuple[int, int], dict[str, Any]]] = [
    ((6, 7), {}),
    ((7, 6), {"padding": "circular", "outside": "excluded", "window": "whole", "modulation": "softmax",
              "activation": "gelu"}),
    ((6, 7), {"modulation": "softmax", "axis": "channels", "projections": "none", "kernel_size": 5, "weight": 3.0}),
    ((5, 9), {"modulation": "softmax_rescaled", "padding": "circular", "temperature": 0.3, "weight": -2.0}),
    ((1, 4), {"normalise": False, "kernel": "gaussian", "activation": "gelu", "channels": 5, "kernel_size": 7}),
    ((6, 7), {"modulation": "softmax_rescaled", "axis": "channels", "activation": "gelu", "channels": 3}),
    ((1, 1), {}),
]  # fmt: skip


@pytest.fixture
def compute(page: Any) -> Callable[..., list[dict[str, Any]]]:
    """What the component's JavaScript makes of layers."""
    folder = Path(component.__file__).parent
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in component.FILES[1:])

    def asked(layers: dict[OperatorName, OperatorLayer], at: int, channel: int) -> list[dict[str, Any]]:
        first, arrays = next(iter(layers.values())), Arrays()
        state = {"kernel": 0, "temperature": first.temperature, "weight": first.weight, "at": at}
        columns = pack(layers, {}, arrays)
        found: list[dict[str, Any]] = page.evaluate(
            f"(given) => {{ {script}\n return ({COMPUTE})(given) }}",
            [columns, arrays.bytes, list(first.grid), state, channel],
        )
        return found

    return asked


def check(found: dict[str, Any], layer: OperatorLayer, at: int, channel: int) -> None:
    """All numbers of one column against torch's, to 1e-5."""
    position = divmod(at, layer.grid[1])
    expected = run_layer(layer, position)
    close = {"atol": 1e-5, "rtol": 1e-5}
    output = np.array(found["output"]).reshape(*layer.grid, -1).transpose(2, 0, 1)
    np.testing.assert_allclose(output, expected.output, **close)
    np.testing.assert_allclose(found["y"], expected.output[(channel, *position)], **close)
    row = expected.row[min(channel, len(expected.row) - 1)]
    np.testing.assert_allclose(np.reshape(found["row"], layer.grid), row, **close)
    np.testing.assert_allclose(np.reshape(found["field"], layer.grid), expected.field.gradient, **close)
    assert found["local"] == layer.local
    if expected.weights is None:
        assert found["kept"] is None
    else:
        np.testing.assert_allclose(found["kept"], np.diag(expected.weights).mean(), **close)


@pytest.mark.parametrize(("shape", "changes"), CHOICES)
def test_the_browser_computes_what_torch_does(
    compute: Callable[..., Any], shape: tuple[int, int], changes: dict[str, Any]
) -> None:
    picture = np.random.default_rng(0).random((*shape, 3), dtype=np.float32)
    layers = random_layers(picture, OperatorSettings(**changes))
    for at in {0, shape[0] * shape[1] - 1, shape[0] * shape[1] // 2}:
        for found, layer in zip(compute(layers, at, 1), layers.values(), strict=True):
            check(found, layer, at, 1)


@pytest.mark.parametrize("strict", [False, True])
def test_so_it_does_with_what_was_learned(compute: Callable[..., Any], strict: bool) -> None:
    torch.manual_seed(0)
    choices: dict[str, Any] = (
        {"outside": "excluded", "window": "whole", "modulation": "softmax", "activation": "gelu"} if strict else {}
    )
    for name in OPERATORS:
        config = MixerConfig(
            operator=name, image_size=20, patch_size=4, embed_dim=12, num_heads=2, depth=1, kernel_size=3, **choices
        )
        network = MixerNetwork(config)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.3 * torch.randn(parameter.shape)
        layer = learned_layer(network, torch.randn(1, 3, 20, 20), block=0, head=1)
        [found] = compute({name: layer}, 7, 2)
        check(found, layer, 7, 2)


def pictures(page: Any, row: str) -> list[str]:
    """The six pictures of a row as they are on the screen."""
    found: list[str] = page.locator(f".cell[data-row='{row}']").evaluate_all(
        "cells => cells.map((cell) => cell.querySelector('canvas').toDataURL())"
    )
    assert len(found) == 6
    return found


def settled(page: Any, kernel: int, temperature: float, weight: float) -> None:
    """Wait until all positions have been computed with these."""
    page.locator(f".columns[data-swept='[{kernel},{temperature:g},{weight:g}]']").wait_for()


def changed(before: list[str], after: list[str]) -> list[bool]:
    return [first != second for first, second in zip(before, after, strict=True)]


def test_six_columns_follow_the_hand(server: str, page: Any) -> None:
    page.goto(f"{server}/operators?image=example:cat&size=16&temperature=1")
    settled(page, 3, 1, 1)
    attention, fields, outputs = (pictures(page, row) for row in ("A", "field", "y"))

    # Another position: every attention and field is another, what comes out is not.
    photo = page.get_by_role("application")
    box = photo.bounding_box()
    photo.click(position={"x": box["width"] * 0.1, "y": box["height"] * 0.1})
    page.get_by_text("i: row 2, column 2").wait_for()
    # But for convolution-modulated attention, whose factors are the same from wherever one asks.
    until(page, lambda: changed(attention, pictures(page, "A")) == [True] * 5 + [False], "attention from elsewhere")
    until(page, lambda: all(changed(fields, pictures(page, "field"))), "fields from elsewhere")
    assert pictures(page, "y") == outputs
    photo.press("ArrowRight")
    page.get_by_text("i: row 2, column 3").wait_for()

    # The temperature moves all that have a softmax between positions; the others have none, and stay as they are.
    page.get_by_label("Temperature", exact=True).fill("0.2")
    page.get_by_label("Temperature", exact=True).press("Tab")
    settled(page, 3, 0.2, 1)
    assert changed(outputs, pictures(page, "y")) == [False, True, True, True, True, False]

    # Size and weight of the kernel move all that have one.
    outputs = pictures(page, "y")
    page.get_by_label("Kernel size, an odd number").fill("7")
    page.get_by_label("Kernel size, an odd number").press("Tab")
    settled(page, 7, 0.2, 1)
    assert changed(outputs, pictures(page, "y")) == [True, False, True, True, True, True]
    slider = page.locator("input[data-control='weight']")
    slider.focus()
    slider.press("Home")
    settled(page, 7, 0.2, 0)
    without = pictures(page, "y")
    assert without[1] == without[2] == without[3]  # at weight 0 both combinations are attention

    # An even kernel has no centre: a sentence, and nothing moves.
    page.get_by_label("Kernel size, an odd number").fill("4")
    page.get_by_label("Kernel size, an odd number").press("Tab")
    page.get_by_role("alert").get_by_text("an even one has no centre").wait_for()
    settled(page, 7, 0.2, 0)
    assert pictures(page, "y") == without

    # The address has followed, and brings all of it back.
    page.wait_for_url(lambda url: "weight=0" in url and "kernel=7" in url and "at=2%2C3" in url)
    page.reload()
    settled(page, 7, 0.2, 0)
    page.get_by_text("i: row 2, column 3").wait_for()
    assert pictures(page, "y") == without


def test_terms_light_up_and_a_title_tells_the_operator_step_by_step(server: str, page: Any) -> None:
    page.goto(f"{server}/operators?image=example:cat&size=8")
    settled(page, 3, 2.83, 1)
    page.locator(".equation [data-term='w']").first.hover()
    page.get_by_text("w: the kernel, one weight for each offset").wait_for()
    # All but attention have a kernel.
    until(page, lambda: page.locator(".equation .lit").count() == 5, "the kernel lit up in five equations")
    page.get_by_role("button", name="Attention-modulated convolution").click()
    page.get_by_text("A convolution whose taps attention turns up and down").wait_for()
    page.get_by_text("All j together, channel 1 at i: y =").wait_for()


def test_colours_are_read_as_python_reads_them() -> None:
    """The browser's bytes are little-endian fp32, whatever made them."""
    arrays = Arrays()
    name = arrays.add(torch.tensor([[1.5, -2.0]], dtype=torch.float64))
    assert np.frombuffer(base64.b64decode(arrays.bytes[name]), "<f4").tolist() == [1.5, -2.0]
    assert arrays.add(torch.tensor([1.5, -2.0])) == name


def test_what_is_being_typed_outlives_an_answer_of_the_server(server: str, page: Any) -> None:
    page.goto(f"{server}/operators?image=example:cat&size=8&temperature=1")
    settled(page, 3, 1, 1)
    page.get_by_role("application").press("ArrowRight")  # what it chose is sent while the next field is being filled
    field = page.get_by_label("Temperature", exact=True)
    field.fill("0.2")
    page.wait_for_url(lambda url: "at=" in url)
    page.wait_for_timeout(500)
    assert field.input_value() == "0.2"
    field.press("Tab")
    settled(page, 3, 0.2, 1)
