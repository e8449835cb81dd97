"""Figures of latent spaces: each number is where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from core.figures.latent import (
    KINDS,
    manifold_sheet,
    plot_latent_plane,
    plot_moments,
    plot_rate_distortion,
    plot_spread,
    plot_units,
)
from core.methods.latent.collapse import Units
from core.methods.latent.drawing import Manifold
from core.methods.latent.rate_distortion import rate_distortion
from core.methods.latent.statistics import LatentStatistics
from tests.methods.latent.test_rate_distortion import card

UNITS = Units(kl=np.array([0.05, 2.0, 0.0]), spread=np.array([0.1, 0.9, 0.0]), free_bits=0.05)


def test_bars_are_in_the_order_of_their_kl_and_coloured_by_what_they_carry() -> None:
    figure = plot_units(UNITS)
    bars = {trace.name: trace for trace in figure.data}
    assert set(bars) == {"active: 1", "active, at its free bits: 1", "not active: 1"}
    assert bars["active: 1"].y.tolist() == [2.0]
    assert bars["active: 1"].marker.color == KINDS["active"]
    assert [int(trace.x[0]) for trace in figure.data] == [0, 1, 2]
    assert list(figure.layout.xaxis.ticktext) == ["1", "0", "2"]


@pytest.mark.parametrize("latents", [1, 256])
def test_few_and_many_latents(latents: int) -> None:
    units = Units(kl=np.linspace(0, 1, latents), spread=np.linspace(0, 1, latents))
    assert len(plot_units(units).layout.xaxis.ticktext) <= 26
    random = np.random.default_rng(0)
    moments = LatentStatistics(
        means=random.normal(size=(5, latents)), log_variances=np.zeros((5, latents)), kl=units.kl
    )
    assert len(plot_moments(moments, moments.order()).data[0].x) == latents
    assert sum(trace.x is not None for trace in plot_spread(units).data) == 1


def test_moments_are_averages_of_each_latent_with_their_quantiles() -> None:
    means = np.array([[0.0, 10.0], [2.0, 10.0]])
    found = LatentStatistics(means=means, log_variances=-means, kl=np.array([1.0, 2.0]))
    figure = plot_moments(found, found.order())
    assert figure.data[0].y.tolist() == [10.0, 1.0]
    assert figure.data[1].y.tolist() == [-10.0, -1.0]
    np.testing.assert_allclose(figure.data[0].error_y.array, [0, 0.9])


def test_the_cut_stands_where_delta_is() -> None:
    figure = plot_spread(Units(kl=np.ones(2), spread=np.array([0.5, 0.001]), delta=0.01))
    assert figure.layout.shapes[0].x0 == pytest.approx(-2)
    assert figure.layout.annotations[0].text == "δ = 0.01"


def test_the_plane_has_a_trace_for_every_class_and_the_chosen_place() -> None:
    means = np.arange(12.0).reshape(4, 3)
    figure = plot_latent_plane(means, np.array([0, 1, 0, 1]), ("a", "<b>"), dimensions=(2, 0), pinned=np.ones(3))
    assert figure.data[0].x.tolist() == [2.0, 8.0]
    assert figure.data[0].y.tolist() == [0.0, 6.0]
    assert figure.data[-1].name == "chosen"
    assert len(plot_latent_plane(means, np.zeros(4, int), ()).data) == 1


def test_rates_stand_against_nats_only_where_those_compare() -> None:
    alike = plot_rate_distortion(rate_distortion({"one": card(8, 735), "two": card(25, 700)}))
    assert alike.data[0].y == (735, 700)
    assert alike.layout.yaxis.title.text == "distortion (nats)"
    assert len(alike.data) == 3  # and a line of equal ELBO through each
    other = plot_rate_distortion(rate_distortion({"one": card(8, 735), "two": card(25, 90, likelihood="bernoulli")}))
    assert [trace.y for trace in other.data] == [(30.0,), (30.0,)]
    assert other.layout.yaxis.title.text == "squared error of a picture"


def test_tiles_lie_as_on_the_plane() -> None:
    pictures = np.linspace(0, 1, 4).reshape(2, 2, 1, 1, 1)
    sheet = manifold_sheet(Manifold(axis=np.array([-1.0, 1.0]), pictures=pictures), cell=3)
    assert sheet.shape == (6, 6, 3)
    assert sheet[[0, 0, 5, 5], [0, 5, 0, 5], 0].tolist() == [0, 85, 170, 255]
