"""Speech recognition: Whisper, CTC and transducers, of one file or several, by the word error rate."""

from __future__ import annotations

from calibrant.tasks.speech.definition import SpeechDefinition

__all__ = ["SpeechDefinition"]
