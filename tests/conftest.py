import gc
import os

# NumPy's products are as small: with two threads on a busy machine the modality gap's took several times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

import tests.examples  # noqa: F401 — whose profiles these are

# Test models are so small that waiting for a second thread costs more than it computes: on a busy two-core machine
# one training step of a tiny ViT took 100 ms with two threads and 2 ms with one.
torch.set_num_threads(1)

# What a test finds must not hang on how fast this processor is in bf16; the choice has tests of its own.
os.environ.setdefault("VITRINE_PRECISION", "fp32")

# The plugin loads the profile of `--hypothesis-profile` after this, and before any test is imported.
settings.load_profile("quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Archives of hundreds of megabytes are no part of the fast tier either."""
    for item in items:
        if item.get_closest_marker("realdata"):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What was imported is no garbage: Streamlit looks for some after every run of a page, 0.3 s among all of this."""
    gc.freeze()
