"""Models of images and texts give what their own libraries give, and their attention besides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
import transformers as T
from transformers import AutoModel, AutoTokenizer

from core.data.transforms import Normalisation
from core.errors import IncompatibleError, MissingWeightsError, ShapeError
from core.models.catalogue import MODELS, find_model
from core.models.clip import ImageTextEncoder, PairTraceable, normalised
from core.models.open_clip_folder import load_open_clip
from core.models.tokenizer_check import check_tokenizer
from core.models.weights import load
from tests.clip_toy import MEAN, STD, save_tiny_clip, save_tiny_tokenizer, save_tiny_transformers_clip

TEXTS = ["a photo of a cat", "dog", "a blurry picture of the blue ship, the red car and the frog and the horse", ""]
RESNET = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8}

FOLDERS: dict[str, Callable[[Path], Path]] = {
    "open_clip": lambda folder: save_tiny_clip(folder),
    "open_clip_first_text_tower": lambda folder: save_tiny_clip(folder, custom_text=False),
    "open_clip_sigmoid": lambda folder: save_tiny_clip(folder, sigmoid=True),
    "open_clip_mean": lambda folder: save_tiny_clip(
        folder, vision={"layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "pool_type": "avg"}
    ),
    "transformers": lambda folder: save_tiny_transformers_clip(folder),
    "transformers_sigmoid": lambda folder: save_tiny_transformers_clip(folder, sigmoid=True),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("clip")
    return {name: save(root / name) for name, save in FOLDERS.items()}


@pytest.fixture(params=list(FOLDERS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def reference(folder: Path, images: torch.Tensor, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image features, text features and logits as the library itself computes them."""
    if "open_clip" in folder.name:
        model = open_clip.create_model(f"local-dir:{folder}").eval()
        ids = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
        return model.encode_image(images), model.encode_text(ids), model.get_logits(images, ids)[0]
    model = AutoModel.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(
        texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )["input_ids"]
    output = model(input_ids=ids, pixel_values=images)
    image = model.get_image_features(pixel_values=images).pooler_output
    return image, model.get_text_features(input_ids=ids).pooler_output, output.logits_per_image


def test_features_and_logits_are_the_library_s(name: str, folders: dict[str, Path], images: torch.Tensor) -> None:
    model: Any = load(f"folder:{folders[name]}").module
    assert isinstance(model, ImageTextEncoder)
    with torch.no_grad():
        image, text, logits = reference(folders[name], images, TEXTS)
        torch.testing.assert_close(model.embed(images), image)
        torch.testing.assert_close(model.embed_texts(TEXTS), text)
        ours = (
            model.logit_scale * normalised(model.embed(images)) @ normalised(model.embed_texts(TEXTS)).T
            + model.logit_bias
        )
        torch.testing.assert_close(ours, logits, rtol=1e-4, atol=1e-5)
        assert model.kind == ("sigmoid" if "sigmoid" in name else "softmax")


def test_the_traced_pass_is_the_same_pass(name: str, folders: dict[str, Path], images: torch.Tensor) -> None:
    model: Any = load(f"folder:{folders[name]}").module
    if name == "transformers_sigmoid":
        assert len(model.trace(images).attention) == model.depth
    assert isinstance(model, PairTraceable)
    trace = model.trace_pair(images, TEXTS)
    torch.testing.assert_close(trace.scores, reference(folders[name], images, TEXTS)[2], rtol=1e-4, atol=1e-5)
    assert len(trace.image_attention) == 2
    assert all(weights.shape[:2] == (3, 2) for weights in trace.image_attention)
    assert all(weights.shape == (4, 2, 16, 16) for weights in trace.text_attention)
    for weights in (*trace.image_attention, *trace.text_attention):
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    # The weights lie on the way from the pixels and words to the score.
    gradients = torch.autograd.grad(trace.scores[1, 0], [*trace.image_attention, *trace.text_attention])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    assert all(gradient[0].abs().sum() == 0 for gradient in gradients[:2])


def test_the_text_s_read_token_is_its_end(name: str, folders: dict[str, Path], images: torch.Tensor) -> None:
    model: Any = load(f"folder:{folders[name]}").module
    read = model.trace_pair(images[:1], TEXTS).text_read
    pieces = model.tokenise(TEXTS).pieces
    if name == "transformers_sigmoid":
        assert read.tolist() == [15] * 4
    elif name != "transformers":  # there end mark 2 means: the largest id
        assert [text[at] for text, at in zip(pieces, read, strict=True)] == ["<end>"] * 4


