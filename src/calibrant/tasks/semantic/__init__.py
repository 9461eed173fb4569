"""Semantic segmentation: a class for each pixel, masks as PNG, the mean intersection over union."""

from __future__ import annotations

from calibrant.tasks.semantic.definition import SemanticDefinition

__all__ = ["SemanticDefinition"]
