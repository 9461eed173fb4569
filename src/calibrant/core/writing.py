"""The one way to write a file: whole or not at all, beside its place and then renamed, never through a link.

A link that lies where a file belongs is replaced, not followed: what it leads to is not ours.
``tests/test_opening.py`` finds ways around this module.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from calibrant.core.reading import LARGEST_HASHED, opened

_CHUNK = 1 << 20
_NEW = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL  # which follows no link
    | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
)  # fmt: skip


def write_atomically(path: Path, content: bytes | Iterable[bytes], *, durably: bool = True) -> None:
    """Make ``path`` a regular file of this content, whole or in pieces; its folder is made, too.

    durably: it is on the disk when this returns, so that its name never stands for less after a power loss.
    Raises OSError, and leaves what was there before and nothing beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, _NEW, 0o666), "wb") as file:
            file.writelines((content,) if isinstance(content, bytes) else content)
            if durably:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def copy_atomically(source: Path, target: Path) -> None:
    """Make ``target`` a regular file with the content of ``source``, which is read as any file is.

    Raises OSError as :func:`write_atomically`.
    """
    with opened(source, LARGEST_HASHED) as stream:
        write_atomically(target, iter(partial(stream.read, _CHUNK), b""))
