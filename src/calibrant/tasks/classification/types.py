"""What image classification is about: labelled images, and the scores that a model gives every class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.media.images import ImageFile


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image with the index of its class in :attr:`LabelledImages.classes`."""

    id: str
    path: ImageFile
    label: int


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """A labelled set as a reader found it. classes: names, in the order in which the set counts them."""

    samples: tuple[LabelledImage, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ClassScores:
    """A probability for each of the model's classes, float32 (C,)."""

    probabilities: NDArray[np.float32]

    @property
    def top(self) -> int:
        """The most probable class; the first of equals."""
        return int(self.probabilities.argmax())

    def rank_of(self, label: int) -> int:
        """How many classes are more probable than this one, or as probable and before it."""
        mine = self.probabilities[label]
        before = self.probabilities[:label] == mine
        return int((self.probabilities > mine).sum() + before.sum())
