import json

import pytest
import torch

from core.errors import ConfigError, MissingWeightsError, UnknownNameError
from core.models.capabilities import OWN
from core.models.checkpoint import FAMILIES, ModelCard, build, load_model, read_card, save_model

VIT = {"image_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "classes": 3}
CONFIGS = {
    "vit": VIT,
    "differential_vit": VIT,
    "small_cnn": {"image_size": 8, "width": 8, "stages": 2, "classes": 3},
    "vae": {"image_size": 8, "channels": 3, "hidden_dim": 16, "latent_dim": 3},
    "mixer": {"image_size": 8, "patch_size": 4, "embed_dim": 8, "depth": 1, "num_heads": 2, "classes": 3},
    "transfer": {
        "layout": "own",
        "architecture": {"family": "small_cnn", "config": {"width": 8, "stages": 2}},
        "classes": 3,
        "image_size": 8,
        "capabilities": ["classifier", "convolution"],
    },
}


def test_every_family_is_tested():
    assert set(CONFIGS) == set(FAMILIES) == {*OWN, "transfer"}


def _card(family: str, **changes: object) -> ModelCard:
    return ModelCard(
        family=family, title="Tiny", config={**CONFIGS[family], **changes}, classes=("a", "b", "c"),
        mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), dataset="none", recipe="{}", command="none", date="2026-01-01",
        metrics={"test_accuracy": 0.5}, history=[{"epoch": 1}],
    )  # fmt: skip


@pytest.fixture(params=FAMILIES)
def saved(request, tmp_path):
    torch.manual_seed(0)
    model = build(request.param, CONFIGS[request.param])
    save_model(tmp_path / "model", model, _card(request.param))
    return request.param, model, tmp_path / "model"


@pytest.mark.parametrize("positional", ["none", "learned_1d", "learned_2d", "sinusoidal"])
@pytest.mark.parametrize("family", ["vit", "differential_vit"])
def test_every_variant_survives_the_disk(family, positional, tmp_path):
    model = build(family, {**VIT, "positional": positional})
    save_model(tmp_path, model, _card(family, positional=positional))
    loaded = load_model(tmp_path)
    assert type(loaded) is FAMILIES[family].module
    assert loaded.config == model.config
    assert not loaded.training
    # Not `model.half().float()`: that would round the sinusoids too, which are computed and not stored.
    model.load_state_dict({name: tensor.half().float() for name, tensor in model.state_dict().items()})
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded(images), model.eval()(images))


def test_weights_are_stored_in_half_and_read_as_float(saved):
    _, model, folder = saved
    loaded = load_model(folder)
    for name, tensor in model.state_dict().items():
        kept = loaded.state_dict()[name]
        assert kept.dtype == tensor.dtype
        assert torch.equal(kept, tensor.half().float() if tensor.is_floating_point() else tensor)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert (folder / "model.safetensors").stat().st_size < 2 * count + 10_000


def test_batch_norm_keeps_what_it_counted(tmp_path):
    model = build("small_cnn", CONFIGS["small_cnn"])
    for _ in range(3):
        model(torch.randn(4, 3, 8, 8) + 2)
    model.stem.norm.num_batches_tracked += 5_000_000  # more than fp16 can hold
    save_model(tmp_path, model, _card("small_cnn"))
    norm = load_model(tmp_path).stem.norm
    assert norm.num_batches_tracked == 5_000_003
    torch.testing.assert_close(norm.running_mean, model.stem.norm.running_mean, rtol=1e-3, atol=1e-4)


def test_the_card_survives_the_disk(saved):
    family, _, folder = saved
    assert read_card(folder) == _card(family)


def test_a_missing_or_damaged_folder_says_so(saved, tmp_path):
    _, _, folder = saved
    with pytest.raises(MissingWeightsError, match=r"no readable card\.json"):
        load_model(tmp_path / "nothing")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:50])
    with pytest.raises(MissingWeightsError, match="cannot be read"):
        load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingWeightsError, match="cannot be read"):
        load_model(folder)
    for broken in (b"{", b"[1]", b"\xff\xfe"):
        (folder / "card.json").write_bytes(broken)
        with pytest.raises(MissingWeightsError, match="no readable card"):
            load_model(folder)


def test_weights_of_another_shape_do_not_fit_their_card(saved):
    family, _, folder = saved
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["config"]["latent_dim" if family == "vae" else "classes"] = 4
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(MissingWeightsError, match="does not fit its card"):
        load_model(folder)


def test_impossible_cards_are_refused(saved):
    _, _, folder = saved
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(
        json.dumps({**card, "config": {**card["config"], "image_size": 0}}), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="image_size is 0"):
        load_model(folder)
    (folder / "card.json").write_text(json.dumps({**card, "family": "bert"}), encoding="utf-8")
    with pytest.raises(UnknownNameError, match="differential_vit"):
        load_model(folder)
