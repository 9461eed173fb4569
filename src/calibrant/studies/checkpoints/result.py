"""What a checkpoint's study found, as values and as the versioned study.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from calibrant.core.metrics import Figure, Loss
from calibrant.studies.checkpoints.routing import Routing
from calibrant.tasks.generation.evidence import DIVERGENCE

if TYPE_CHECKING:
    from calibrant.studies.checkpoints.confirming import Decoding

SCHEMA_VERSION = 2
KIND = "checkpoint"


@dataclass(frozen=True)
class CheckpointSummary:
    """Which model was studied. ``quantized_weights`` of its ``weights`` are in layers that are quantized."""

    path: str
    model_type: str
    config_sha256: str
    blocks: int
    layers: int
    weights: int
    quantized_weights: int
    bytes: int


@dataclass(frozen=True)
class TextSummary:
    """Which documents took part; hashes are over their ids and contents, in order."""

    dataset: str
    documents: int
    tokens: int
    test_sha256: str
    calibration: str
    calibration_documents: int
    calibration_tokens: int
    calibration_sha256: str
    in_both: int
    cut: int
    slices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointTrial:
    """One candidate. loss: KL against the float model, with its interval.

    bytes: of the whole model. growth: the relative error of the stream behind each block, a share of its
    power. slices: KL by slice. worst: ids of the documents with the largest KL. kept_float: layers that the
    format does not fit. files: of the checkpoint that was written, relative to the run's folder.
    """

    name: str
    recipe: Mapping[str, Any]
    loss: Loss
    figures: tuple[Figure, ...]
    bytes: int
    bits: float
    growth: tuple[float, ...]
    slices: Mapping[str, float] = field(default_factory=dict)
    worst: tuple[str, ...] = ()
    kept_float: tuple[str, ...] = ()
    evidence: str | None = None
    files: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As study.json holds it."""
        return {
            "name": self.name,
            "status": "ok",
            "recipe": dict(self.recipe),
            "score": {"metric": DIVERGENCE.name, "value": DIVERGENCE.stored(self.loss.value)},
            "loss": {name: DIVERGENCE.rounded(value) for name, value in asdict(self.loss).items()},
            "figures": {f.name: f.value and round(f.value, 6) for f in self.figures},
            "bytes": self.bytes,
            "bits": round(self.bits, 4),
            "growth": [float(f"{error:.4g}") for error in self.growth],
            "slices": {name: DIVERGENCE.stored(value) for name, value in self.slices.items()},
            "worst": list(self.worst),
            "kept_float": list(self.kept_float),
            "files": {k: v for k, v in (("evidence", self.evidence), ("checkpoint", self.files)) if v},
        }

    def figure(self, name: str) -> float | None:
        """One of the figures by its name; None: there is none."""
        return next((figure.value for figure in self.figures if figure.name == name), None)


@dataclass(frozen=True)
class RecommendedCheckpoint:
    """What to deploy and why; ``tied`` are indistinguishable from it.

    held_out_loss: KL, on one half of the documents, of what is best on the other half.
    """

    name: str
    reason: str
    tied: tuple[str, ...]
    held_out_loss: float


@dataclass(frozen=True)
class Cost:
    """What a study took: bytes_read of the model's files, seconds, and the most memory at once, bytes."""

    bytes_read: int
    seconds: float
    peak_memory: int


@dataclass(frozen=True)
class CheckpointStudy:
    """A finished study of a checkpoint. ``out`` is the folder that holds study.json."""

    out: str
    created: str
    model: CheckpointSummary
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    data: TextSummary
    reference: tuple[Figure, ...]
    trials: tuple[CheckpointTrial, ...]
    recommended: RecommendedCheckpoint | None
    cost: Cost
    needed: tuple[tuple[str, str, int], ...] = ()
    routing: tuple[Routing, ...] = ()
    warnings: tuple[str, ...] = ()
    decoding: Decoding | None = None

    @property
    def ranking(self) -> tuple[CheckpointTrial, ...]:
        """The trials, the least KL first."""
        return tuple(sorted(self.trials, key=lambda trial: trial.loss.value))

    def trial(self, name: str) -> CheckpointTrial:
        """The trial of this name. Raises KeyError."""
        for trial in self.trials:
            if trial.name == name:
                return trial
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """As study.json holds it; JSON types only."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "created": self.created,
            "task": "generation",
            "model": asdict(self.model),
            "environment": dict(self.environment),
            "settings": dict(self.settings),
            "data": asdict(self.data),
            "baseline": {
                "score": {"metric": DIVERGENCE.name, "value": 0.0},
                "figures": {
                    figure.name: figure.value and round(figure.value, 6) for figure in self.reference
                },
            },
            "trials": [trial.to_dict() for trial in self.trials],
            "recommended": self.recommended
            and {**asdict(self.recommended), "tied": list(self.recommended.tied)},
            "documents_needed": [
                {"better": better, "other": other, "documents": count} for better, other, count in self.needed
            ],
            "routing": [asdict(routing) for routing in self.routing],
            "decoding": None if self.decoding is None else self.decoding.to_dict(),
            "cost": asdict(self.cost),
            "warnings": list(self.warnings),
        }
