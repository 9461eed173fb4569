"""The facade: what the command line does, as typed functions that return dataclasses."""

from __future__ import annotations

from calibrant.api.arguments import Calibrators as Calibrators
from calibrant.api.arguments import PathLike as PathLike
from calibrant.api.arguments import new_run_folder as new_run_folder
from calibrant.api.calibration import CalibratedCandidate as CalibratedCandidate
from calibrant.api.calibration import CalibrationResult as CalibrationResult
from calibrant.api.calibration import calibrate as calibrate
from calibrant.api.coverage import coverage as coverage
from calibrant.api.diagnosis import diagnose as diagnose
from calibrant.api.evaluation import EvaluationResult as EvaluationResult
from calibrant.api.evaluation import evaluate as evaluate
from calibrant.api.inspection import inspect as inspect
from calibrant.api.optimization import apply_recipe as apply_recipe
from calibrant.api.optimization import optimize as optimize
from calibrant.api.report import report as report
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
