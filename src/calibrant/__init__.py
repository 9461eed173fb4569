"""Calibrant: choose how to quantize a trained model, by measurement."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from calibrant.api import (
        add_runs,
        apply_recipe,
        best_runs,
        cache_from_json,
        cache_to_json,
        calibrate,
        compare,
        convert_cache,
        coverage,
        deploy,
        diagnose,
        diff_caches,
        evaluate,
        inspect,
        list_runs,
        migrate,
        optimize,
        plan_coverage,
        plan_optimization,
        plan_study,
        plan_sweep,
        remove_runs,
        report,
        resume,
        run_history,
        show_cache,
        show_run,
        study,
        sweep,
    )
    from calibrant.core.errors import CalibrantError
    from calibrant.core.own_metric import metric
    from calibrant.core.statistics import TensorStatistics
    from calibrant.core.types import QuantSpec, Range

# Loaded on first use, so that `import calibrant` stays fast.
_HOMES = {
    "CalibrantError": "calibrant.core.errors",
    "QuantSpec": "calibrant.core.types",
    "Range": "calibrant.core.types",
    "TensorStatistics": "calibrant.core.statistics",
    "metric": "calibrant.core.own_metric",
}

__all__ = [
    "CalibrantError",
    "QuantSpec",
    "Range",
    "TensorStatistics",
    "__version__",
    "add_runs",
    "apply_recipe",
    "best_runs",
    "cache_from_json",
    "cache_to_json",
    "calibrate",
    "compare",
    "convert_cache",
    "coverage",
    "deploy",
    "diagnose",
    "diff_caches",
    "evaluate",
    "inspect",
    "list_runs",
    "metric",
    "migrate",
    "optimize",
    "plan_coverage",
    "plan_optimization",
    "plan_study",
    "plan_sweep",
    "remove_runs",
    "report",
    "resume",
    "run_history",
    "show_cache",
    "show_run",
    "study",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "calibrant.api")), name)


def __dir__() -> list[str]:
    return __all__