def test_what_is_read_of_a_text(name: str, folders: dict[str, Path]) -> None:
    tokens = load(f"folder:{folders[name]}").module.tokenise(TEXTS)  # type: ignore[operator]
    assert tokens.ids.shape == (4, 16)
    assert tokens.pieces[0] == ("<start>", "a", "photo", "of", "a", "cat", "<end>")
    assert tokens.pieces[3] == ("<start>", "<end>")
    assert tokens.truncated == (False, False, True, False)
    assert len(tokens.pieces[2]) == 16


def test_tokens_before_the_projection(name: str, folders: dict[str, Path], images: torch.Tensor) -> None:
    model: Any = load(f"folder:{folders[name]}").module
    tokens, prefix = model.last_tokens(images)
    assert tokens.shape == (3, prefix + 16, 32)
    table, grid, before = model.positions()
    assert grid == (4, 4)
    assert before == prefix
    assert len(table) == prefix + 16
    if name in ("open_clip", "transformers"):
        projection = model.visual.proj if name == "open_clip" else model.model.visual_projection.weight.T
        torch.testing.assert_close(tokens[:, 0] @ projection, model.embed(images))


def test_a_resnet_tower_has_no_attention(tmp_path: Path, images: torch.Tensor) -> None:
    folder = save_tiny_clip(tmp_path / "resnet", vision=RESNET)
    spec = find_model(f"folder:{folder}")
    assert spec.capabilities == {"image_text"}
    model: Any = load(spec.name).module
    assert not hasattr(model, "trace")
    assert model.embed(images).shape == (3, 24)


def test_preprocessing_is_the_folder_s(name: str, folders: dict[str, Path]) -> None:
    preprocessing = load(f"folder:{folders[name]}").network.preprocessing
    assert preprocessing.size == 32
    assert preprocessing.crop_share == 1
    assert preprocessing.normalisation == Normalisation(mean=MEAN, std=STD)


def test_another_size_is_refused_in_words(name: str, folders: dict[str, Path]) -> None:
    with pytest.raises(ShapeError, match="32, 32"):
        load(f"folder:{folders[name]}").module.embed(torch.zeros(1, 3, 48, 48))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda config: config.clear(), MissingWeightsError, "describes no model"),
        (
            lambda config: config["model_cfg"]["text_cfg"].update(hf_model_name="roberta-base"),
            IncompatibleError,
            "roberta-base",
        ),
        (
            lambda config: config["model_cfg"]["text_cfg"].update(tokenizer_kwargs={"trust_remote_code": True}),
            IncompatibleError,
            "run code",
        ),
        (
            lambda config: config["model_cfg"]["vision_cfg"].update(timm_model_name="hf-hub:somebody/else"),
            IncompatibleError,
            "no image tower",
        ),
        (lambda config: config["model_cfg"].update(embed_dim=32), MissingWeightsError, "do not fit"),
        (lambda config: config["model_cfg"]["vision_cfg"].update(nonsense=1), IncompatibleError, "cannot open"),
    ],
)
def test_folders_that_cannot_be_trusted_or_built(
    tmp_path: Path, change: Callable[[Any], object], error: type[Exception], words: str
) -> None:
    folder = save_tiny_clip(tmp_path / "clip")
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(error, match=words):
        load_open_clip(folder)


def test_weights_are_never_invented(tmp_path: Path) -> None:
    folder = save_tiny_clip(tmp_path / "clip")
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingWeightsError, match="no weights"):
        load_open_clip(folder)


def test_published_names_are_open_clip_s() -> None:
    """Every row of OpenAI's weights names the repository that open_clip itself takes them from."""
    known = {
        str(open_clip.get_pretrained_cfg(model, tag).get("hf_hub")).rstrip("/")
        for model, tag in open_clip.list_pretrained()
    }
    rows = [spec for spec in MODELS.values() if spec.family == "open_clip" and spec.sources[0].kind == "hub"]
    assert len(rows) >= 6
    missing = {spec.name for spec in rows if spec.sources[0].location not in known}
    assert missing <= {"mobileclip_s1"}, missing


SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**SHAPE, "image_size": 32, "patch_size": 8}


