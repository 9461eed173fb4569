"""The operating system's lock on an open file, which it lets go of when the process ends, however it ends."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt
    import os

    def try_lock(descriptor: int) -> None:
        """Lock an open file. Raises BlockingIOError where another process has, OSError where none can."""
        try:
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the text, which others read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def try_lock(descriptor: int) -> None:
        """Lock an open file. Raises BlockingIOError where another process has, OSError where none can."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
