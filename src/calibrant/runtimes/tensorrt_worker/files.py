"""Files that are either whole or absent: this package cannot use Calibrant's own store."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomically(path: str, content: bytes) -> None:
    """Write a file by way of a temporary neighbour. Raises OSError."""
    handle, temporary = tempfile.mkstemp(dir=str(Path(path).parent))
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)
