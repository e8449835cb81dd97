"""What a network without maps of its attention answers who asks for them."""

from __future__ import annotations

from typing import Any

from torch import nn

from core.errors import NotOfferedError


class Untraceable(nn.Module):
    """A network whose attention cannot be looked at: `hasattr(module, "trace")` is false, and asking says why.

    Attributes:
        lacks_attention: the reason, as the end of a sentence.
    """

    lacks_attention: str

    def __getattr__(self, name: str) -> Any:
        if name in ("trace", "last_tokens", "trace_pair"):
            reason = self.lacks_attention or "it has no attention layers"
            raise NotOfferedError(f"The attention of this model cannot be shown: {reason}.", "Choose another model.")
        return super().__getattr__(name)
