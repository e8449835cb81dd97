"""The catalogue is complete, unambiguous, and cheap to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.models.bundled_models import BUNDLED_SPECS
from core.models.capabilities import find_capabilities
from core.models.catalogue import MODELS, find_model, gather
from core.models.hub import check_repository
from core.models.model_folder import find_layout
from core.models.torchvision_weights import FILES
from core.models.wheels import read_wheels
from core.paths import BUNDLED, CHECKOUT


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_complete(name):
    spec = MODELS[name]
    assert spec.name == name
    assert find_model(name) is spec
    assert spec.title
    assert spec.licence
    assert "arXiv:" in spec.paper
    assert spec.capabilities
    assert spec.sources
    for source in spec.sources:
        if source.kind == "hub":
            assert check_repository(source.location) == source.location
        if source.kind == "torchvision":
            assert source.location in FILES
        if source.kind == "wheel":
            assert source.location in read_wheels()
        assert (source.size_mib is None) == (source.kind == "bundled")


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if spec.sources[0].kind == "bundled"])
def test_a_row_and_the_models_own_files_say_the_same_of_what_it_can_do(name):
    """So that a run of the same architecture is offered where the bundled model is, and nowhere else."""
    path = BUNDLED / name
    assert find_capabilities(path, find_layout(path)).capabilities == MODELS[name].capabilities


def test_titles_are_unique():
    assert len({spec.title for spec in MODELS.values()}) == len(MODELS)


def test_duplicate_and_reserved_names_fail():
    with pytest.raises(ValueError, match="vit_p4"):
        gather(BUNDLED_SPECS, BUNDLED_SPECS)


def test_what_must_be_said_about_the_saliency_model():
    spec = MODELS["vit_s14_saliency"]
    assert spec.title == "ViT-S/14 saliency"
    assert "not plain DINOv2" in spec.note
    assert "classifier" not in spec.capabilities


def test_import_is_light():
    """Seconds are `benchmarks/imports.py`'s: a busy machine fails no test."""
    script = (
        "import sys, core.models.catalogue;"
        "heavy = ('torch', 'transformers', 'timm', 'torchvision', 'open_clip', 'diffusers', 'umap', 'onnx');"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert (
        subprocess.check_output([sys.executable, "-c", script], text=True, cwd=CHECKOUT, encoding="utf-8").strip()
        == "[]"
    )
