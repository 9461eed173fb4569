"""What the store keeps of a run. Values and losses are in the metric's unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class TrialRecord:
    """One quantized model of a run; None: not known.

    ``loss`` is against the float model, with its 95 % interval from ``loss_low`` to ``loss_high``.
    ``samples``: how many test samples the figures are of. ``is_tied``: it is indistinguishable from the best.
    ``median_ms``: latency of one sample on the run's runtime. ``figures``: what else the task tells, by name.
    """

    name: str
    status: str
    key: str = ""
    reason: str | None = None
    same_as: str | None = None
    value: float | None = None
    loss: float | None = None
    loss_low: float | None = None
    loss_high: float | None = None
    samples: int | None = None
    median_ms: float | None = None
    is_tied: bool = False
    figures: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """A finished run: what was measured, on what, where, and where its folder is.

    ``id`` is a hash of the run's result file, so that a run that is recorded twice is one record. ``kind`` is
    "study" or "optimization". ``created`` is aware, UTC. ``runtime`` is a name, and after a colon the options
    that change what it computes. ``test_ids_sha256`` tells test sets apart; empty: not known.
    ``metric``, ``direction``, ``unit`` and ``decimals`` say what is measured and how it is told.
    ``float_value`` is the float model's; None: undefined. ``recommended`` names a trial; None: there is
    none to recommend.
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
    test_samples: int
    calibration_samples: int
    metric: str
    direction: str
    unit: str
    decimals: int
    float_value: float | None
    recommended: str | None
    host: str
    folder: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    trials: tuple[TrialRecord, ...] = ()

    def trial(self, name: str | None) -> TrialRecord | None:
        """The trial of this name; None where there is none."""
        return next((trial for trial in self.trials if trial.name == name), None)
