"""What a run's files were when they were written, so that damage is noticed and named.

``SHA256SUMS`` is what ``sha256sum`` reads: ``sha256sum --check SHA256SUMS`` in the folder checks it, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from calibrant.artifacts.store import write_bytes
from calibrant.core.errors import DataError
from calibrant.core.reading import read_text, sha256_of

CHECKSUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_LARGEST = 64 * 2**20


def write_checksums(folder: Path, names: Iterable[str], contents: Mapping[str, bytes] | None = None) -> None:
    """Write the checksums of files in ``folder``; contents: of files that are written next.

    Raises OutputError.
    """
    sums = {name: sha256_of(folder / name) for name in names}
    sums |= {name: hashlib.sha256(content).hexdigest() for name, content in (contents or {}).items()}
    lines = (f"{sums[name]}  {name}\n" for name in sorted(sums))
    write_bytes(folder / CHECKSUMS, "".join(lines).encode())


def read_checksums(folder: Path) -> dict[str, str]:
    """The checksums by file name; empty where the folder has none, as runs of older versions.

    Raises DataError where the file itself is damaged.
    """
    path = folder / CHECKSUMS
    try:
        lines = read_text(path, _LARGEST).splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; run the study again") from error
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(match and _is_inside(match[2]) for match in found):
        raise DataError(f"{path} is damaged; run the study again: calibrant resume {folder}")
    return {match[2]: match[1] for match in found if match}


def damaged_files(folder: Path) -> tuple[str, ...]:
    """The files that are missing or no longer what they were when they were written."""
    try:
        sums = read_checksums(folder)
    except DataError:
        return (CHECKSUMS,)
    return tuple(name for name, told in sums.items() if not is_sound(folder / name, told))


def require_sound(folder: Path, name: str, sums: Mapping[str, str]) -> Path:
    """The file, when it is what it was when it was written; what has no checksum is not looked at.

    Raises DataError.
    """
    path = folder / name
    if name in sums and path.exists() and not is_sound(path, sums[name]):
        raise DataError(
            f"{path} is damaged: its checksum is not the one in {CHECKSUMS}; "
            f"make it again: calibrant resume {folder}"
        )
    return path


def _is_inside(name: str) -> bool:
    """Whether a name stays in the folder: whoever sends a run may write any."""
    pure = PurePosixPath(name)
    return not (pure.is_absolute() or ".." in pure.parts or "\0" in name or "\\" in name)


def is_sound(path: Path, told: str) -> bool:
    """Whether a file is there and has this checksum."""
    try:
        return sha256_of(path) == told
    except OSError:
        return False
