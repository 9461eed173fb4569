"""What host and worker say to each other, and how it goes over a pipe.

A message is a magic number, the length of a JSON header (4 bytes, big-endian), the header, and the bytes
of the arrays that the header lists under ``arrays`` as [name, dtype, shape]. The first request is ``hello``.
Each request is answered by one reply of the same kind or by ``error``; while it works the worker may send
``log`` (TensorRT's own words) and ``want_batch``, which the host answers with ``batch`` or ``end``.
"""

from __future__ import annotations

import json
import math
import struct
import threading
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROTOCOL = 1
MAGIC = b"\x89CALIBRANT-WORKER\n"
_LONGEST_HEADER = 1 << 26


def write_message(stream: IO[bytes], header: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Send one message. Raises OSError when nobody listens any more."""
    solid = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    listed = [[name, array.dtype.name, array.shape] for name, array in solid.items()]
    text = json.dumps({**header, "arrays": listed}).encode()
    stream.write(MAGIC + struct.pack(">I", len(text)) + text)
    for array in solid.values():
        stream.write(array.tobytes())
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Wait for one message: its header and its arrays by name.

    Raises EOFError at the end of the stream, and ValueError for anything else than a message.
    """
    magic = stream.read(len(MAGIC))
    if MAGIC.startswith(magic) and magic != MAGIC:
        raise EOFError("the stream has ended")
    if magic != MAGIC:
        raise ValueError(f"{magic + stream.read1(100)!r} is no message")  # type: ignore[attr-defined]
    (length,) = struct.unpack(">I", _exactly(stream, 4))
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes is no message")
    try:
        header = json.loads(_exactly(stream, length).decode())
        arrays = {name: _read_array(stream, dtype, shape) for name, dtype, shape in header.pop("arrays")}
    except (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"a header that is none ({type(error).__name__}: {error})") from error
    return header, arrays


def _read_array(stream: IO[bytes], dtype: str, shape: Sequence[int]) -> Any:
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < 0 or kind.hasobject:
        raise ValueError(f"an array of {dtype} and shape {shape} is none")
    return np.ndarray(shape, kind, bytearray(_exactly(stream, size)))


def _exactly(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError(f"the stream has ended after {len(content)} of {size} bytes")
    return content


class Channel:
    """The worker's end: requests come in, replies and events go out, from any thread."""

    def __init__(self, requests: IO[bytes], replies: IO[bytes]) -> None:
        self._requests, self._replies = requests, replies
        self._lock = threading.Lock()

    def send(self, header: Mapping[str, Any], arrays: Mapping[str, Any] | None = None) -> None:
        """Send one message."""
        with self._lock:
            write_message(self._replies, header, arrays or {})

    def receive(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Wait for the host's next message."""
        return read_message(self._requests)
