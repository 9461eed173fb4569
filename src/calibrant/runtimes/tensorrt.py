"""TensorRT, any version from 8.5 on: engines are built and run by a worker with its own interpreter.

Each open model has a worker process of its own, so that a crash or a hang costs that model only. Engines,
TensorRT's own calibration caches and its kernel timings are kept by content hash in the user's cache folder.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.closing import ClosesOnExit
from calibrant.core.errors import OutputError, RuntimeFailedError, SettingsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.reading import read_bytes, read_text, sha256_of
from calibrant.core.types import Deployable, Feeds, Latency, Observer
from calibrant.core.user_folder import user_cache_folder
from calibrant.core.writing import write_atomically
from calibrant.runtimes.onnx_files import output_names
from calibrant.runtimes.options import converted, one_of
from calibrant.runtimes.recording import RecordingSession
from calibrant.runtimes.tensorrt_worker.messages import PROTOCOL
from calibrant.runtimes.worker_process import WorkerFailedError, WorkerProcess

EXPLICIT, CACHE, CALIBRATE = "explicit", "cache", "calibrate"
THOROUGH, QUICK = "thorough", "quick"
ALL, NONE = "all", "none"
WARMUP_RUNS = 20

_START_SECONDS = 120.0
_RUN_SECONDS = 300.0
_PATIENCE_SECONDS = 60.0
_LONGEST_WARNING = 400
_PARTS = 5
# "Missing scale and zero-point for tensor X, expect fall back ...": X may hold spaces, but no comma.
_A_NAME = re.compile(r"(?<= tensor )[^,]+")
_WORKER = Path(__file__).with_name("tensorrt_worker") / "__init__.py"
# Loads the worker as a package of its own, without this folder (and its tensorrt.py) on the path.
_START = (
    "import importlib.util as u, sys; p = sys.argv[1]; sys.path[:] = [f for f in sys.path if f]; "
    "s = u.spec_from_file_location('tensorrt_worker', p, submodule_search_locations=[p[:-12]]); "
    "m = u.module_from_spec(s); sys.modules[s.name] = m; s.loader.exec_module(m); m.main()"
)


@dataclass(frozen=True)
class Implicit:
    """How TensorRT (up to 10) is to quantize a float model by itself.

    ``algorithm`` is minmax, entropy2, entropy or legacy; ``scales`` a calibration cache to take the scales
    from; without it TensorRT calibrates, and ``batches`` are the samples.
    """

    algorithm: str
    quantile: float
    scales: Path | None = None
    batches: Iterator[Feeds] | None = None


class TensorRT:
    """Runs models with TensorRT.

    python: the interpreter that has TensorRT. precision: what the layers in float may use, ``fp32``, ``fp16``
    or ``bf16`` (never TF32). beside: where that is FP32, in which others a study measures the float model,
    too: ``all`` that this TensorRT has, or ``none``. int8: how a study's candidates are quantized:
    ``explicit`` (the Q/DQ model), ``cache`` (the float model with Calibrant's calibration cache) or
    ``calibrate`` (TensorRT's own calibrator); the latter two up to TensorRT 10. effort: ``thorough`` times
    kernels to choose among them, ``quick`` leaves that to TensorRT's heuristics. timeout: seconds that a
    build may take. folder: where engines are kept. device: the GPU's number.
    """

    name = "tensorrt"

    def __init__(
        self,
        python: str = sys.executable,
        precision: str = "fp32",
        int8: str = EXPLICIT,
        timeout: float = 1800.0,
        folder: Path | None = None,
        device: int | None = None,
        progress: Progress | None = None,
        effort: str = THOROUGH,
        beside: str = ALL,
    ) -> None:
        self._command = (python, "-c", _START, str(_WORKER))
        self._python, self._precision, self._int8, self._timeout = python, precision, int8, timeout
        self._folder, self._device = folder or user_cache_folder(), device
        self._progress, self._effort, self._beside = progress or Silent(), effort, beside
        self._known: dict[str, str] | None = None
        self._precisions: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """TensorRT's version, as the worker tells it. Raises SettingsError when there is no TensorRT."""
        return self._about["tensorrt"]

    @property
    def device(self) -> str:
        """The GPU's name, as the driver tells it. Raises as version."""
        return self._about["device"]

    @property
    def reads_caches(self) -> bool:
        """Whether candidates are float models with Calibrant's calibration cache."""
        return self._int8 == CACHE

    @property
    def calibrates_itself(self) -> bool:
        """Whether TensorRT's own calibrators choose the scales."""
        return self._int8 == CALIBRATE

    @property
    def precisions(self) -> tuple[str, ...]:
        """What the float model may run in beside FP32; none where the user chose otherwise."""
        if self._beside == NONE or self._precision != "fp32":
            return ()
        return self._precisions if self._about else ()

    def in_precision(self, precision: str) -> TensorRT:
        """The same TensorRT, whose layers in float may use ``precision``."""
        other = copy.copy(self)
        other._precision = precision
        return other

    def open(self, model: Path) -> TensorRTSession:
        """Build the engine of an ONNX file, or take it from the cache, and load it.

        A Q/DQ model runs in INT8 where it says so. Raises RuntimeFailedError with TensorRT's words.
        """
        return self._open(model, None)

    def open_candidate(self, candidate: Deployable) -> TensorRTSession:
        """Open a study's candidate in the form that ``int8`` names. Raises as :meth:`open`."""
        if self._int8 != CALIBRATE:
            return self._open(*self._as_quantized(candidate))
        if not candidate.is_tensorrts_own:
            raise RuntimeFailedError(
                f"TensorRT has no calibrator {candidate.name}; use int8=cache to give it Calibrant's scales"
            )
        return self._calibrated(candidate)

    def convert(self, candidate: Deployable, stem: Path) -> tuple[Path, ...]:
        """Write a candidate's engine, built here for this GPU; ``int8`` says from which form.

        Raises RuntimeFailedError with TensorRT's words, SettingsError with int8=calibrate.
        """
        if self._int8 == CALIBRATE:
            raise SettingsError("int8=calibrate has no scales of the run; use int8=explicit or int8=cache")
        model, implicit = self._as_quantized(candidate)
        self._open(model, implicit).close()
        engine = stem.with_name(f"{stem.name}.engine")
        write_atomically(engine, read_bytes(self._plan(model, implicit)))
        return (engine,)

    def open_converted(self, file: Path) -> TensorRTSession:
        """Load an engine of this TensorRT and GPU. Raises RuntimeFailedError with TensorRT's words."""
        worker = self._worker()
        try:
            self._known = self._greet(worker)
            _load(worker, file, file.name)
        except BaseException:
            worker.close()
            raise
        return TensorRTSession(worker, file.name, (), None)

    def _as_quantized(self, candidate: Deployable) -> tuple[Path, Implicit | None]:
        if self._int8 == EXPLICIT:
            return candidate.qdq, None
        implicit = Implicit(candidate.algorithm, candidate.quantile, candidate.cache)
        return candidate.float_model, implicit

    def record(self, model: Path, tensors: Sequence[str], observe: Observer) -> RecordingSession:
        """Open a model that has ``tensors`` among its outputs; each run hands them to ``observe``."""
        return RecordingSession(self.open(model), tensors, observe)

    def _calibrated(self, candidate: Deployable) -> TensorRTSession:
        """Let TensorRT calibrate, once: its cache is kept beside the engines and with the candidate.

        The samples are known by what Calibrant's own calibration made of them.
        """
        known = hashlib.sha256(read_bytes(candidate.cache) + candidate.algorithm.encode())
        known.update(_content_sha256(candidate.float_model).encode())
        kept = self._home / "calibrations" / f"{known.hexdigest()[:32]}.cache"
        scales = kept if kept.exists() else None
        implicit = Implicit(candidate.algorithm, candidate.quantile, scales, candidate.batches())
        try:
            return self._open(candidate.float_model, implicit, kept)
        finally:
            if kept.exists():  # also where the engine could not be built
                write_atomically(candidate.tensorrts_cache, read_bytes(kept))

    def _open(self, model: Path, implicit: Implicit | None, cache: Path | None = None) -> TensorRTSession:
        worker = self._worker()
        try:
            self._known = self._greet(worker)
            plan = self._plan(model, implicit, cache)
            if not plan.exists():
                self._build(worker, model, plan, implicit, cache)
            _load(worker, plan, model.name)
        except BaseException:
            worker.close()
            raise
        facts = _facts_of(plan)
        warnings = tuple(map(str, facts.get("warnings", ())))
        for warning in warnings:
            self._progress.note(f"{worker.name}, building {model.name}: {warning}")
        return TensorRTSession(worker, model.name, output_names(model), facts.get("seconds"), warnings)

    def _plan(self, model: Path, implicit: Implicit | None, cache: Path | None = None) -> Path:
        return self._home / "engines" / f"{self._key(model, implicit, cache)}.plan"

    def _build(
        self, worker: WorkerProcess, model: Path, plan: Path, implicit: Implicit | None, cache: Path | None
    ) -> None:
        request = {
            "kind": "build",
            "model": str(model.resolve()),
            "plan": str(plan),
            "timing_cache": str(self._home / f"timing-{_file_name(self._about['device'])}.bin"),
            "precision": self._precision,
            "effort": self._effort,
            "algorithm": implicit and implicit.algorithm,
            "quantile": implicit and implicit.quantile,
            "scales": implicit and implicit.scales and str(implicit.scales),
            "cache": cache and str(cache),
        }
        batches = (implicit and implicit.batches) or iter(())
        with _patience(self._progress, f"{worker.name} builds an engine for {model.name}"):
            reply, _ = worker.ask(
                request, doing=f"building {model.name}", seconds=self._timeout, batches=batches
            )
        warnings = summarised(worker.warnings)
        facts = {
            "seconds": round(reply["seconds"], 1),
            "model": str(model),
            "warnings": warnings,
            **self._about,
        }
        write_atomically(plan.with_suffix(".json"), json.dumps(facts, indent=2).encode())

    def _worker(self) -> WorkerProcess:
        environment = {"CUDA_MODULE_LOADING": "LAZY", **os.environ}
        if self._device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = str(self._device)
        return WorkerProcess(self._command, environment, "TensorRT")

    def _greet(self, worker: WorkerProcess) -> dict[str, str]:
        try:
            about, _ = worker.ask({"kind": "hello"}, doing="starting", seconds=_START_SECONDS)
        except WorkerFailedError as error:
            if error.kind not in {"ImportError", "ModuleNotFoundError"}:
                raise
            raise SettingsError(
                f"{self._python} has no TensorRT ({error}); name a Python that has it: "
                "--runtime tensorrt:python=/path/to/python"
            ) from error
        if about["protocol"] != PROTOCOL:
            raise RuntimeFailedError(
                f"the TensorRT worker speaks protocol {about['protocol']}, not {PROTOCOL}; "
                "install Calibrant again"
            )
        worker.name = f"TensorRT {about['tensorrt']}"
        self._precisions = tuple(map(str, about["precisions"]))
        return {key: str(about[key]) for key in ("tensorrt", "python", "device", "compute")}

    @property
    def _about(self) -> dict[str, str]:
        if self._known is None:
            worker = self._worker()
            try:
                self._known = self._greet(worker)
            finally:
                worker.close()
        return self._known

    @functools.cached_property
    def _home(self) -> Path:
        home = self._folder / "tensorrt" / _file_name(self.version)
        try:
            for folder in ("engines", "calibrations"):
                (home / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write into {self._folder}: {error.strerror}; choose another with folder=PATH"
            ) from error
        return home

    def _key(self, model: Path, implicit: Implicit | None, cache: Path | None) -> str:
        """What decides an engine: the model's content, the scales, TensorRT, the GPU and the precision."""
        parts = [_content_sha256(model), self._precision, self._about["device"], self._about["compute"]]
        parts += [QUICK] if self._effort == QUICK else []
        if implicit is not None:
            scales = read_text(implicit.scales) if implicit.scales and not cache else ""
            parts += [implicit.algorithm, repr(implicit.quantile), scales, cache.name if cache else ""]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class TensorRTSession(ClosesOnExit):
    """An engine that a worker holds; a context manager.

    outputs: the graph's, in its order; none: the engine's in its own. ``build_seconds`` is how
    long building the engine took, and ``build_warnings`` what TensorRT warned of meanwhile.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        model: str,
        outputs: Sequence[str],
        build_seconds: float | None,
        build_warnings: tuple[str, ...] = (),
    ) -> None:
        self._worker: WorkerProcess | None = worker
        self._model, self._outputs = model, tuple(outputs)
        self.build_seconds, self.build_warnings = build_seconds, build_warnings

    def run(self, feeds: Feeds) -> dict[str, Any]:
        """Run once; outputs in the graph's order, not in the engine's, which is TensorRT's own.

        Raises RuntimeFailedError with TensorRT's words.
        """
        _, outputs = self._ask({"kind": "run"}, feeds, f"running {self._model}")
        return {name: outputs[name] for name in self._outputs or outputs}

    def latency(self, feeds: Feeds, runs: int = 200) -> Latency:
        """Time ``runs`` runs, batch as in ``feeds``, after a warm-up; the pipe to the worker is left out."""
        request = {"kind": "measure", "runs": runs, "warmup": WARMUP_RUNS}
        _, times = self._ask(request, feeds, f"timing {self._model}")
        total, device = times["total_ms"], times["device_ms"]
        return Latency(
            median_ms=float(np.median(total)),
            p99_ms=float(np.percentile(total, 99)),
            runs=runs,
            device_median_ms=float(np.median(device)),
            device_p99_ms=float(np.percentile(device, 99)),
            build_seconds=self.build_seconds,
            build_warnings=self.build_warnings,
            spread_ms=_spread(device),
        )

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _ask(
        self, request: Mapping[str, Any], feeds: Feeds, doing: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        if self._worker is None:
            raise RuntimeFailedError(f"the session of {self._model} is closed; open it again")
        return self._worker.ask(request, feeds, doing=doing, seconds=_RUN_SECONDS)


def _spread(times: NDArray[np.float64]) -> tuple[float, float]:
    medians = [float(np.median(part)) for part in np.array_split(times, _PARTS)]
    return min(medians), max(medians)


def _load(worker: WorkerProcess, plan: Path, name: str) -> None:
    worker.ask({"kind": "open", "plan": str(plan.absolute())}, doing=f"opening {name}", seconds=_RUN_SECONDS)


OPTIONS: dict[str, Callable[[str], Any]] = {
    "python": str,
    "precision": one_of("fp32", "fp16", "bf16"),
    "int8": one_of(EXPLICIT, CACHE, CALIBRATE),
    "effort": one_of(THOROUGH, QUICK),
    "beside": one_of(ALL, NONE),
    "timeout": float,
    "folder": Path,
    "device": int,
}


def make(options: Mapping[str, str], progress: Progress) -> TensorRT:
    """The runtime with a user's options. Raises SettingsError."""
    return TensorRT(**converted(TensorRT.name, options, OPTIONS), progress=progress)


@contextmanager
def _patience(progress: Progress, text: str) -> Iterator[None]:
    """Say what is being waited for: at once, and again every minute."""
    done = threading.Event()

    def remind() -> None:
        minutes = 0
        while not done.wait(_PATIENCE_SECONDS):
            minutes += 1
            progress.note(f"{text}: {minutes} min so far")

    thread = threading.Thread(target=remind, daemon=True)
    progress.note(f"{text}; this can take minutes")
    thread.start()
    try:
        with progress.stage(text, 1) as advance:
            yield
            advance()
    finally:
        done.set()
        thread.join()


def _content_sha256(model: Path) -> str:
    """A hash of an ONNX file and of the files beside it that it names (external data)."""
    try:
        content = read_bytes(model)
    except OSError as error:
        raise RuntimeFailedError(f"cannot read {model}: {error.strerror}; check the path") from error
    digest = hashlib.sha256(content)
    for neighbour in sorted(model.resolve().parent.iterdir()):
        if neighbour.name != model.name and neighbour.name.encode() in content and neighbour.is_file():
            digest.update(bytes.fromhex(sha256_of(neighbour)))
    return digest.hexdigest()


def summarised(warnings: Sequence[str]) -> tuple[str, ...]:
    """One line for each kind of warning: the first of it, and how many more differ only in names and numbers.

    Two are of a kind that have the same words apart from those that hold a digit or stand in brackets.
    """
    kinds: dict[str, list[str]] = {}
    for warning in warnings:
        line = " ".join(warning.split())[:_LONGEST_WARNING]
        kinds.setdefault(_kind_of(line), []).append(line)
    return tuple(
        first if not rest else f"{first} (and {len(rest)} more such)" for first, *rest in kinds.values()
    )


def _kind_of(warning: str) -> str:
    named = _A_NAME.search(warning)
    if named is not None:
        warning = warning[: named.start()] + warning[named.end() :]
    return " ".join(word for word in warning.split() if not any(c.isdigit() for c in word))


def _facts_of(plan: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(read_text(plan.with_suffix(".json")))
    except (OSError, ValueError):  # kept for people and for reports; an engine runs without it
        return {}
    return facts


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in ".-_" else "-" for c in text)
