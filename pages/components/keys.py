"""Keys for components, whose names may not contain everything that a path may."""

from __future__ import annotations

import hashlib


def component_key(stem: str, name: str) -> str:
    """A key for the component `stem` of the model `name`; Streamlit forbids `__` in component keys."""
    return f"{stem}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"
