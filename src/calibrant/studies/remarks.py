"""What a user should know before trusting a study's figures: one line each, for the notes and study.json."""

from __future__ import annotations

import math
from collections.abc import Sequence

from calibrant.core.metrics import Score
from calibrant.core.schemes import OPENVINO
from calibrant.core.tasks import TaskDefinition, Words
from calibrant.core.types import Latency, Runtime, Scheme, Statistics
from calibrant.models.onnx.kept_float import ASKED_FOR, reasons_in_words
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import QuantPoints
from calibrant.studies.result import DataSummary, Trial
from calibrant.studies.verdict import BASELINE

FEW_SAMPLES = 30


def on_counts(definition: TaskDefinition, data: DataSummary) -> list[str]:
    """Too few samples or labels for figures that can be believed."""
    words, found = definition.words, []
    if data.test_samples < FEW_SAMPLES:
        found.append(
            f"the test set has {words.counted(data.test_samples)}; intervals need {FEW_SAMPLES} or more, "
            "better 200"
        )
    labels = data.facts.get(words.labels)
    if labels is not None and labels < definition.few_labels:
        found.append(
            f"the test set has only {labels} {words.label if labels == 1 else words.labels}: a few of "
            "them decide "
            f"the score; {definition.few_labels} or more tell candidates apart"
        )
    if data.calibration_samples == 1:
        found.append(
            f"one {words.sample} is no calibration set: ranges will be of this {words.sample} alone; give "
            "100 or more"
        )
    return found


def on_graph(model: Model, points: QuantPoints) -> list[str]:
    """How a model's file was read, and what of it stays float without being asked to, with the reason."""
    unasked = {node: reason for node, reason in points.why_float.items() if reason != ASKED_FOR}
    return [*model.remarks, *reasons_in_words(unasked)]


def on_scheme(scheme: Scheme, runtime: Runtime) -> list[str]:
    """What a scheme's models are not, and a runtime that computes them wrongly (docs/runtimes.md)."""
    if scheme.rounds_fused_layers:
        return [
            f"scheme {scheme.name}: deploy the float model with the cache; the Q/DQ models only predict it, "
            "with INT8 wherever TensorRT has it; where INT8 is no quicker, it keeps layers in float, and "
            "comes closer to FP32 (docs/results-tensorrt.md)"
        ]
    if runtime.name != OPENVINO.name or scheme.activations.dtype != "int8":
        return []
    return [
        f"OpenVINO's CPU plugin computes int8 activations behind a Concat wrongly, and scheme {scheme.name} "
        f"has them; use --scheme {OPENVINO.name}"
    ]


def on_activations(statistics: Statistics, tensors: Sequence[str], words: Words) -> list[str]:
    """Quantized tensors that were zero throughout: any scale fits them, so none was measured."""
    dead = [tensor for tensor in tensors if statistics.tensors[tensor].amax == 0]
    if not dead:
        return []
    return [
        f"{len(dead)} of {len(tensors)} quantized tensors are zero in all {len(statistics.sample_ids)} "
        f"calibration {words.samples}, e.g. {dead[0]!r}, so any scale fits; calibrate with more varied "
        f"{words.samples}"
    ]


def on_score(score: Score, family: str) -> list[str]:
    """A float model whose score cannot be compared with: its input, its output or the labels are misread."""
    metric = score.metric
    if metric.is_usable(score.value):
        return []
    if math.isnan(score.value):
        return [f"{metric.words} of the float model is undefined on this test set; check its labels"]
    return [
        f"the float model scores {metric.text(metric.in_unit(score.value))} {metric.words}: if it is better "
        "than that, "
        f"something is misread; check that {family} is its family (--family) and that the labels are what it "
        "predicts, in its order"
    ]


def on_builds(baseline: Latency | None, trials: Sequence[Trial]) -> list[str]:
    """What the runtime warned of while building, each warning once, with the models that had it."""
    built = [(BASELINE, baseline), *((trial.calibrator, trial.latency) for trial in trials)]
    warned: dict[str, list[str]] = {}
    for name, latency in built:
        for warning in latency.build_warnings if latency else ():
            warned.setdefault(warning, []).append(name)
    return [f"building {', '.join(names)}: {warning}" for warning, names in warned.items()]


def on_empty(count: int, words: Words) -> tuple[str, ...]:
    """How many activations had no value."""
    if not count:
        return ()
    told = f"{count} activations were" if count > 1 else "1 activation was"
    return (
        f"{told} empty for every calibration {words.sample}, and {'stay' if count > 1 else 'stays'} in float",
    )
