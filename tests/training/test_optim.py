import copy

import torch
from torch import Tensor, nn

from core.models.vit import ViT, ViTConfig
from core.training.optim import Together, build_optimizer

MODEL = ViTConfig(image_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=2, classes=3)


def _loss(model: nn.Module) -> Tensor:
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return model(images).square().mean()


def test_two_optimizers_step_as_one_under_a_gradient_scaler():
    """As fp16 on a GPU needs it: gradients are unscaled once, and one that overflowed makes neither part step."""
    torch.manual_seed(0)
    plain = ViT(MODEL)
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


def test_the_optimizer_of_a_muon_group_moves_every_parameter():
    torch.manual_seed(0)
    model = ViT(MODEL)
    before = copy.deepcopy(model.state_dict())
    optimizer = build_optimizer(model, "muon", 1e-2, 0.1)
    _loss(model).backward()
    optimizer.step()
    assert all(not torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_convolutions_are_decayed_and_embeddings_are_not():
    model = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3), "table": nn.Embedding(5, 4), "norm": nn.BatchNorm2d(4)})
    decayed, spared = build_optimizer(model, "adamw", 1e-3, 0.1).param_groups
    assert [id(each) for each in decayed["params"]] == [id(model["conv"].weight)]
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0
    assert len(spared["params"]) == 4
