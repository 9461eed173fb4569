"""ONNX Runtime on the CPU: the reference runtime, on every laptop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import onnxruntime as ort

from calibrant.core.errors import RuntimeFailedError
from calibrant.core.types import Feeds, Observer


class OnnxRuntime:
    """Opens models with ONNX Runtime's CPU provider.

    ``threads`` is the number of intra-op threads; 0 leaves it to ONNX Runtime (one a core).
    """

    name = "onnxruntime"

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads

    @property
    def version(self) -> str:
        """ONNX Runtime's version."""
        return str(ort.__version__)

    def open(self, model: Path) -> OnnxRuntimeSession:
        """Open an ONNX file. Raises RuntimeFailedError with ONNX Runtime's words."""
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        with _in_our_words(f"ONNX Runtime cannot open {model.name}"):
            return OnnxRuntimeSession(ort.InferenceSession(str(model), options, ["CPUExecutionProvider"]))

    def record(self, model: Path, tensors: Sequence[str], observe: Observer) -> RecordingSession:
        """Open a model that has ``tensors`` among its outputs; each run hands them to ``observe``."""
        return RecordingSession(self.open(model), tensors, observe)


class OnnxRuntimeSession:
    """An open model; a context manager."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]

    def run(self, feeds: Feeds) -> dict[str, Any]:
        """Run once. Raises RuntimeFailedError with ONNX Runtime's words."""
        with _in_our_words("ONNX Runtime failed while running the model"):
            return dict(zip(self._outputs, self._session.run(self._outputs, dict(feeds)), strict=True))

    def close(self) -> None:
        """Release the session's memory."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RecordingSession:
    """A session that shows chosen outputs and inputs to an observer before it returns."""

    def __init__(self, session: OnnxRuntimeSession, tensors: Sequence[str], observe: Observer) -> None:
        self._session, self._tensors, self._observe = session, tuple(tensors), observe

    def run(self, feeds: Feeds) -> dict[str, Any]:
        """Run once, observing each of the tensors in the order they were named."""
        outputs = self._session.run(feeds)
        for tensor in self._tensors:
            self._observe(tensor, outputs[tensor] if tensor in outputs else feeds[tensor])
        return outputs

    def close(self) -> None:
        """Release the session's memory."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _in_our_words(fact: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        vendor_words = " ".join(str(error).split())
        raise RuntimeFailedError(f"{fact}: {vendor_words[:500]}") from error
