"""Reading a page: text detection, the turn of lines where a part tells it, and text recognition.

It is made of two other tasks: what finds regions is tasks/text_detection, what reads lines tasks/recognition.
"""

from __future__ import annotations

from calibrant.tasks.page.definition import PageDefinition

__all__ = ["PageDefinition"]
