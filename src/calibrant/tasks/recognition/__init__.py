"""Text recognition: images of single lines, CTC decoding and the character error rate."""

from __future__ import annotations

from calibrant.tasks.recognition.definition import RecognitionDefinition

__all__ = ["RecognitionDefinition"]