def kin(name: str, folder: Path) -> Any:
    """Another library model of images and texts with random weights, saved with the tiny tokenizer."""
    folder.mkdir()
    size = len(save_tiny_tokenizer(folder))
    text = {
        **SHAPE, "vocab_size": size, "max_position_embeddings": 17,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    both = {"vision_config": VISION, "text_config": text, "projection_dim": 24}
    made: dict[str, Callable[[], Any]] = {
        "chinese": lambda: T.ChineseCLIPModel(T.ChineseCLIPConfig(**both)),
        "altclip": lambda: T.AltCLIPModel(T.AltCLIPConfig(**{**both, "text_config": {**text, "project_dim": 24}})),
        "blip": lambda: T.BlipModel(
            T.BlipConfig(**{**both, "text_config": {**text, "encoder_hidden_size": 32}}, image_text_hidden_size=24)
        ),
        "metaclip": lambda: T.MetaClip2Model(T.MetaClip2Config(**both)),
        "dual": lambda: T.VisionTextDualEncoderModel(
            T.VisionTextDualEncoderConfig.from_vision_text_configs(
                T.ViTConfig(**VISION), T.BertConfig(**text), projection_dim=24
            )
        ),
    }
    torch.manual_seed(0)
    model = made[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("name", ["chinese", "altclip", "blip", "metaclip", "dual"])
def test_text_towers_that_see_padding_are_not_shown_it(name: str, tmp_path: Path, images: torch.Tensor) -> None:
    """BERT looks in both directions: without a mask the length of the padding changed every score."""
    model = kin(name, tmp_path / name)
    texts = [*TEXTS[:2], "a blurry ship"]
    tokens = AutoTokenizer.from_pretrained(tmp_path / name)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], pixel_values=images
        ).logits_per_image
        found: Any = load(f"folder:{tmp_path / name}").module
        ours = found.logit_scale * normalised(found.embed(images)) @ normalised(found.embed_texts(texts)).T
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
        if isinstance(found, PairTraceable):
            torch.testing.assert_close(found.trace_pair(images, texts).scores, expected, rtol=1e-4, atol=1e-4)
        longest = " ".join(["cat"] * 40)  # positions end before the table does in RoBERTa
        assert torch.isfinite(found.embed_texts([longest])).all()
    assert isinstance(found, PairTraceable) == (name != "dual")


def without_files_of_the_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def test_a_clip_without_its_tokenizer_says_so(tmp_path: Path) -> None:
    """transformers then makes an empty one, to which all words are the end mark."""
    save_tiny_transformers_clip(tmp_path)
    without_files_of_the_tokenizer(tmp_path)
    with pytest.raises(MissingWeightsError, match="no tokenizer of its own") as caught:
        load(f"folder:{tmp_path}")
    assert "processor.save_pretrained" in caught.value.remedy


def spoilt_tokenizer(folder: Path) -> None:
    """One of the same size, to which every word is unknown."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    known = content["model"]["vocab"]
    content["model"]["vocab"] = {word if index < 4 else f"unheard{index}": index for word, index in known.items()}
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("library", ["transformers", "open_clip"])
def test_a_tokenizer_that_reads_all_words_the_same_is_refused(library: str, tmp_path: Path) -> None:
    save_tiny_transformers_clip(tmp_path) if library == "transformers" else save_tiny_clip(tmp_path)
    spoilt_tokenizer(tmp_path)
    with pytest.raises(MissingWeightsError, match="different words as the same"):
        load(f"folder:{tmp_path}")


def test_the_smallest_checks_of_a_tokenizer() -> None:
    distinct = {"cat": [3], "dog": [4], "sun": [5], "map": [6], "red": [7], "two": [8]}
    check_tokenizer(lambda word: distinct.get(word, [1]), 100, 104, "m")  # rounded up; no word of other scripts
    with pytest.raises(MissingWeightsError, match="knows 60 tokens, the model 104"):
        check_tokenizer(lambda word: distinct.get(word, [1]), 60, 104, "m")
    with pytest.raises(MissingWeightsError, match="no embedding"):
        check_tokenizer(lambda word: [200 + len(word)], 100, 104, "m")
    with pytest.raises(MissingWeightsError, match="different words"):
        check_tokenizer(lambda word: [len(word)], 100, 104, "m")


def test_pictures_of_no_fixed_size_are_said(tmp_path: Path) -> None:
    size = len(save_tiny_tokenizer(tmp_path))
    text = {**SHAPE, "vocab_size": size, "max_position_embeddings": 16}
    config = T.Siglip2Config(vision_config={**SHAPE, "patch_size": 8, "num_patches": 16}, text_config=text)
    T.Siglip2Model(config).save_pretrained(tmp_path)
    with pytest.raises(IncompatibleError, match="NaFlex"):
        load(f"folder:{tmp_path}")
