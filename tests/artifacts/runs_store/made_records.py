"""Records of runs that never were."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from calibrant.artifacts.runs_store.records import RunRecord, TrialRecord

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)

MINMAX = TrialRecord("minmax", "ok", "k1", value=29.5, loss=0.9, loss_low=-0.1, loss_high=1.6,
                     figures={"map50": 47.7},
                     samples=300, median_ms=4.2, is_tied=True)  # fmt: skip
ENTROPY = TrialRecord("entropy2", "stopped", "k2", "beaten", loss=10.5, loss_low=6.8, loss_high=14.6,
                      value=18.0, samples=50)  # fmt: skip
BROKEN = TrialRecord("legacy", "failed", "", "no range")

RUN = RunRecord(
    id="0" * 64,
    kind="study",
    task="detection",
    created=NOON,
    model="yolo.onnx",
    model_path="/models/yolo.onnx",
    model_sha256="ab" * 32,
    family="yolov5",
    scheme="tensorrt",
    runtime="onnxruntime",
    runtime_version="1.22.0",
    device=None,
    dataset="/data/val.json",
    test_ids_sha256="cd" * 32,
    test_samples=300,
    calibration_samples=128,
    metric="map50_95",
    direction="maximize",
    unit="points",
    decimals=1,
    float_value=30.4,
    recommended="minmax",
    host="here",
    folder="/runs/yolo",
    settings={"seed": 0, "exclude": ["a", "b"], "race_error": 0.01, "imgsz": None},
    environment={"python": "3.11.7"},
    trials=(MINMAX, ENTROPY, BROKEN),
)


def made(number: int, **changes: Any) -> RunRecord:
    """A run with an id of its own, ``number`` minutes after the others' noon."""
    own_id = hashlib.sha256(str(number).encode()).hexdigest()
    return replace(RUN, id=own_id, created=NOON + timedelta(minutes=number), **changes)
