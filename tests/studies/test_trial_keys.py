"""A trial's key holds all that decides its score, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from calibrant.core.quantize import encoding_of
from calibrant.core.types import Encoding, QuantSpec, Range
from calibrant.studies.plan import StudySettings, TrialContext

CONTEXT = TrialContext(
    "detection", "model", {"resize": "letterbox"}, StudySettings(), "ids", "truth", "1.22", "test"
)
DECIDES_NOTHING: dict[str, Any] = {"seed": 1, "race_error": None, "prefer": "best", "max_loss": 1.0}
OTHER_SETTINGS: dict[str, Any] = {
    "scheme": "openvino",
    "runtime": "tensorrt:precision=fp16",
    "exclude": ("Conv_0",),
    "keep_head_float": True,
    "input_shape": (320, 320),
    "metric": "own:missed",  # of no prediction, but of the score
    "options": {"confidence": 0.25},
}


def encodings(*widths: float) -> dict[str, Encoding]:
    return {f"t{n}": encoding_of(Range(-width, width), QuantSpec()) for n, width in enumerate(widths)}


KEY = CONTEXT.key(encodings(1.0, 2.0))


@pytest.mark.parametrize("field", [field.name for field in fields(TrialContext) if field.name != "settings"])
def test_what_trials_share_is_in_the_key(field: str) -> None:
    other: Any = {"resize": "stretch"} if field == "profile" else "other"
    assert replace(CONTEXT, **{field: other}).key(encodings(1.0, 2.0)) != KEY


def test_every_setting_is_known_here() -> None:
    assert {field.name for field in fields(StudySettings)} == {*OTHER_SETTINGS, *DECIDES_NOTHING}


@pytest.mark.parametrize(("name", "value"), OTHER_SETTINGS.items())
def test_settings_that_change_predictions_are_in_the_key(name: str, value: Any) -> None:
    changed = replace(CONTEXT, settings=StudySettings(**{name: value}))
    assert changed.key(encodings(1.0, 2.0)) != KEY


@pytest.mark.parametrize(("name", "value"), DECIDES_NOTHING.items())
def test_settings_that_change_none_are_not(name: str, value: Any) -> None:
    assert replace(CONTEXT, settings=StudySettings(**{name: value})).key(encodings(1.0, 2.0)) == KEY


def test_encodings_stand_for_the_calibrator_whatever_their_order() -> None:
    found = encodings(1.0, 2.0)
    assert CONTEXT.key(dict(reversed(found.items()))) == KEY
    assert CONTEXT.key(encodings(1.0, 2.5)) != KEY
    assert CONTEXT.key(encodings(1.0)) != KEY
    wider = {name: replace(encoding, spec=QuantSpec(narrow=True)) for name, encoding in found.items()}
    assert CONTEXT.key(wider) != KEY


def test_a_runtimes_own_calibrator_is_named_with_its_samples() -> None:
    keys = {
        CONTEXT.key(encodings(1.0, 2.0), method) for method in (None, "minmax a", "minmax b", "entropy a")
    }
    assert len(keys) == 4
