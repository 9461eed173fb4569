"""The conversation: one host, one request after the other, until it closes the pipe."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .build import PRECISIONS, build
from .cuda import Cuda
from .engine import Engine
from .failures import TensorRTError
from .messages import PROTOCOL, Channel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LOUD = {"INTERNAL_ERROR": "error", "ERROR": "error", "WARNING": "warning"}


class Service:
    """Answers ``hello``, then ``build``, ``open``, ``run`` and ``measure``."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._trt: Any = None
        self._cuda: Any = None
        self._logger: Any = None
        self._engine: Engine | None = None

    def serve(self) -> None:
        """Answer until the host is gone; a request that fails is answered with ``error``."""
        answers = {
            "hello": self._hello,
            "build": self._build,
            "open": self._open,
            "run": self._run,
            "measure": self._measure,
        }
        with contextlib.suppress(EOFError, BrokenPipeError):
            while True:
                header, arrays = self._channel.receive()
                try:
                    reply, results = answers[header["kind"]](header, arrays)
                except (EOFError, BrokenPipeError):
                    raise
                except Exception as error:
                    self._channel.send({"kind": "error", "type": type(error).__name__, "text": str(error)})
                else:
                    self._channel.send({"kind": header["kind"], **reply}, results)

    def _hello(self, _: Mapping[str, Any], __: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        import tensorrt

        self._trt, self._cuda = tensorrt, Cuda()
        self._logger = make_logger(tensorrt, self._channel)
        tensorrt.init_libnvinfer_plugins(self._logger, "")
        versions = {"tensorrt": tensorrt.__version__, "python": platform.python_version()}
        precisions = [name for name in PRECISIONS if hasattr(tensorrt.BuilderFlag, name.upper())]
        return {"protocol": PROTOCOL, "precisions": precisions, **versions, **self._cuda.describe()}, {}

    def _build(
        self, request: Mapping[str, Any], _: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return build(self._trt, self._cuda, self._channel, self._logger, request), {}

    def _open(
        self, request: Mapping[str, Any], _: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        self._engine = Engine(self._trt, self._cuda, self._logger, Path(request["plan"]).read_bytes())
        return {}, {}

    def _run(self, _: Mapping[str, Any], feeds: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, self._opened().run(feeds)

    def _measure(
        self, request: Mapping[str, Any], feeds: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, self._opened().measure(feeds, request["runs"], request["warmup"])

    def _opened(self) -> Engine:
        if self._engine is None:
            raise TensorRTError("no engine is open")
        return self._engine


def make_logger(trt: Any, channel: Channel) -> Any:
    """A TensorRT logger that sends warnings and errors to the host at once, so that a crash loses none."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            level = _LOUD.get(str(severity).rpartition(".")[2])
            if level is not None:
                channel.send({"kind": "log", "level": level, "text": text})

    return Logger()


@contextlib.contextmanager
def private_pipes() -> Iterator[Channel]:
    """Keep stdin and stdout for messages: what TensorRT or CUDA print to stdout goes to stderr."""
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (requests, replies):
            msvcrt.setmode(descriptor, os.O_BINARY)
    with os.fdopen(requests, "rb") as reader, os.fdopen(replies, "wb") as writer:
        yield Channel(reader, writer)


def main() -> NoReturn:
    """Serve one host, then leave without TensorRT's destructors, which may hang."""
    with private_pipes() as channel:
        Service(channel).serve()
    os._exit(0)
