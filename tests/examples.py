"""How many cases Hypothesis tries: all of them with `--hypothesis-profile=thorough` (CI), a quarter otherwise."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

settings.register_profile("thorough", max_examples=100, deadline=None)
settings.register_profile("quick", max_examples=25, deadline=None)


def examples(count: int, **rest: Any) -> settings:
    """Settings of a test that tries `count` cases when all are tried."""
    return settings(max_examples=max(5, count * settings().max_examples // 100), deadline=None, **rest)
