"""The facade: what the command line does, as typed functions that return dataclasses."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibrant.api.arguments import Calibrators as Calibrators
    from calibrant.api.arguments import PathLike as PathLike
    from calibrant.api.arguments import new_run_folder as new_run_folder
    from calibrant.api.calibration import CalibratedCandidate as CalibratedCandidate
    from calibrant.api.calibration import CalibrationResult as CalibrationResult
    from calibrant.api.calibration import calibrate as calibrate
    from calibrant.api.calibration_coverage import coverage as coverage
    from calibrant.api.deployment import deploy as deploy
    from calibrant.api.diagnosis import diagnose as diagnose
    from calibrant.api.evaluation import EvaluationResult as EvaluationResult
    from calibrant.api.evaluation import evaluate as evaluate
    from calibrant.api.inspection import inspect as inspect
    from calibrant.api.optimization import apply_recipe as apply_recipe
    from calibrant.api.optimization import optimize as optimize
    from calibrant.api.planning import estimate_sweep as estimate_sweep
    from calibrant.api.planning import plan_coverage as plan_coverage
    from calibrant.api.planning import plan_optimization as plan_optimization
    from calibrant.api.planning import plan_study as plan_study
    from calibrant.api.reports import report as report
    from calibrant.api.runs import add_runs as add_runs
    from calibrant.api.runs import best_runs as best_runs
    from calibrant.api.runs import list_runs as list_runs
    from calibrant.api.runs import remove_runs as remove_runs
    from calibrant.api.runs import run_history as run_history
    from calibrant.api.runs import show_run as show_run
    from calibrant.api.studies import compare as compare
    from calibrant.api.studies import resume as resume
    from calibrant.api.studies import study as study
    from calibrant.api.sweeps import plan_sweep as plan_sweep
    from calibrant.api.sweeps import sweep as sweep
    from calibrant.studies.caches import cache_from_json as cache_from_json
    from calibrant.studies.caches import cache_to_json as cache_to_json
    from calibrant.studies.caches import convert_cache as convert_cache
    from calibrant.studies.caches import diff_caches as diff_caches
    from calibrant.studies.caches import show_cache as show_cache
    from calibrant.studies.migration import migrate as migrate
    from calibrant.studies.run_folders import RecordedRun as RecordedRun

# Loaded on first use, so that a command pays for its own part only.
_HOMES = {
    "Calibrators": "calibrant.api.arguments",
    "PathLike": "calibrant.api.arguments",
    "new_run_folder": "calibrant.api.arguments",
    "CalibratedCandidate": "calibrant.api.calibration",
    "CalibrationResult": "calibrant.api.calibration",
    "calibrate": "calibrant.api.calibration",
    "coverage": "calibrant.api.calibration_coverage",
    "deploy": "calibrant.api.deployment",
    "diagnose": "calibrant.api.diagnosis",
    "EvaluationResult": "calibrant.api.evaluation",
    "evaluate": "calibrant.api.evaluation",
    "inspect": "calibrant.api.inspection",
    "apply_recipe": "calibrant.api.optimization",
    "optimize": "calibrant.api.optimization",
    "estimate_sweep": "calibrant.api.planning",
    "plan_coverage": "calibrant.api.planning",
    "plan_optimization": "calibrant.api.planning",
    "plan_study": "calibrant.api.planning",
    "report": "calibrant.api.reports",
    "add_runs": "calibrant.api.runs",
    "best_runs": "calibrant.api.runs",
    "list_runs": "calibrant.api.runs",
    "remove_runs": "calibrant.api.runs",
    "run_history": "calibrant.api.runs",
    "show_run": "calibrant.api.runs",
    "compare": "calibrant.api.studies",
    "resume": "calibrant.api.studies",
    "study": "calibrant.api.studies",
    "plan_sweep": "calibrant.api.sweeps",
    "sweep": "calibrant.api.sweeps",
    "cache_from_json": "calibrant.studies.caches",
    "cache_to_json": "calibrant.studies.caches",
    "convert_cache": "calibrant.studies.caches",
    "diff_caches": "calibrant.studies.caches",
    "show_cache": "calibrant.studies.caches",
    "migrate": "calibrant.studies.migration",
    "RecordedRun": "calibrant.studies.run_folders",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(_HOMES)
