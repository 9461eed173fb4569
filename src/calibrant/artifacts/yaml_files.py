"""YAML files for people to read and change: plain values only, nothing that a file could run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibrant.artifacts.store import write_bytes
from calibrant.core.errors import DataError
from calibrant.core.plain_yaml import MOST_BYTES, parsed_yaml
from calibrant.core.reading import read_text


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping atomically, in its own order. Raises OutputError."""
    import yaml

    text: str = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=110)
    write_bytes(path, text.encode())


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping. Raises DataError naming the file when it is missing, broken or something else."""
    try:
        content = parsed_yaml(read_text(path, MOST_BYTES))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} is not valid YAML: {error}; make it anew") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no YAML mapping; make it anew")
    return content
