"""No two streams are one: tags keep them apart, and nothing draws without a tag."""

from __future__ import annotations

import ast
import inspect
import itertools
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from core import seeding
from core.seeding import PUBLISHED, published_stream, seed_device, stream, stream_seed

CORE = Path(seeding.__file__).parent
NUMBERS = [(), (0,), (0, 0), (0, 0, 0), (0, 1), (1,), (1, 0), (3,), (3, 0), (0, 3), (2**32,), (2**32, 5), (0, 1, 5)]


@cache
def _all_calls() -> tuple[tuple[str, ast.Call], ...]:
    return tuple(
        (str(path.relative_to(CORE)), node)
        for path in sorted(CORE.rglob("*.py"))
        if path.name != "seeding.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    )


def _calls(*names: str) -> list[tuple[str, ast.Call]]:
    """Every call of one of `names`, bare or as an attribute, in `core` outside seeding.py."""
    return [
        (path, call)
        for path, call in _all_calls()
        if getattr(call.func, "attr", "") in names or getattr(call.func, "id", "") in names
    ]


def _tag(call: ast.Call) -> str:
    first = call.args[0]
    assert isinstance(first, ast.Constant), "a tag is written where it is used"
    return str(first.value)


def test_numpy_pads_seeds_with_zeros_and_streams_do_not():
    padded = [np.random.default_rng(seed).integers(2**63) for seed in (3, (3,), (3, 0), (3, 0, 0))]
    assert len(set(padded)) == 1
    firsts = [stream("a", *numbers).integers(2**63) for numbers in NUMBERS]
    assert len(set(firsts)) == len(NUMBERS)


def test_the_streams_of_a_training_and_of_everything_else_are_all_different():
    tags = sorted({_tag(call) for _, call in _calls("stream", "stream_seed")})
    assert {"order of images", "augmentation", "step"} <= set(tags)
    firsts = [stream(tag, *numbers).integers(2**63) for tag, numbers in itertools.product(tags, NUMBERS)]
    firsts += [stream_seed(tag, *numbers) for tag, numbers in itertools.product(tags, NUMBERS)]
    firsts += {published_stream("validation split", *numbers).integers(2**63) for numbers in NUMBERS[1:]}
    assert len(set(firsts)) == len(firsts)


def test_each_tag_is_used_in_one_place():
    uses = Counter(_tag(call) for _, call in _calls("stream", "stream_seed"))
    assert [tag for tag, count in uses.items() if count > 1] == []


def test_nothing_in_core_draws_without_a_tag():
    strays = {
        f"{path}: {ast.unparse(call)}"
        for path, call in _calls("default_rng", "SeedSequence", "RandomState", "manual_seed")
    }
    # Dropout draws from torch's global generators, which `seed_device` seeds with the step's stream.
    assert strays == set()


def test_published_draws_are_the_ones_that_bundled_results_were_made_with():
    assert published_stream("validation split", 0).integers(2**63) == np.random.default_rng(0).integers(2**63)
    assert {_tag(call) for _, call in _calls("published_stream")} == set(PUBLISHED)
    with pytest.raises(KeyError, match="no published draw"):
        published_stream("of my own", 0)


def test_a_stream_is_the_same_on_every_machine():
    # Computed once; another value would mean that a run asked for again, or resumed elsewhere, draws something else.
    assert stream("order of images", 0, 0).permutation(8).tolist() == [6, 2, 5, 4, 7, 3, 1, 0]
    assert stream_seed("step", 0, 0, 0, 0) == 5361964032782374227
    assert all(0 <= stream_seed("step", seed) < 2**63 for seed in range(100))


def test_seeding_does_not_import_torch_before_it_is_needed():
    source = ast.parse(inspect.getsource(seeding))
    imported = [alias.name for node in source.body if isinstance(node, ast.Import) for alias in node.names]
    assert "torch" not in imported


def test_a_seeded_device_draws_what_pytorch_would() -> None:
    with torch.random.fork_rng(devices=[]):
        for seed in (0, 7, 2**62 + 5):
            torch.manual_seed(seed)
            expected = torch.rand(40)
            torch.rand(3)
            seed_device(seed, torch.device("cpu"))
            assert torch.equal(torch.rand(40), expected)
