"""Which of a run's candidates is deployed, and its files, unchanged since they were written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.checksums import read_checksums, require_sound
from calibrant.artifacts.store import read_json
from calibrant.calibrators import calibrators_named
from calibrant.core.errors import DataError
from calibrant.core.reading import is_regular
from calibrant.core.types import Deployable
from calibrant.models.onnx.model import model_sha256
from calibrant.models.onnx.model_folders import model_folder
from calibrant.studies.optimization.result import read_optimization
from calibrant.studies.optimization.run import RESULT as OPTIMIZATION
from calibrant.studies.result import StudyResult
from calibrant.studies.run import RESULT as STUDY
from calibrant.studies.run_files import read_as_written, require_inside

OPTIMIZED = "optimized"
"""What an optimization's model is called."""


@dataclass(frozen=True)
class Chosen:
    """A candidate of a run with its files.

    ``cache`` belongs to ``float_model``; ``float_sha256`` is the hash of its content when it was
    studied, None where it lies in the run.
    """

    name: str
    scheme: str
    qdq: Path
    cache: Path | None
    float_model: Path
    float_sha256: str | None
    profile: Mapping[str, Any]

    @property
    def stem(self) -> str:
        """Its name as a file may be called."""
        return re.sub(r"[^A-Za-z0-9_.-]", "-", self.name)

    def with_cache(self, target: str) -> tuple[Path, Path]:
        """The float model and its cache. Raises DataError where the run has none."""
        if self.cache is None:
            raise DataError(
                f"{target} takes a calibration cache, and {self.name} has none (schemes tensorrt and "
                "tensorrt-implicit write them, where no layer stays in float); use --to engine"
            )
        if self.float_sha256 and not self._is_as_studied():
            raise DataError(f"{self.float_model} is no longer the float model that was studied; put it back")
        return self.float_model, self.cache

    def _is_as_studied(self) -> bool:
        return is_regular(self.float_model) and model_sha256(self.float_model) == self.float_sha256

    def deployable(self) -> Deployable:
        """The candidate as runtimes take it; without samples, since its scales are there."""
        calibrator = calibrators_named("entropy2" if self.name == OPTIMIZED else self.name)[0]
        return Deployable(
            name=self.name,
            float_model=self.float_model.absolute(),
            qdq=self.qdq.absolute(),
            cache=(self.cache or self.qdq).absolute(),
            algorithm=calibrator.algorithm,
            quantile=calibrator.quantile,
            is_tensorrts_own=False,
            tensorrts_cache=self.qdq,
            batches=lambda: iter(()),
        )


def chosen_candidates(run: Path, candidate: str | None) -> tuple[Chosen, ...]:
    """The named candidate of a run, or the recommended one; :data:`OPTIMIZED`: of an optimization.

    Of a model of several files each part by its name, those in float too. Raises DataError.
    """
    with read_as_written(run):
        if is_regular(run / STUDY) and candidate != OPTIMIZED:
            return _of_study(run, candidate)
        return _of_optimization(run)


def _parts_in(
    run: Path, folder: str, settings: Mapping[str, Any], profile: Mapping[str, Any]
) -> tuple[Chosen, ...]:
    """The parts of a whole that lies in a run, as it is to be deployed."""
    found, sums = model_folder(run / folder), read_checksums(run)
    if found is None:
        raise DataError(f"{run / folder} holds no model; make it again: calibrant resume {run}")
    files = {part: _own(run, file.relative_to(run).as_posix(), sums) for part, file in found.parts.items()}
    scheme = str(settings["scheme"])
    return tuple(Chosen(part, scheme, file, None, file, None, profile) for part, file in files.items())


def _of_study(run: Path, candidate: str | None) -> tuple[Chosen, ...]:
    content = read_json(run / STUDY)
    result = StudyResult.from_dict(content, run)
    if candidate is None and result.recommended is None:
        raise DataError(f"{run} recommends nothing; name a candidate with --candidate")
    name = candidate or (result.recommended.calibrator if result.recommended else "")
    trial = next((trial for trial in result.trials if trial.calibrator == name), None)
    if trial is None or trial.files is None:
        having = ", ".join(trial.calibrator for trial in result.trials if trial.files)
        raise DataError(f"{run} has no files of a candidate {name!r}; it has: {having or 'none'}")
    if (run / trial.files.qdq).is_dir():
        return _parts_in(run, trial.files.qdq, result.settings, result.model.profile)
    sums = read_checksums(run)
    paths = {
        kind: _own(run, file, sums)
        for kind, file in (("qdq", trial.files.qdq), ("cache", trial.files.cache))
        if file
    }
    chosen = Chosen(
        name, str(result.settings["scheme"]), paths["qdq"], paths.get("cache"), Path(result.model.path),
        result.model.sha256, result.model.profile,
    )  # fmt: skip
    return (chosen,)


def _of_optimization(run: Path) -> tuple[Chosen, ...]:
    result = read_optimization(run / OPTIMIZATION)
    if (run / result.files.qdq).is_dir():
        return _parts_in(run, result.files.qdq, result.settings, result.model.profile)
    files, sums = result.files, read_checksums(run)
    has_cache = files.cache is not None and files.float_model is not None
    chosen = Chosen(
        OPTIMIZED, str(result.settings["scheme"]), _own(run, files.qdq, sums),
        _own(run, files.cache, sums) if files.cache and has_cache else None,
        _own(run, files.float_model, sums) if files.float_model else Path(result.model.path),
        None if files.float_model else result.model.sha256, result.model.profile,
    )  # fmt: skip
    return (chosen,)


def _own(run: Path, name: str, sums: Mapping[str, str]) -> Path:
    require_inside(run, name)
    path = require_sound(run, name, sums)
    if not is_regular(path):
        raise DataError(f"{path} is missing; make it again: calibrant resume {run}")
    return path
