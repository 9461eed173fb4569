"""What a study found, as values and as the versioned study.json.

Scores, losses and figures are as people are shown them, in the units that the result names (for mAP: points).
Schema 1 knew one task and put its words into its keys; it is read as what schema 2 would have held.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from calibrant.core.from_json import built
from calibrant.core.metrics import Loss, Metric, Score, badness
from calibrant.core.tasks import TaskDefinition
from calibrant.core.types import Latency
from calibrant.studies.schema_1 import FIRST_TASK, study_from_schema_1
from calibrant.tasks.registry import presented

SCHEMA_VERSION = 2
READABLE = (1, SCHEMA_VERSION)
RUN = "RUN"
"""Stands for the run's own folder, which may move, in what it advises."""


@dataclass(frozen=True)
class LayerSummary:
    """A layer as TensorRT fuses it: its nodes, its types, and how many tensors are reformatted for it."""

    name: str
    computes: str
    writes: str
    reformats: int


@dataclass(frozen=True)
class ModelSummary:
    """Which model was studied, and what it was taken for.

    ``profile`` says how its input is made and its output read; ``kept_float`` names the nodes that the
    scheme would quantize but that stayed in float; ``kept_float_reasons`` says why, also of layers that the
    scheme does not know. ``layers``: what TensorRT makes of it, for the scheme that leaves that to TensorRT.
    """

    path: str
    sha256: str
    family: str
    family_reason: str
    opset: int
    quantized_nodes: int
    kept_float: tuple[str, ...]
    profile: Mapping[str, Any] = field(default_factory=dict)
    kept_float_reasons: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[LayerSummary, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        content = {**asdict(self), "kept_float": list(self.kept_float)}
        layers = content.pop("layers")
        return {**content, "layers": list(layers)} if layers else content


@dataclass(frozen=True)
class DataSummary:
    """Which samples took part; the hashes are over their ids, in order. ``facts``.

    Counts of the test set's.
    """

    dataset: str
    test_samples: int
    facts: Mapping[str, int]
    test_ids_sha256: str
    calibration: str
    calibration_samples: int
    calibration_ids_sha256: str
    samples_in_both: int


@dataclass(frozen=True)
class ScoreValue:
    """A metric's name and its value, as shown; None: undefined."""

    metric: str
    value: float | None

    @classmethod
    def of(cls, score: Score) -> ScoreValue:
        """A task's verdict."""
        return cls(score.metric.name, score.metric.stored(score.value))


@dataclass(frozen=True)
class Baseline:
    """The float model on the same samples; ``evidence`` is a file in the run's folder."""

    score: ScoreValue
    figures: Mapping[str, float | None]
    seconds: float
    latency: Latency | None = None
    evidence: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The baseline as study.json holds it."""
        return {**asdict(self), "latency": rounded_latency(self.latency)}


@dataclass(frozen=True)
class OtherFloat:
    """The float model in another type than FP32, e.g. fp16: what INT8 has to beat.

    ``loss`` is against the baseline. Without a score it could not be measured, for ``reason``.
    """

    name: str
    score: ScoreValue | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    loss: Loss | None = None
    latency: Latency | None = None
    reason: str | None = None

    def to_dict(self, metric: Metric) -> dict[str, Any]:
        """The model as study.json holds it."""
        return {
            **asdict(self),
            "loss": self.loss and loss_to_dict(self.loss, metric),
            "latency": rounded_latency(self.latency),
        }


@dataclass(frozen=True)
class TrialFiles:
    """Files to deploy, relative to the run's folder.

    ``weights`` is what the Q/DQ model, and others, read their large weights from; it has to lie beside it.
    ``qdq`` is a folder for a model of several parts, and empty where its parts' files are named elsewhere.
    ``tensorrt_cache`` is what TensorRT's own calibrator wrote; ``evidence`` lets a later comparison be
    paired. None: there is no such file.
    """

    qdq: str = ""
    cache: str | None = None
    encodings: str | None = None
    tensorrt_cache: str | None = None
    evidence: str | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Trial:
    """One candidate: measured (``status`` "ok"), stopped or failed, with the reason.

    A stopped one was significantly worse after ``samples`` samples: its figures are of these, and so is the
    loss, against the float model on the same samples.
    ``same_as`` names an earlier trial with identical encodings, whose measurement this one shares.
    ``seconds`` is the wall time of the evaluation. ``recipe``: how the model is made again.
    """

    calibrator: str
    key: str
    status: str
    reason: str | None = None
    score: ScoreValue | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    loss: Loss | None = None
    samples: int | None = None
    seconds: float | None = None
    latency: Latency | None = None
    files: TrialFiles | None = None
    same_as: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float | None:
        """The metric's value on all test samples; None where it is undefined or saw only some of them."""
        return self.score.value if self.score and self.status == "ok" else None

    def to_dict(self, metric: Metric) -> dict[str, Any]:
        """The trial as study.json holds it."""
        content = asdict(self)
        return {
            **content,
            "loss": self.loss and loss_to_dict(self.loss, metric),
            "latency": rounded_latency(self.latency),
            "files": self.files and {kind: path for kind, path in asdict(self.files).items() if path},
        }


@dataclass(frozen=True)
class Recommended:
    """The calibrator to deploy and why; ``tied`` are indistinguishable from the best.

    ``held_out_loss`` is what the candidate loses that is best on one half of the samples when it is
    measured on the other half, averaged over random splits; None: undefined.
    """

    calibrator: str
    reason: str
    tied: tuple[str, ...]
    held_out_loss: float | None


@dataclass(frozen=True)
class PartSummary:
    """One part of a model of several.

    weights: bytes of its weights in float. chosen: the calibrator that it has where all parts are quantized;
    None: it stays in float, for ``reason``. loss: what that costs while the other parts are in float.
    saved: what is lost less where all parts but this one are quantized; None: that was not measured.
    folder: its own study, in the run's folder, which diagnose, optimize and report take; None: there is none.
    """

    name: str
    file: str
    weights: int
    quantized_nodes: int
    chosen: str | None = None
    reason: str | None = None
    loss: Loss | None = None
    saved: Loss | None = None
    folder: str | None = None

    def to_dict(self, metric: Metric) -> dict[str, Any]:
        """The part as study.json holds it."""
        losses = {name: getattr(self, name) for name in ("loss", "saved")}
        return {
            **asdict(self),
            **{name: found and loss_to_dict(found, metric) for name, found in losses.items()},
        }


@dataclass(frozen=True)
class StudyResult:
    """A finished study. ``out`` is the folder that holds study.json and the files to deploy.

    ``unrecommended`` says why nothing can be recommended although something was measured. ``advice``: what to
    run next, one line each; :data:`RUN` stands for the folder. ``parts``: those of a model of several files,
    in the order in which data flows; a candidate of one is called ``part/calibrator``. ``other_floats``: the
    float model in what else the runtime has.
    """

    out: str
    created: str
    model: ModelSummary
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    data: DataSummary
    metric: Metric
    baseline: Baseline
    trials: tuple[Trial, ...]
    recommended: Recommended | None
    calibration_seconds: float
    warnings: tuple[str, ...] = ()
    task: str = FIRST_TASK
    unrecommended: str | None = None
    advice: tuple[str, ...] = ()
    parts: tuple[PartSummary, ...] = ()
    other_floats: tuple[OtherFloat, ...] = ()

    @property
    def ranking(self) -> tuple[Trial, ...]:
        """The measured trials, best first (equals in the given order), then the stopped and the failed ones.

        Stopped ones saw fewer samples, so that their losses are compared and not their scores.
        """
        return tuple(sorted(self.trials, key=self._place))

    def trial(self, calibrator: str) -> Trial:
        """The trial of one calibrator. Raises KeyError."""
        for trial in self.trials:
            if trial.calibrator == calibrator:
                return trial
        raise KeyError(calibrator)

    @property
    def definition(self) -> TaskDefinition:
        """What the model is for."""
        return presented(self.task)

    @property
    def next_steps(self) -> tuple[str, ...]:
        """The advice, with the folder's name in its commands."""
        folder = shlex.quote(self.out)
        return tuple(re.sub(rf"\b{RUN}\b", lambda _: folder, line) for line in self.advice)

    def twins(self, trial: Trial) -> tuple[str, ...]:
        """The calibrators that made the very same model as this trial's."""
        return tuple(other.calibrator for other in self.trials if other.same_as == trial.calibrator)

    def name_with_twins(self, trial: Trial) -> str:
        """A trial's calibrator with its twins: "entropy2 = entropy"."""
        return " = ".join((trial.calibrator, *self.twins(trial)))

    @property
    def was_measured(self) -> bool:
        """Whether any candidate has a score or was stopped."""
        return any(trial.status != "failed" for trial in self.trials)

    def to_dict(self) -> dict[str, Any]:
        """The study as study.json holds it; JSON types only."""
        content = asdict(self)
        return {
            "schema_version": SCHEMA_VERSION,
            "units": f"scores and losses: {self.metric.unit or 'as they are'}; latency: milliseconds",
            **{name: content[name] for name in content if name not in ("out", "parts", "other_floats")},
            "model": self.model.to_dict(),
            "baseline": self.baseline.to_dict(),
            "trials": [trial.to_dict(self.metric) for trial in self.trials],
            "recommended": self.recommended
            and {**asdict(self.recommended), "tied": list(self.recommended.tied)},
            "warnings": list(self.warnings),
            "advice": list(self.advice),
            **{
                name: [one.to_dict(self.metric) for one in several]
                for name, several in (("parts", self.parts), ("other_floats", self.other_floats))
                if several
            },
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], out: str | Path) -> StudyResult:
        """A study from what study.json holds, of schema 1 or 2.

        Raises KeyError or TypeError for anything else.
        """
        if content["schema_version"] == 1:
            content = study_from_schema_1(content)
        return built(cls, {**content, "out": str(out)})

    def _place(self, trial: Trial) -> tuple[int, float]:
        value = trial.value
        if value is not None:
            return 0, badness(value, self.metric)
        if trial.status == "stopped" and trial.loss:
            return 1, trial.loss.value
        return (0, float("inf")) if trial.status == "ok" else (2, 0.0)


def figures_of(score: Score) -> dict[str, float | None]:
    """What a task tells beside its metric, as files hold it."""
    return {figure.name: figure.value for figure in score.figures}


def loss_to_dict(loss: Loss, metric: Metric) -> dict[str, float | None]:
    """A loss as files hold it."""
    return {name: metric.rounded(value) if value == value else None for name, value in asdict(loss).items()}


def rounded_loss(loss: Loss, metric: Metric) -> Loss:
    """A loss, as exactly as files hold it."""
    return replace(loss, **{name: metric.rounded(value) for name, value in asdict(loss).items()})


def rounded_latency(latency: Latency | None) -> dict[str, Any] | None:
    """A latency as files hold it."""
    if latency is None:
        return None
    told = {name: value for name, value in asdict(latency).items() if value not in (None, ())}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in told.items()}
