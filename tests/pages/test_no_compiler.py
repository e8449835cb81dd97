"""The server does without PyTorch's compiler, and whoever compiles all the same finds it whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.paths import CHECKOUT

# In a process of its own: this one has long imported it.
CODE = """
import sys
from pages.shared.start import _start, _import
_start.wanted.set()
_import()
import torch

def is_there():
    return hasattr(sys.modules["torch._dynamo"], "__file__")

import torchvision.transforms.v2.functional, torchvision.models, open_clip
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import AutoModel, CLIPTextModel
from accelerate.utils import is_compiled_module
assert not is_compiled_module(torch.nn.Linear(2, 2))
assert not is_there(), "somebody needs the compiler"

@torch.compiler.disable
def alone(x):
    return x + 1

@torch.compiler.disable(recursive=True, reason="none")
def also(x):
    return x + 2

assert (alone(1), also(1)) == (2, 3)
from torch._dynamo.testing import CompileCounter  # a module that has no stand-in
assert is_there()
assert sys.modules["torch._dynamo.testing"].__spec__.origin.endswith("testing.py")
assert torch._dynamo is sys.modules["torch._dynamo"]

def both(x):
    return also(alone(x * 2) * 3) * 5

counted = CompileCounter()
assert torch.compile(both, backend=counted)(torch.ones(2)).tolist() == [55.0, 55.0]
assert counted.frame_count == 3, counted.frame_count  # before, between and after what is not to be compiled
assert is_compiled_module(torch.compile(torch.nn.Linear(2, 2)))
boxes = torch.tensor([[0.0, 0.0, 0.0, 2.0, 2.0]])
print(torchvision.ops.roi_align(torch.arange(16.0).view(1, 1, 4, 4), boxes, 2).tolist())
"""


@pytest.mark.slow
def test_the_compiler_is_imported_by_nobody_but_those_who_compile() -> None:
    found = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "[[[[2.5, 3.5], [6.5, 7.5]]]]" in found.stdout
