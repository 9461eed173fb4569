"""Speech synthesis: a voice of one file (VITS, Piper) or two (acoustic model and vocoder), by DNSMOS."""

from __future__ import annotations

from calibrant.tasks.synthesis.definition import SynthesisDefinition

__all__ = ["SynthesisDefinition"]
