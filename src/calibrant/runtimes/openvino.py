"""OpenVINO on the CPU: INT8 as it is deployed, by its low-precision transformations."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from calibrant.core.closing import ClosesOnExit
from calibrant.core.machine import usable_cores
from calibrant.core.progress import Progress
from calibrant.core.reading import require_regular
from calibrant.core.types import Deployable, Feeds, Latency, Observer
from calibrant.runtimes.options import converted, one_of
from calibrant.runtimes.recording import RecordingSession
from calibrant.runtimes.timing import timed
from calibrant.runtimes.vendors import in_our_words

_DEVICE = "CPU"
_RESULT_SUFFIX = "/sink_port_0"
# OpenVINO's Python binding (2026.4) deadlocks when two threads use it for the first time at once.
_FIRST_RUNS = threading.Lock()


class OpenVINO:
    """Opens models with OpenVINO's CPU plugin.

    ``workers`` runs are under way at once, each on one thread (a stream); 0: one a core. ``precision`` is
    what layers in float use: by itself the plugin takes bf16 where the processor has it, for the float
    model, too.
    """

    name = "openvino"

    def __init__(self, workers: int = 0, precision: str = "f32") -> None:
        self._workers = workers or usable_cores()
        self._precision = precision
        self._core = ov.Core()

    @property
    def version(self) -> str:
        """OpenVINO's version, without the build's number."""
        return str(ov.__version__).partition("-")[0]

    @property
    def workers(self) -> int:
        """How many runs are under way at once."""
        return self._workers

    def with_workers(self, workers: int) -> OpenVINO:
        """The same runtime with another number of runs at once."""
        return OpenVINO(workers, self._precision)

    def open(self, model: Path) -> OpenVINOSession:
        """Open an ONNX file. Raises RuntimeFailedError with OpenVINO's words."""
        with in_our_words(f"OpenVINO cannot open {model.name}"):
            require_regular(model)
            network = self._core.read_model(str(model))
            compiled = self._core.compile_model(network, _DEVICE, self._configuration())
        return OpenVINOSession(compiled, [_name_of(port) for port in network.outputs], self._workers)

    def convert(self, candidate: Deployable, stem: Path) -> tuple[Path, ...]:
        """Write a candidate's Q/DQ model as IR (.xml and .bin), weights as they are.

        Raises RuntimeFailedError with OpenVINO's words.
        """
        with in_our_words(f"OpenVINO cannot convert {candidate.qdq.name}"):
            require_regular(candidate.qdq)
            files = stem.with_name(f"{stem.name}.xml"), stem.with_name(f"{stem.name}.bin")
            ov.save_model(self._core.read_model(str(candidate.qdq)), str(files[0]), compress_to_fp16=False)
        return files

    def open_converted(self, file: Path) -> OpenVINOSession:
        """Open an IR file. Raises RuntimeFailedError with OpenVINO's words."""
        return self.open(file)

    def record(self, model: Path, tensors: Sequence[str], observe: Observer) -> RecordingSession:
        """Open a model that has ``tensors`` among its outputs; each run hands them to ``observe``."""
        return RecordingSession(self.open(model), tensors, observe)

    def _configuration(self) -> dict[str, Any]:
        return {
            "NUM_STREAMS": self._workers,
            "INFERENCE_NUM_THREADS": self._workers,
            "INFERENCE_PRECISION_HINT": self._precision,
        }


class OpenVINOSession(ClosesOnExit):
    """An open model; a context manager. Each thread that runs it has a request of its own.

    outputs: their names in the ONNX file, in order; OpenVINO may know a tensor by several.
    """

    def __init__(self, compiled: ov.CompiledModel, outputs: Sequence[str], concurrency: int) -> None:
        self._compiled: ov.CompiledModel | None = compiled
        self._concurrency = concurrency
        self._requests = threading.local()
        self._has_run = False
        self._outputs = tuple(outputs)
        self._inputs = [(port.get_names(), port.get_partial_shape()) for port in compiled.inputs]

    @property
    def concurrency(self) -> int:
        """How many threads may run it at once."""
        return self._concurrency

    def run(self, feeds: Feeds) -> dict[str, Any]:
        """Run once. Raises RuntimeFailedError with OpenVINO's words."""
        with in_our_words("OpenVINO failed while running the model"):
            self._require_fitting(feeds)
            if self._has_run:
                return self._inferred(feeds)
            with _FIRST_RUNS:
                outputs = self._inferred(feeds)
            self._has_run = True
            return outputs

    def latency(self, feeds: Feeds, runs: int = 50) -> Latency:
        """Time up to ``runs`` runs on one thread, or a quarter of a second of them."""
        return timed(lambda: self.run(feeds), runs)

    def close(self) -> None:
        """Release the session's memory."""
        self._compiled = None
        self._requests = threading.local()

    def _inferred(self, feeds: Feeds) -> dict[str, Any]:
        outputs = self._request().infer(dict(feeds), share_inputs=True)
        return dict(zip(self._outputs, (np.array(values) for values in outputs.values()), strict=True))

    def _request(self) -> Any:
        if self._compiled is None:
            raise RuntimeError("the session is closed")
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        return self._requests.own

    def _require_fitting(self, feeds: Feeds) -> None:
        """OpenVINO would leave out an input it is not given, and reshape what has the right size."""
        for names, shape in self._inputs:
            name = next((name for name in names if name in feeds), None)
            if name is None:
                raise ValueError(f"input {min(names)!r} is missing; given: {', '.join(feeds)}")
            if not shape.compatible(ov.PartialShape(list(feeds[name].shape))):
                raise ValueError(f"input {name!r} is {shape}, not {list(feeds[name].shape)}")


def make(options: Mapping[str, str], progress: Progress) -> OpenVINO:  # noqa: ARG001
    """The runtime with a user's options. Raises SettingsError."""
    precisions = one_of("f32", "bf16", "f16")
    return OpenVINO(**converted(OpenVINO.name, options, {"workers": int, "precision": precisions}))


def _name_of(port: Any) -> str:
    """An output's name in the ONNX file, after which the frontend calls the node that ends there."""
    name = str(port.get_node().get_friendly_name()).removesuffix(_RESULT_SUFFIX)
    return name if name in port.get_names() else str(port.get_any_name())
