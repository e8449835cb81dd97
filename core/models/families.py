"""Architectures of ours by name: each module is built from its config alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from core.configs import from_dict
from core.errors import UnknownNameError
from core.models.differential import DifferentialViT
from core.models.mixer import MixerConfig, MixerNetwork
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.vae import VAE, VAEConfig
from core.models.vit import ViT, ViTConfig


class Family(NamedTuple):
    """An architecture of ours: the module is built from its config alone."""

    module: Callable[[Any], nn.Module]
    config: type


OWN_FAMILIES: dict[str, Family] = {
    "vit": Family(ViT, ViTConfig),
    "differential_vit": Family(DifferentialViT, ViTConfig),
    "small_cnn": Family(SmallCNN, SmallCNNConfig),
    "vae": Family(VAE, VAEConfig),
    "mixer": Family(MixerNetwork, MixerConfig),
}


def build_family(families: Mapping[str, Family], family: str, config: dict[str, Any]) -> nn.Module:
    """A freshly initialised module of one of `families`.

    Raises:
        UnknownNameError: there is no such family.
        ConfigError: its config does not fit.
    """
    if family not in families:
        raise UnknownNameError("model family", family, families)
    module, kind = families[family]
    return module(from_dict(kind, config))
