"""What one head of a trained mixer does in one block: the same layer as the random ones, with what was learned."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from core.device import as_input_of
from core.errors import ConfigError
from core.finite import require_finite
from core.methods.operators.layer import OperatorLayer, Projection
from core.models.mixer import MixerBlock, MixerNetwork


@torch.no_grad()
def learned_layer(network: MixerNetwork, image: Tensor, *, block: int, head: int) -> OperatorLayer:
    """The operator of a head, on what its mixer reads of an image, after the norm; block and head counted from 0.

    `image`: (1, channels, height, width), normalised. The inputs are the block's, (embed_dim, rows, columns); what
    goes out is the head's share, before the projection of all heads.

    Raises:
        ConfigError: the network has no such block or head.
    """
    require_finite("The image", image)
    config = network.config
    for name, asked, count in (("block", block, config.depth), ("head", head, config.num_heads)):
        if not 0 <= asked < count:
            raise ConfigError(f"There is no {name} {asked + 1}: the network has {count}.", f"Choose another {name}.")
    mixer = cast(MixerBlock, network.blocks[block]).mixer
    trace = network.trace_mixers(as_input_of(network, image))
    rows = slice(head * config.embed_dim // config.num_heads, (head + 1) * config.embed_dim // config.num_heads)

    def projection(*names: str) -> Projection | None:
        for name, layer in mixer.named_children():
            if name in names and isinstance(layer, nn.Linear):
                return Projection(weight=layer.weight[rows].detach().cpu(), bias=layer.bias[rows].detach().cpu())
        return None

    kernel = mixer.kernel
    return OperatorLayer(
        operator=config.operator,
        inputs=trace.inputs[block][0].cpu(),
        query=projection("query", "modulator"),
        key=projection("key"),
        value=projection("value"),
        # It was learned in the order of a correlation.
        kernel=None if kernel is None else kernel[head].detach().cpu().flip(-2, -1),
        temperature=(config.embed_dim // config.num_heads) ** 0.5,
        padding=config.padding,
        outside=config.outside,
        window=config.window,
        modulation=config.modulation,
        activation=config.activation,
    )
