"""ONNX Runtime on the CPU: the reference runtime, on every laptop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
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
from calibrant.runtimes.ort_qdq import QdqFile, no_faster
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
                return OnnxRuntimeSession(open_fused(model), self._workers, no_faster)
            quantized = QdqFile(model)
            known = quantized.known_session()
            if known is not None:
                return OnnxRuntimeSession(known, self._workers, no_faster)
            session = ort.InferenceSession(str(model), session_options(), PROVIDERS)
        return OnnxRuntimeSession(session, self._workers, quantized.verified_session)

    def record(self, model: Path, tensors: Sequence[str], observe: Observer) -> FusedRecordingSession:
        """Open a model that has ``tensors`` among its outputs; each run hands them to ``observe``."""
        return FusedRecordingSession(model, tensors, observe, self.open)


class OnnxRuntimeSession(ClosesOnExit):
    """An open model; a context manager.

    After its first run ``faster`` may replace the session by one that gives the same bits.
    """

    def __init__(
        self, session: ort.InferenceSession, concurrency: int, faster: Callable[[Feeds, Feeds], Any]
    ) -> None:
        self._session = session
        self._concurrency = concurrency
        self._outputs = [output.name for output in session.get_outputs()]
        self._faster = faster
        self._first_run = threading.Lock()

    @property
    def concurrency(self) -> int:
        """How many threads may run it at once."""
        return self._concurrency

    def run(self, feeds: Feeds) -> dict[str, Any]:
        """Run once. Raises RuntimeFailedError with ONNX Runtime's words."""
        with in_our_words("ONNX Runtime failed while running the model"):
            outputs = dict(zip(self._outputs, self._session.run(self._outputs, dict(feeds)), strict=True))
        # Taken once and never given back. Whoever comes second runs the session that there is.
        if self._first_run.acquire(blocking=False):
            self._session = self._faster(feeds, outputs) or self._session
        return outputs

    def latency(self, feeds: Feeds, runs: int = 50) -> Latency:
        """Time up to ``runs`` runs on the CPU, or a quarter of a second of them."""
        return timed(lambda: self.run(feeds), runs)

    def close(self) -> None:
        """Release the session's memory."""
        self._session = None


def make(options: Mapping[str, str], progress: Progress) -> OnnxRuntime:  # noqa: ARG001
    """The runtime with a user's options. Raises SettingsError."""
    return OnnxRuntime(
        **converted(OnnxRuntime.name, options, {"workers": int, "qdq": one_of(AUTO, EXACT, FUSED)})
    )
