import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from core.models.positions import build_positions, sinusoids

KINDS = ("learned_1d", "learned_2d", "sinusoidal")


@given(
    kind=st.sampled_from(KINDS), rows=st.integers(1, 6), columns=st.integers(1, 6), dim=st.sampled_from([2, 4, 8, 16]),
    prefix=st.integers(0, 3),
)  # fmt: skip
@settings(deadline=None)
def test_tables_are_finite_and_have_one_row_a_token(kind, rows, columns, dim, prefix):
    table = build_positions(kind, (rows, columns), dim, prefix_tokens=prefix).table()
    assert table.shape == (prefix + rows * columns, dim)
    assert torch.isfinite(table).all()


def test_no_positions_are_none():
    module = build_positions("none", (2, 2), 8, prefix_tokens=1)
    assert module.table() is None
    assert not list(module.parameters())


@pytest.mark.parametrize(("kind", "count"), [("learned_1d", 24_960), ("learned_2d", 3_456), ("sinusoidal", 0)])
def test_parameter_counts_of_patch_4_width_384(kind, count):
    module = build_positions(kind, (8, 8), 384, prefix_tokens=1)
    assert sum(parameter.numel() for parameter in module.parameters()) == count


def test_2d_patches_are_column_then_row():
    module = build_positions("learned_2d", (3, 5), 8, prefix_tokens=1)
    patches = module.table()[1:].reshape(3, 5, 8)
    for row in range(3):
        for column in range(5):
            assert torch.equal(patches[row, column], torch.cat([module.columns[column], module.rows[row]]))
    assert torch.equal(module.table()[:1], module.prefix)


@pytest.mark.parametrize("kind", ["learned_1d", "learned_2d"])
def test_learned_tables_start_small_and_get_gradients(kind):
    torch.manual_seed(0)
    module = build_positions(kind, (8, 8), 192, prefix_tokens=1)
    assert float(module.table().detach().std()) == pytest.approx(0.02, rel=0.05)
    module.table().sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_sinusoids_do_not_learn_and_are_not_stored():
    module = build_positions("sinusoidal", (8, 8), 16, prefix_tokens=1)
    assert not module.table().requires_grad
    assert module.state_dict() == {}


def test_oracle_of_sinusoids():
    table = sinusoids(4, 4).double()
    assert (table @ table[0]).tolist() == pytest.approx([2, 1.540252, 0.583653, 0.009558], abs=1e-5)
    expected = [torch.sin(torch.tensor(3.0)), torch.cos(torch.tensor(3.0)), 0.03, 1]
    assert table[3].tolist() == pytest.approx([float(value) for value in expected], abs=1e-3)


@given(positions=st.integers(2, 60), dim=st.sampled_from([2, 4, 64]), shift=st.integers(0, 20))
@settings(deadline=None)
def test_sinusoids_have_one_length_and_know_only_distance(positions, dim, shift):
    table = sinusoids(positions + shift, dim).double()
    assert torch.allclose(table.norm(dim=1), torch.full((positions + shift,), (dim / 2) ** 0.5).double(), atol=1e-4)
    dots = table @ table.T
    assert torch.allclose(dots[:positions, :positions], dots[shift:, shift:], atol=1e-4)


@pytest.mark.parametrize("kind", ["learned_2d", "sinusoidal"])
def test_odd_widths_are_refused(kind):
    with pytest.raises(ConfigError, match="even"):
        build_positions(kind, (2, 2), 5, prefix_tokens=1)
