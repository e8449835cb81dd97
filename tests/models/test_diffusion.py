"""A pipeline taken apart computes what the pipeline does, whatever its network predicts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file
from transformers import CLIPTextModel

from core.errors import IncompatibleError, MissingWeightsError, ShapeError
from core.methods.diffusion.diffusion_classifier import classify
from core.methods.diffusion.sampling_plan import Plan
from core.models.catalogue import find_model
from core.models.diffusion import load_diffusers
from core.models.hub import _wanted
from core.models.weights import availability, load
from core.reports import finish
from tests.diffusion_toy import save_tiny_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("pipeline") / "tiny")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load(f"folder:{folder}").module


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    return StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)


def test_the_folder_is_known_for_what_it_is(folder: Path, model: Any) -> None:
    spec = find_model(f"folder:{folder}")
    assert spec.capabilities == {"text_to_image"}
    assert availability(spec).state == "ready"
    assert (model.image_size, model.latent_shape, model.prediction) == (16, (4, 8, 8), "epsilon")
    np.testing.assert_allclose(model.alphas_cumprod[[0, -1]], [0.99915, 0.0046599], rtol=1e-4)


def test_prompts_are_embedded_as_the_pipeline_does(model: Any, pipeline: Any) -> None:
    prompts = ["a photo of a cat.", "", "dog"]
    with torch.no_grad():
        expected = pipeline.encode_prompt(prompts, "cpu", 1, do_classifier_free_guidance=False)[0]
        torch.testing.assert_close(model.embed_prompts(prompts), expected)


def test_latents_there_and_back(model: Any, pipeline: Any) -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        latents = model.encode(images)
        mean = pipeline.vae.encode(images).latent_dist.mean
        torch.testing.assert_close(latents, mean * 0.5)
        torch.testing.assert_close(model.decode(latents), pipeline.vae.decode(mean).sample.clamp(-1, 1))
    with pytest.raises(ShapeError, match="16, 16"):
        model.encode(torch.zeros(1, 3, 32, 32))


def test_the_noise_is_the_unet_s_under_each_prompt(model: Any, pipeline: Any) -> None:
    prompts = model.embed_prompts(["cat", "dog"])
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    steps, which = torch.tensor([3, 500, 999]), torch.tensor([1, 0, 1])
    noise = model.denoiser(prompts)(latents, steps, which)
    for place in range(3):
        with torch.no_grad():
            alone = pipeline.unet(
                latents[place : place + 1], steps[place], encoder_hidden_states=prompts[which[place]][None]
            ).sample
        torch.testing.assert_close(noise[place : place + 1], alone, rtol=1e-4, atol=1e-5)


def test_the_network_s_format_is_looked_for_once(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    kind, prompts = type(model.unet), model.embed_prompts(["a cat"])
    found = kind.dtype

    def dtype(self: Any) -> torch.dtype:
        asked.append("dtype")
        return found.__get__(self)

    monkeypatch.setattr(kind, "dtype", property(dtype), raising=False)
    denoise = model.denoiser(prompts)
    assert asked == ["dtype"]
    for _ in range(3):  # diffusers walks through all weights for it
        denoise(torch.zeros(1, *model.latent_shape), torch.tensor([5]), torch.tensor([0]))
    assert asked == ["dtype"]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_every_kind_of_prediction_means_the_same_noise(tmp_path: Path, prediction: str) -> None:
    model: Any = load(f"folder:{save_tiny_pipeline(tmp_path / 'tiny', prediction_type=prediction)}").module
    random = torch.Generator().manual_seed(2)
    clean, noise = torch.randn(2, 5, 4, 8, 8, generator=random)
    steps = torch.tensor([0, 10, 400, 800, 999])
    kept = torch.from_numpy(model.alphas_cumprod)[steps].float()[:, None, None, None]
    noised = kept.sqrt() * clean + (1 - kept).sqrt() * noise
    predicted = {
        "epsilon": noise,
        "v_prediction": kept.sqrt() * noise - (1 - kept).sqrt() * clean,
        "sample": clean,
    }[prediction]
    torch.testing.assert_close(model.to_noise(predicted, noised, steps), noise, rtol=1e-3, atol=1e-4)


def test_an_image_is_classified_end_to_end(model: Any) -> None:
    with torch.inference_mode():
        latent = model.encode(torch.zeros(1, 3, 16, 16))[0]
        prompts = model.embed_prompts([f"a photo of a {name}." for name in ("cat", "dog", "car")])
    plan = Plan(samples=10, pruning="none")
    result = finish(classify(model.denoiser(prompts), latent, 3, model.alphas_cumprod, plan))
    assert result.calls == 30
    assert np.isfinite(result.scores()).all()
    assert len(set(result.scores().mean(axis=0))) == 3  # the prompts matter


def test_what_is_no_pipeline_of_this_kind(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}), encoding="utf-8")
    with pytest.raises(IncompatibleError, match="FluxPipeline"):
        load(f"folder:{tmp_path}")
    for part in ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / f"{part}.safetensors").write_bytes(b"")
    with pytest.raises(IncompatibleError, match="FluxPipeline"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_files_in_half_precision_are_loaded_as_they_are_on_a_gpu_alone(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    folder = save_tiny_pipeline(tmp_path / "half", half=True)
    assert availability(find_model(f"folder:{folder}")).state == "ready"
    monkeypatch.setattr("core.models.diffusion.pick_device", lambda: torch.device(device))
    half = load_diffusers(folder).module
    assert half.unet.dtype == half.vae.dtype == (torch.float16 if device == "cuda" else torch.float32)
    # Whatever the weights are, schedule, latents and errors are not halved.
    assert half.alphas_cumprod.dtype == np.float64
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plan = Plan(samples=6, pruning="none", sampling="even")
    found = []
    for each in (model, half):
        with torch.inference_mode():
            latent = each.encode(image)[0]
            prompts = each.embed_prompts(["a cat", "a dog"])
        assert latent.dtype == torch.float32
        classification = finish(classify(each.denoiser(prompts), latent, 2, each.alphas_cumprod, plan, batch_size=4))
        assert classification.noise_error.dtype == np.float32
        found.append(classification.noise_error)
    np.testing.assert_allclose(found[1], found[0], rtol=2e-2)
    # And what the files hold in half precision is not turned into another format before every product.
    assert half.computes_in("bf16") == ("fp16" if device == "cuda" else "bf16")
    latents, steps, which = latent[None].expand(2, -1, -1, -1), torch.tensor([100, 500]), torch.tensor([0, 1])
    as_it_is, asked = (half.denoiser(prompts, precision)(latents, steps, which) for precision in ("fp32", "bf16"))
    assert torch.equal(as_it_is, asked) == (device == "cuda")


def test_where_both_are_there_a_cpu_takes_the_full_files(tmp_path: Path, folder: Path) -> None:
    both = save_tiny_pipeline(tmp_path / "both", half=True)
    shutil.copytree(folder, both, dirs_exist_ok=True)
    full, kept = load_diffusers(folder).module, load_diffusers(both).module
    for one, other in zip(full.parameters(), kept.parameters(), strict=True):
        assert torch.equal(one, other)  # halved weights would have lost their last bits


@pytest.mark.parametrize(("device", "taken"), [("cpu", "unet/diffusion_pytorch_model.safetensors"),
                                               ("cuda", "unet/diffusion_pytorch_model.fp16.safetensors")])  # fmt: skip
def test_the_download_takes_the_files_that_the_device_computes_in(
    monkeypatch: pytest.MonkeyPatch, device: str, taken: str
) -> None:
    monkeypatch.setattr("core.device.pick_device", lambda: torch.device(device))
    weights = ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model")
    sizes = {f"{name}{kind}.safetensors": 1 for name in weights for kind in ("", ".fp16", ".non_ema")}
    names, _ = _wanted("owner/pipeline", {"model_index.json": 1, "unet/config.json": 1, **sizes})
    chosen = [name for name in names if name.endswith(".safetensors")]
    assert taken in chosen
    assert len(chosen) == 3
    assert "unet/config.json" in names


def test_a_pipeline_saved_as_bin_is_the_same(tmp_path: Path, model: Any) -> None:
    folder = save_tiny_pipeline(tmp_path / "bin")
    for part in ("unet", "vae"):
        weights = folder / part / "diffusion_pytorch_model.safetensors"
        torch.save(load_file(weights), weights.with_suffix(".bin"))
        weights.unlink()
    texts = folder / "text_encoder" / "model.safetensors"
    torch.save(load_file(texts), texts.with_name("pytorch_model.bin"))
    texts.unlink()
    assert availability(find_model(f"folder:{folder}")).state == "ready"
    other = load(f"folder:{folder}").module
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_parts_of_both_kinds_are_taken_together(tmp_path: Path, model: Any) -> None:
    folder = save_tiny_pipeline(tmp_path / "mixed")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    other: Any = load(f"folder:{folder}").module
    assert torch.equal(other.unet.conv_in.weight, model.unet.conv_in.weight)


def test_a_pickle_with_more_than_tensors_is_not_opened(tmp_path: Path) -> None:
    folder = save_tiny_pipeline(tmp_path / "bad")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"conv_in.weight": Path("x")}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(MissingWeightsError):
        load(f"folder:{folder}")


def test_a_part_without_weights_is_said(tmp_path: Path) -> None:
    folder = save_tiny_pipeline(tmp_path / "part")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    state = availability(find_model(f"folder:{folder}"))
    assert state.state == "unavailable"
    assert "unet, vae or text_encoder" in state.text


def swapped(folder: Path, part: str, other: Any, name: str) -> None:
    other.save_pretrained(folder / part)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    index[part] = ["diffusers", name]
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")


@pytest.mark.parametrize("name", ["FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler"])
def test_schedules_of_another_kind_are_refused(tmp_path: Path, name: str) -> None:
    folder = save_tiny_pipeline(tmp_path / "flow")
    swapped(folder, "scheduler", getattr(diffusers, name)(), name)
    with pytest.raises(IncompatibleError, match=f"{name} has no schedule"):
        load(f"folder:{folder}")


@pytest.mark.parametrize(
    "name", ["PNDMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler"]
)
def test_other_samplers_of_the_same_schedule_are_the_same(tmp_path: Path, model: Any, name: str) -> None:
    folder = save_tiny_pipeline(tmp_path / "other")
    options = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    swapped(folder, "scheduler", getattr(diffusers, name)(**options), name)
    np.testing.assert_allclose(load(f"folder:{folder}").module.alphas_cumprod, model.alphas_cumprod, rtol=1e-5)


def test_networks_that_are_given_more_than_a_latent_are_refused(tmp_path: Path) -> None:
    folder = save_tiny_pipeline(tmp_path / "inpainting")
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    diffusers.UNet2DConditionModel.from_config({**unet.config, "in_channels": 9}).save_pretrained(folder / "unet")
    with pytest.raises(IncompatibleError, match="9 channels, of which 4"):
        load(f"folder:{folder}")


def test_a_tokenizer_without_a_length_takes_the_text_encoder_s(tmp_path: Path, model: Any) -> None:
    folder = save_tiny_pipeline(tmp_path / "endless")
    path = folder / "tokenizer" / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("model_max_length")
    path.write_text(json.dumps(config), encoding="utf-8")
    other: Any = load(f"folder:{folder}").module
    prompts = ["a cat", "a photo of a dog"]
    torch.testing.assert_close(other.embed_prompts(prompts), model.embed_prompts(prompts))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_pipeline(tmp_path / "strange")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
    encoder.resize_token_embeddings(1000)
    encoder.save_pretrained(folder / "text_encoder")
    with pytest.raises(MissingWeightsError, match="no tokenizer of its own"):
        load(f"folder:{folder}")
