"""A study's folder, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from calibrant.artifacts.checksums import read_checksums, require_sound
from calibrant.artifacts.encodings import read_encodings
from calibrant.artifacts.statistics import read_statistics
from calibrant.artifacts.store import read_json
from calibrant.artifacts.trt_cache import TensorRTCache
from calibrant.artifacts.trt_cache_files import read_cache
from calibrant.core.errors import DataError
from calibrant.core.types import Encoding, Evidence, Statistics
from calibrant.studies.evidence import load_evidence
from calibrant.studies.request import StudyRequest, read_request
from calibrant.studies.result import SCHEMA_VERSION
from calibrant.studies.run import RESULT, STATISTICS
from calibrant.studies.run_files import require_inside, require_study
from calibrant.studies.verdict import BASELINE

_TELLING_OPTIONS = ("precision=", "int8=", "qdq=")


@dataclass(frozen=True)
class Run:
    """A finished study: its folder and its study.json."""

    folder: Path
    content: Mapping[str, Any]

    @property
    def runtime(self) -> str:
        """The runtime and its version, e.g. ``tensorrt 8.5.1.7``, with the options that matter."""
        name, *options = named_runtime(str(self.content["settings"]["runtime"]))
        return " ".join([name, str(self.content["environment"].get(name, "")), *options]).strip()

    @property
    def names(self) -> tuple[str, ...]:
        """The float model, then every calibrator, in the study's order."""
        return (BASELINE, *(trial["calibrator"] for trial in self.content["trials"]))

    def entry(self, name: str) -> Mapping[str, Any] | None:
        """What study.json holds of the float model or of a calibrator; None where it was not studied."""
        if name == BASELINE:
            baseline: Mapping[str, Any] = self.content["baseline"]
            return baseline
        return next((trial for trial in self.content["trials"] if trial["calibrator"] == name), None)

    def evidence(self, name: str) -> Evidence | None:
        """What is known of every test image; None where the study could not keep it. Raises DataError."""
        entry = self.entry(name) or {}
        kept = entry.get("evidence") if name == BASELINE else (entry.get("files") or {}).get("evidence")
        return load_evidence(self._file(kept)) if kept else None

    def cache(self, name: str) -> TensorRTCache | None:
        """The scales that the runtime used: TensorRT's own where it calibrated. Raises DataError."""
        files = (self.entry(name) or {}).get("files") or {}
        kept = files.get("tensorrt_cache") or files.get("cache")
        return read_cache(self._file(kept)) if kept else None

    def encodings(self, name: str) -> dict[str, Encoding] | None:
        """What Calibrant chose for the quantized activations. Raises DataError."""
        kept = ((self.entry(name) or {}).get("files") or {}).get("encodings")
        return read_encodings(self._file(kept)) if kept else None

    def statistics(self) -> Statistics:
        """The statistics of the calibration images. Raises DataError."""
        return read_statistics(self._file(STATISTICS))

    def request(self) -> StudyRequest:
        """What the study was asked for, to open it again. Raises DataError."""
        return read_request(self.folder)

    def _file(self, name: str) -> Path:
        require_inside(self.folder, name)
        return require_sound(self.folder, name, self._checksums)

    @cached_property
    def _checksums(self) -> Mapping[str, str]:
        return read_checksums(self.folder)


def named_runtime(asked_for: str) -> tuple[str, ...]:
    """A runtime's name, then the options that change what it computes and not just where and how fast."""
    name, _, options = asked_for.partition(":")
    return (name, *(part for part in options.split(",") if part.startswith(_TELLING_OPTIONS)))


def load_run(folder: Path) -> Run:
    """Read a run's study.json. Raises DataError when there is none, or of another version."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give one that calibrant study wrote, e.g. runs/yolov5n-...")
    content = read_json(require_sound(folder, RESULT, read_checksums(folder)))
    if content.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{folder / RESULT} has schema version {content.get('schema_version')}, "
            f"not {SCHEMA_VERSION}; run the study again"
        )
    require_study(content, folder / RESULT)
    return Run(folder, content)
