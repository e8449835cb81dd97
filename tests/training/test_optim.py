import copy
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Muon

from core.models.vit import ViT, ViTConfig
from core.training.muon import StackedMuon, orthogonalise
from core.training.optim import FilterMuon, Together, build_optimizer

MODEL = ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=2, classes=3)


def _loss(model: nn.Module) -> Tensor:
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return model(images).square().mean()


def _convolutional() -> nn.Module:
    blocks = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 4))
    return nn.Sequential(OrderedDict(blocks=blocks, head=nn.Linear(4, 3)))


@pytest.mark.parametrize("build", [lambda: ViT(MODEL), _convolutional])
def test_two_optimizers_step_as_one_under_a_gradient_scaler(build: Callable[[], nn.Module]):
    """As fp16 on a GPU needs it: gradients are unscaled once, and one that overflowed makes neither part step."""
    torch.manual_seed(0)
    plain = build()
    scaled = copy.deepcopy(plain)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizers = [build_optimizer(model, "muon", 1e-2, 0.1) for model in (plain, scaled)]
    assert isinstance(optimizers[1], Together)
    for _ in range(3):
        _loss(plain).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.01)
        optimizers[0].step()
        optimizers[0].zero_grad()

        scaler.scale(_loss(scaled)).backward()
        scaler.unscale_(optimizers[1])
        nn.utils.clip_grad_norm_(scaled.parameters(), 0.01)
        scaler.step(optimizers[1])
        scaler.update()
        optimizers[1].zero_grad()
    for ours, theirs in zip(scaled.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)

    before = copy.deepcopy(scaled.state_dict())
    scaler.scale(_loss(scaled) * float("inf")).backward()
    scaler.step(optimizers[1])
    scaler.update()
    assert all(torch.equal(tensor, before[name]) for name, tensor in scaled.state_dict().items())
    assert scaler.get_scale() < 1024


@pytest.mark.parametrize("build", [lambda: ViT(MODEL), _convolutional])
def test_the_optimizer_of_a_muon_group_moves_every_parameter(build: Callable[[], nn.Module]):
    torch.manual_seed(0)
    model = build()
    before = copy.deepcopy(model.state_dict())
    optimizer = build_optimizer(model, "muon", 1e-2, 0.1)
    _loss(model).backward()
    optimizer.step()
    assert all(not torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_filters_are_updated_as_the_matrices_that_they_are_and_a_checkpoint_goes_on():
    torch.manual_seed(0)
    filters = nn.Parameter(torch.randn(6, 3, 3, 3))
    matrix = nn.Parameter(filters.detach().flatten(1).clone())
    settings = {"lr": 0.02, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    ours, torchs = FilterMuon([filters], **settings), Muon([matrix], **settings)
    for _ in range(4):
        gradient = torch.randn_like(filters)
        filters.grad, matrix.grad = gradient.clone(), gradient.flatten(1).clone()
        ours.step()
        torchs.step()
        assert torch.equal(filters.flatten(1), matrix)
    kept = copy.deepcopy(ours.state_dict())
    again = nn.Parameter(filters.detach().clone())
    resumed = FilterMuon([again], **settings)
    resumed.load_state_dict(kept)
    filters.grad, again.grad = gradient.clone(), gradient.clone()
    ours.step()
    resumed.step()
    assert torch.equal(again, filters)
    ours.zero_grad()
    assert filters.grad is None


def test_filters_that_were_moved_are_an_error_and_not_silently_left_alone():
    filters = nn.Parameter(torch.randn(6, 3, 3, 3))
    optimizer = FilterMuon([filters], lr=0.1)
    filters.data = filters.data.clone()
    filters.grad = torch.ones_like(filters)
    with pytest.raises(RuntimeError, match="moved"):
        optimizer.step()


def test_convolutions_are_decayed_and_embeddings_are_not():
    model = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3), "table": nn.Embedding(5, 4), "norm": nn.BatchNorm2d(4)})
    decayed, spared = build_optimizer(model, "adamw", 1e-3, 0.1).param_groups
    assert [id(each) for each in decayed["params"]] == [id(model["conv"].weight)]
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0
    assert len(spared["params"]) == 4


def test_matrices_of_one_shape_are_orthogonalised_together_as_each_alone() -> None:
    random = torch.Generator().manual_seed(3)
    shapes = [(6, 4), (6, 4), (4, 6), (5, 5), (6, 4)]
    start = [torch.randn(shape, generator=random) for shape in shapes]
    settings = {"lr": 0.1, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    ours = [nn.Parameter(each.clone()) for each in start]
    torchs = [nn.Parameter(each.clone()) for each in start]
    first, second = StackedMuon(ours, **settings), Muon(torchs, **settings)
    for _ in range(3):
        for one, other in zip(ours, torchs, strict=True):
            one.grad = torch.randn(one.shape, generator=random)
            other.grad = one.grad.clone()
        first.step()
        second.step()
    for one, other, begin in zip(ours, torchs, start, strict=True):
        # bf16 keeps 8 bits, and a product of a stack is summed in another order.
        assert (one - other).norm() < 0.02 * (other - begin).norm()


@pytest.mark.parametrize("shape", [(3, 7, 4), (2, 4, 7), (1, 5, 5)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalise(matrices, (3.4445, -4.7750, 2.0315), 5, 1e-7, torch.float32)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.3
    assert values.max() < 1.3
