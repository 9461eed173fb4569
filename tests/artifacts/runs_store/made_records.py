"""Records of runs that never were."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from calibrant.artifacts.runs_store.records import RunRecord, TrialRecord

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)

MINMAX = TrialRecord("minmax", "ok", "k1", map50_95=29.5, map50=47.7, drop=0.9, drop_low=-0.1, drop_high=1.6,
                     images=300, median_ms=4.2, is_tied=True)  # fmt: skip
ENTROPY = TrialRecord("entropy2", "stopped", "k2", "beaten", drop=10.5, drop_low=6.8, drop_high=14.6,
                      map50_95=18.0, images=50)  # fmt: skip
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
    test_images=300,
    calibration_images=128,
    float_map50_95=30.4,
    recommended="minmax",
    host="here",
    folder="/runs/yolo",
    settings={"seed": 0, "keep_float": ["a", "b"], "race_error": 0.01, "imgsz": None},
    environment={"python": "3.11.7"},
    trials=(MINMAX, ENTROPY, BROKEN),
)


def made(number: int, **changes: Any) -> RunRecord:
    """A run with an id of its own, ``number`` minutes after the others' noon."""
    own_id = hashlib.sha256(str(number).encode()).hexdigest()
    return replace(RUN, id=own_id, created=NOON + timedelta(minutes=number), **changes)
