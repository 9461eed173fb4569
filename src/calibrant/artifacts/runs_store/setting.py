"""The variable that says where the store is. Reading it loads no database."""

from __future__ import annotations

import os

VARIABLE = "CALIBRANT_STORE"
OFF = "off"


def store_setting() -> str:
    """A URL, a file, ``off``, or nothing."""
    return os.environ.get(VARIABLE, "").strip()


def is_off() -> bool:
    """Whether the user wants no store."""
    return store_setting().lower() == OFF
