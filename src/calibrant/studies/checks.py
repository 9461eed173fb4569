"""Will TensorRT take a Q/DQ model? Asked of TensorRT-RTX where it is installed, else of its rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from calibrant.core.errors import RuntimeFailedError, SettingsError
from calibrant.models.onnx.model import load_model
from calibrant.models.onnx.rules import RULES, violations
from calibrant.runtimes import tensorrt_rtx

AUTO = "auto"
_MOST_FINDINGS = 20


@dataclass(frozen=True)
class CheckResult:
    """What a check said. name: "none", "rules" or "tensorrt-rtx"; findings: one line each."""

    name: str
    passed: bool
    words: str
    findings: tuple[str, ...] = ()


def check_named(name: str) -> Callable[[Path], CheckResult]:
    """The check called ``name``: none, rules, tensorrt-rtx, or auto for the best one there is.

    Raises SettingsError for another name, and for tensorrt-rtx where it is not installed.
    """
    if name == AUTO:
        return _best_check
    if name not in CHECKS:
        raise SettingsError(f"no check is called {name!r}; known: {', '.join([*CHECKS, AUTO])}")
    if name == "tensorrt-rtx" and not tensorrt_rtx.is_installed():
        raise SettingsError(
            f"TensorRT-RTX is not installed; {tensorrt_rtx.INSTALL}, or check without it: --check rules"
        )
    return CHECKS[name]


def _no_check(_model: Path) -> CheckResult:
    return CheckResult("none", True, "not checked")


def _check_rules(model: Path) -> CheckResult:
    found = violations(load_model(model).ir)
    findings = [str(violation) for violation in found[:_MOST_FINDINGS]]
    if len(found) > _MOST_FINDINGS:
        findings.append(f"and {len(found) - _MOST_FINDINGS} more")
    words = f"breaches of TensorRT's rules: {len(found)}" if found else f"keeps TensorRT's {len(RULES)} rules"
    return CheckResult("rules", not found, words, tuple(findings))


def _check_with_tensorrt_rtx(model: Path) -> CheckResult:
    try:
        engine = tensorrt_rtx.build(model)
    except RuntimeFailedError as error:
        return CheckResult("tensorrt-rtx", False, "refused", (str(error),))
    return CheckResult("tensorrt-rtx", True, str(engine))


def _best_check(model: Path) -> CheckResult:
    if not tensorrt_rtx.is_installed():
        return _check_rules(model)
    try:
        return _check_with_tensorrt_rtx(model)
    except SettingsError as error:  # installed, but it does not load here
        by_rules = _check_rules(model)
        return CheckResult("rules", by_rules.passed, f"{by_rules.words}; {error}", by_rules.findings)


CHECKS: Mapping[str, Callable[[Path], CheckResult]] = {
    "none": _no_check,
    "rules": _check_rules,
    "tensorrt-rtx": _check_with_tensorrt_rtx,
}
