"""The layers by themselves: what each costs the task, and where along the network the error grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from calibrant.core.clock import Clock
from calibrant.core.progress import Progress
from calibrant.models.onnx.points import QuantPoints
from calibrant.models.onnx.qdq import with_qdq
from calibrant.models.onnx.walk import name_of
from calibrant.stages.diagnosis.growth import noise_by_tensor
from calibrant.stages.diagnosis.range_errors import decibels
from calibrant.stages.diagnosis.subsets import layers_of, only, tensors_read, without
from calibrant.studies.diagnosis.case import DiagnosedCandidate, DiagnosisInput
from calibrant.studies.diagnosis.evaluator import Evaluator, spread
from calibrant.studies.diagnosis.result import (
    LayerSensitivity,
    NoiseGrowth,
    NoisePoint,
    Sensitivity,
)

GROWTH_SAMPLES = 8
ALONE_SHARE = 0.4
"""The layers by themselves end at this share of the budget, so that there is time for the swap test."""
ALONE_SHARE_OF_ONE = 0.6
"""The same where no second candidate is compared, so that there is no swap test."""
WORST_LAYERS = 3
"""So many layers are measured by the metric, too."""


def sensitivity_of(
    case: DiagnosisInput,
    trial: DiagnosedCandidate,
    order: Sequence[str],
    evaluator: Evaluator,
    clock: Clock,
    progress: Progress,
) -> Sensitivity | None:
    """Quantize each layer by itself, in ``order`` as far as the time goes; None where none was measured."""
    points = case.study.plan.points
    share = ALONE_SHARE if case.is_compared else ALONE_SHARE_OF_ONE
    layers: dict[str, LayerSensitivity] = {}
    with progress.stage(f"Layers of {trial.calibrator} alone", len(order)) as advance:
        for node in order:
            if not clock.allows(share=share):
                break
            alone = evaluator.agreement(only(points, node), trial.encodings)
            layers[node] = LayerSensitivity(node, tensors_read(points, node), alone)
            advance()
    if not layers:
        return None
    whole = evaluator.agreement(points, trial.encodings)
    return Sensitivity(trial.calibrator, evaluator.proxy_samples, whole, _in_order(layers, points))


def with_rests(
    found: Sensitivity, case: DiagnosisInput, evaluator: Evaluator, clock: Clock, progress: Progress
) -> Sensitivity:
    """Add what is gained by leaving one layer in float, the worst layers first, as far as the time goes."""
    points, trial = case.study.plan.points, case.candidates[found.calibrator]
    layers = {layer.node: layer for layer in found.layers}
    with progress.stage(f"All but one layer of {found.calibrator}", len(layers)) as advance:
        for layer in found.worst:
            if not clock.allows():
                break
            rest = evaluator.agreement(without(points, {layer.node}), trial.encodings)
            layers[layer.node] = replace(
                layer, agreement_without=rest, gain_without=rest - found.agreement_all
            )
            advance()
    return replace(found, layers=_in_order(layers, points))


def with_drops(found: Sensitivity, case: DiagnosisInput, evaluator: Evaluator, clock: Clock) -> Sensitivity:
    """Add what the worst layers cost by the metric, and what is lost without them, while there is time."""
    points, trial = case.study.plan.points, case.candidates[found.calibrator]
    layers = {layer.node: layer for layer in found.layers}
    for layer in found.worst[:WORST_LAYERS]:
        subsets = {"alone": only(points, layer.node), "in float": without(points, {layer.node})}
        losses = {
            kind: evaluator.loss(
                evaluator.fp32(),
                evaluator.scored(f"{trial.calibrator}, {layer.node} {kind}", trial.encodings, subset),
            )
            for kind, subset in subsets.items()
            if clock.allows()
        }
        layers[layer.node] = replace(
            layer, lost_alone=losses.get("alone"), lost_without=losses.get("in float")
        )
    return replace(found, layers=_in_order(layers, points))


def growth_of(case: DiagnosisInput, trial: DiagnosedCandidate, folder: Path) -> NoiseGrowth:
    """Compare the activations behind every quantized layer with FP32's, on few test samples."""
    study = case.study
    plan = study.plan
    nodes = {name_of(node): node for node in plan.model.ir.graph}
    outputs = {name: name_of(nodes[name].outputs[0]) for name in layers_of(plan.points)}
    quantized = replace(plan.model, ir=with_qdq(plan.model, plan.points, trial.encodings, plan.scheme))
    samples = spread(study.test, GROWTH_SAMPLES)
    found = noise_by_tensor(
        plan.model, quantized, tuple(outputs.values()), study.task, study.collector, samples, folder
    )
    points = tuple(
        NoisePoint(position, node, tensor, decibels(*found[tensor]))
        for position, (node, tensor) in enumerate(outputs.items())
    )
    return NoiseGrowth(trial.calibrator, len(samples), points)


def suspects_first(case: DiagnosisInput, errors: Mapping[str, float | None]) -> tuple[str, ...]:
    """Layers in the order of the SQNR of what they read, the lowest first: the likely culprits.

    errors: SQNR by tensor, dB.
    """
    points = case.study.plan.points

    def lowest(node: str) -> float:
        known = [errors.get(tensor) for tensor in tensors_read(points, node)]
        return min((value for value in known if value is not None), default=float("inf"))

    return tuple(sorted(layers_of(points), key=lowest))


def _in_order(layers: Mapping[str, LayerSensitivity], points: QuantPoints) -> tuple[LayerSensitivity, ...]:
    return tuple(layers[node] for node in layers_of(points) if node in layers)
