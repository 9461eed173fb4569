"""What runtimes say when they fail, in one line of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from calibrant.core.errors import RuntimeFailedError

_LONGEST_WORDS = 500


@contextmanager
def in_our_words(fact: str) -> Iterator[None]:
    """Raise whatever a vendor's package raises as RuntimeFailedError: the fact, and the vendor's words."""
    try:
        yield
    except Exception as error:
        vendor_words = " ".join(str(error).split())
        raise RuntimeFailedError(f"{fact}: {vendor_words[:_LONGEST_WORDS]}") from error
