"""Text detection: outlines of lines from a map of probabilities (DBNet), and hmean."""

from __future__ import annotations

from calibrant.tasks.text_detection.definition import TextDetectionDefinition

__all__ = ["TextDetectionDefinition"]
