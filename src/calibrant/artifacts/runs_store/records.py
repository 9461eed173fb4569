"""What the store keeps of a run. All mAP figures are points, 0..100."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class TrialRecord:
    """One quantized model of a run; None: not known.

    ``drop`` is against the float model, with its 95 % interval from ``drop_low`` to ``drop_high``.
    ``images``: how many test images the figures are of. ``is_tied``: it could not be told from the best.
    ``median_ms``: latency of one image on the run's runtime.
    """

    name: str
    status: str
    key: str = ""
    reason: str | None = None
    same_as: str | None = None
    map50_95: float | None = None
    map50: float | None = None
    drop: float | None = None
    drop_low: float | None = None
    drop_high: float | None = None
    images: int | None = None
    median_ms: float | None = None
    is_tied: bool = False


@dataclass(frozen=True)
class RunRecord:
    """A finished run: what was measured, on what, where, and where its folder is.

    ``id`` is a hash of the run's result file, so that a run that is recorded twice is one record. ``kind`` is
    "study" or "optimization". ``created`` is aware, UTC. ``runtime`` is a name, and after a colon the options
    that change what it computes. ``test_ids_sha256`` tells test sets apart; empty: not known.
    ``recommended`` names a trial; None: none could be measured.
    """

    id: str
    kind: str
    task: str
    created: datetime
    model: str
    model_path: str
    model_sha256: str
    family: str
    scheme: str
    runtime: str
    runtime_version: str
    device: str | None
    dataset: str
    test_ids_sha256: str
    test_images: int
    calibration_images: int
    float_map50_95: float
    recommended: str | None
    host: str
    folder: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    trials: tuple[TrialRecord, ...] = ()

    def trial(self, name: str | None) -> TrialRecord | None:
        """The trial of this name; None where there is none."""
        return next((trial for trial in self.trials if trial.name == name), None)
