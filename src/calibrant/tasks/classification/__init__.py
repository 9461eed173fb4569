"""Image classification: folders of classes, preparation as the trainers do it, top-1 accuracy."""

from __future__ import annotations

from calibrant.tasks.classification.definition import ClassificationDefinition

__all__ = ["ClassificationDefinition"]
