"""A study's folder, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from calibrant.artifacts.checksums import read_checksums, require_sound
from calibrant.artifacts.encodings import read_encodings
from calibrant.artifacts.statistics import read_statistics
from calibrant.artifacts.versions import read_versioned
from calibrant.core.errors import DataError
from calibrant.core.metrics import Evidence
from calibrant.core.types import Encoding, Statistics
from calibrant.studies.evidence import load_evidence
from calibrant.studies.request import StudyRequest, read_request
from calibrant.studies.result import READABLE, StudyResult, Trial
from calibrant.studies.run import RESULT, STATISTICS
from calibrant.studies.run_files import require_inside, require_study
from calibrant.studies.verdict import BASELINE
from calibrant.targets.tensorrt.cache import TensorRTCache
from calibrant.targets.tensorrt.cache_files import read_cache

_TELLING_OPTIONS = ("precision=", "int8=", "qdq=")


@dataclass(frozen=True)
class Run:
    """A finished study: its folder and what its study.json tells."""

    folder: Path
    result: StudyResult

    @property
    def runtime(self) -> str:
        """The runtime and its version, e.g. ``tensorrt 8.5.1.7``, with the options that matter."""
        name, *options = named_runtime(str(self.result.settings["runtime"]))
        return " ".join([name, str(self.result.environment.get(name, "")), *options]).strip()

    @property
    def names(self) -> tuple[str, ...]:
        """The float model, then every calibrator, in the study's order."""
        return (BASELINE, *(trial.calibrator for trial in self.result.trials))

    def trial(self, name: str) -> Trial | None:
        """A calibrator's trial; None where it was not studied."""
        return next((trial for trial in self.result.trials if trial.calibrator == name), None)

    def evidence(self, name: str) -> Evidence | None:
        """What is known of every test sample; None where the study could not keep it. Raises DataError."""
        kept = self.result.baseline.evidence if name == BASELINE else self._named(name, "evidence")
        return load_evidence(self._file(kept), self.result.task) if kept else None

    def cache(self, name: str) -> TensorRTCache | None:
        """The scales that the runtime used: TensorRT's own where it calibrated. Raises DataError."""
        kept = self._named(name, "tensorrt_cache") or self._named(name, "cache")
        return read_cache(self._file(kept)) if kept else None

    def encodings(self, name: str) -> dict[str, Encoding] | None:
        """What Calibrant chose for the quantized activations. Raises DataError."""
        kept = self._named(name, "encodings")
        return read_encodings(self._file(kept)) if kept else None

    def statistics(self) -> Statistics:
        """The statistics of the calibration samples. Raises DataError."""
        return read_statistics(self._file(STATISTICS))

    def request(self) -> StudyRequest:
        """What the study was asked for, to open it again. Raises DataError."""
        return read_request(self.folder)

    def _named(self, name: str, kind: str) -> str | None:
        """The file of this kind that a trial names."""
        trial = self.trial(name)
        found: str | None = getattr(trial.files, kind) if trial and trial.files else None
        return found

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
        raise DataError(f"{folder} is no folder; give one that calibrant study wrote, e.g. runs/MODEL-...")
    path = require_sound(folder, RESULT, read_checksums(folder))
    content = read_versioned(path, READABLE, "run the study again")
    require_study(content, folder / RESULT)
    try:
        return Run(folder, StudyResult.from_dict(content, folder))
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is no study: {error}; run the study again") from error
