"""Hooks see one thread's pass, hand out the very tensors, and do not outlive their context."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from core.models.capture import captured


def test_order_graph_and_cleanup():
    layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with captured(layers) as outputs, captured(layers, "input") as inputs:
        result = layers(torch.ones(1, 2))
    assert outputs[0] is inputs[1]
    assert outputs[1] is result
    assert torch.autograd.grad(result.sum(), outputs[0])[0].abs().sum() > 0
    assert not any(layer._forward_hooks for layer in layers)
    with pytest.raises(RuntimeError), captured(layers):
        layers(torch.ones(1, 3))
    assert not any(layer._forward_hooks for layer in layers)


def test_passes_of_other_threads_are_not_seen():
    layer = nn.Linear(2, 2)
    with captured([layer]) as outputs:
        other = threading.Thread(target=layer, args=(torch.ones(1, 2),))
        other.start()
        other.join()
        assert outputs == []
        layer(torch.ones(1, 2))
    assert len(outputs) == 1
