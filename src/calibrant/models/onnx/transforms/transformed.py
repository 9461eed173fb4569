"""What a pass returns: the transformed model, and an account of what was done to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from calibrant.models.onnx.model import Model


@dataclass(frozen=True)
class Change:
    """One thing that a pass did.

    kind: what, in a word that can be counted. tensor: the activation or weight it was done to. nodes: the
    nodes that compensate or profit, by name. why: a fact with a number.
    """

    kind: str
    tensor: str
    nodes: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Transformed:
    """A float model after a pass; ``path`` and ``sha256`` still are those of the file it came from."""

    model: Model
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        """The changes, counted: "12 folded, 30 scaled"."""
        counts = Counter(change.kind for change in self.changes)
        return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing changed"
