"""ONNX Runtime on the CPU: the reference runtime, on every laptop."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from calibrant.core.closing import ClosesOnExit
from calibrant.core.machine import usable_cores
from calibrant.core.progress import Progress
from calibrant.core.reading import require_regular
from calibrant.core.schemes import ONNXRUNTIME
from calibrant.core.types import Feeds, Latency, Observer
from calibrant.runtimes.options import converted, one_of
from calibrant.runtimes.ort_files import PROVIDERS, open_fused, scheme_of, session_options
from calibrant.runtimes.ort_qdq import QdqFile
from calibrant.runtimes.ort_recording import FusedRecordingSession
from calibrant.runtimes.timing import timed
from calibrant.runtimes.vendors import in_our_words

AUTO, EXACT, FUSED = "auto", "exact", "fused"


class OnnxRuntime:
    """Opens models with ONNX Runtime's CPU provider.

    ``workers`` runs are under way at once, each on one thread: that uses all cores better than one run on
    all of them, and the task's own work overlaps with it. 0: one a core. ``qdq`` says how Q/DQ models
    run: ``exact``, each pair as it is written; ``fused`` into ONNX Runtime's integer operators; ``auto``
    fuses those of the scheme ``onnxruntime``, as they are deployed.
    """

    name = "onnxruntime"

    def __init__(self, workers: int = 0, qdq: str = AUTO) -> None:
        self._workers = workers or usable_cores()
        self._qdq = qdq

    @property
    def version(self) -> str:
        """ONNX Runtime's version."""
        return str(ort.__version__)

    @property
    def workers(self) -> int:
        """How many runs are under way at once."""
        return self._workers

    def with_workers(self, workers: int) -> OnnxRuntime:
        """The same runtime with another number of runs at once."""
        return OnnxRuntime(workers, self._qdq)

    def open(self, model: Path) -> OnnxRuntimeSession:
        """Open an ONNX file. Raises RuntimeFailedError with ONNX Runtime's words."""
        with in_our_words(f"ONNX Runtime cannot open {model.name}"):
            require_regular(model)
            if self._qdq == FUSED or (self._qdq == AUTO and scheme_of(model) == ONNXRUNTIME.name):
                return OnnxRuntimeSession(open_fused(model), self._workers)
            quantized = QdqFile(model)
            known = quantized.known_session()
            if known is not None:
                return OnnxRuntimeSession(known, self._workers)
            plain = _opened(model)
        return OnnxRuntimeSession(plain, self._workers, quantized if quantized.may_be_faster else None)

    def record(self, model: Path, tensors: Sequence[str], observe: Observer) -> FusedRecordingSession:
        """Open a model that has ``tensors`` among its outputs; each run hands them to ``observe``."""
        return FusedRecordingSession(model, tensors, observe, self.open)


class OnnxRuntimeSession(ClosesOnExit):
    """An open model; a context manager.

    quantized: the file, where another session may give the same bits faster. The first run, with no other
    beside it, finds out; the plain session is closed meanwhile, so that the weights are held once.
    """

    def __init__(
        self, session: ort.InferenceSession, concurrency: int, quantized: QdqFile | None = None
    ) -> None:
        self._session = session
        self._concurrency = concurrency
        self._outputs = [output.name for output in session.get_outputs()]
        self._quantized = quantized
        self._first_run = threading.Lock()

    @property
    def concurrency(self) -> int:
        """How many threads may run it at once."""
        return self._concurrency

    def run(self, feeds: Feeds) -> dict[str, Any]:
        """Run once. Raises RuntimeFailedError with ONNX Runtime's words."""
        if self._quantized is not None:
            with self._first_run:
                if self._quantized is not None:
                    return self._faster_from_now(self._quantized, feeds)
        return self._run(feeds)

    def _run(self, feeds: Feeds) -> dict[str, Any]:
        with in_our_words("ONNX Runtime failed while running the model"):
            return dict(zip(self._outputs, self._session.run(self._outputs, dict(feeds)), strict=True))

    def _faster_from_now(self, quantized: QdqFile, feeds: Feeds) -> dict[str, Any]:
        outputs = self._run(feeds)
        self._session = None
        self._session = quantized.verified_session(feeds, outputs) or _opened(quantized.file)
        self._quantized = None
        return outputs

    def latency(self, feeds: Feeds, runs: int = 50) -> Latency:
        """Time up to ``runs`` runs on the CPU, or a quarter of a second of them."""
        return timed(lambda: self.run(feeds), runs)

    def close(self) -> None:
        """Release the session's memory."""
        self._session = self._quantized = None


def _opened(model: Path) -> ort.InferenceSession:
    return ort.InferenceSession(str(model), session_options(), PROVIDERS)


def make(options: Mapping[str, str], progress: Progress) -> OnnxRuntime:  # noqa: ARG001
    """The runtime with a user's options. Raises SettingsError."""
    return OnnxRuntime(
        **converted(OnnxRuntime.name, options, {"workers": int, "qdq": one_of(AUTO, EXACT, FUSED)})
    )
