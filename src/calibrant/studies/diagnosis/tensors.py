"""Tensors and weights: what their encodings lose, from statistics and from the model, without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from calibrant.core.progress import Progress
from calibrant.core.statistics import TensorStatistics
from calibrant.core.types import Encoding, Sample
from calibrant.models.onnx.points import ActivationPoint
from calibrant.models.onnx.reductions import with_channels
from calibrant.models.onnx.tensor_facts import kind_of
from calibrant.models.onnx.walk import name_of
from calibrant.stages.channels import ChannelStatistics, channel_statistics
from calibrant.stages.diagnosis.range_errors import bounds_of, decibels, quantization_error, shape_of
from calibrant.stages.diagnosis.weight_errors import WeightError, weight_error, weights_of
from calibrant.studies.diagnosis.case import DiagnosisInput
from calibrant.studies.diagnosis.result import Peaks, RangeError, TensorDiagnosis, WeightDiagnosis


def tensors_of(case: DiagnosisInput) -> tuple[TensorDiagnosis, ...]:
    """Every quantized activation that has an encoding of its own, in topological order."""
    plan = case.study.plan
    producers = {
        name_of(value): name_of(node) for node in plan.model.ir.graph for value in node.outputs if value.name
    }
    return tuple(
        _tensor(case, point, producers.get(point.tensor))
        for point in plan.points.activations
        if point.tensor in case.statistics.tensors
    )


def weights_diagnosed(case: DiagnosisInput) -> tuple[WeightDiagnosis, ...]:
    """Every quantized weight, in topological order."""
    plan = case.study.plan
    nodes = {name_of(node): node for node in plan.model.ir.graph}
    return tuple(
        _weight(
            point.node,
            point.tensor,
            kind_of(nodes[point.node]),
            weight_error(weight, plan.scheme.weights, point.axis),
        )
        for point, weight in weights_of(plan.model, plan.points).items()
    )


def channels_of(
    case: DiagnosisInput, tensors: Sequence[TensorDiagnosis], progress: Progress
) -> dict[str, ChannelStatistics]:
    """The channels of the tensors that have some: one pass over the calibration samples."""
    study = case.study
    names = with_channels(study.plan.model, [found.tensor for found in tensors])
    return channel_statistics(
        study.plan.model, names, study.task, study.collector, study.calibration, progress
    )


def with_peaks(
    tensors: Sequence[TensorDiagnosis], channels: Mapping[str, ChannelStatistics], samples: Sequence[Sample]
) -> tuple[TensorDiagnosis, ...]:
    """Add where the largest values lie, to the tensors whose channels are known. samples: in their order."""
    return tuple(
        replace(found, peaks=peaks_of(channels[found.tensor], samples)) if found.tensor in channels else found
        for found in tensors
    )


def peaks_of(seen: ChannelStatistics, samples: Sequence[Sample]) -> Peaks:
    """Where a tensor's largest magnitude lies. samples: those it was seen on, in order."""
    sample, largest = samples[int(seen.sample_amax.argmax())], float(seen.amax.max())
    path = getattr(sample, "path", None)
    return Peaks(
        sample=sample.id,
        path=str(path) if path is not None else None,
        channel=int(seen.amax.argmax()),
        typical_sample=float(np.median(seen.sample_amax)),
        samples_above_half=float((seen.sample_amax >= largest / 2).mean()),
        channels=seen.amax.size,
        typical_channel=float(np.median(seen.amax)),
        channels_above_half=float((seen.amax >= largest / 2).mean()),
    )


def _tensor(case: DiagnosisInput, point: ActivationPoint, producer: str | None) -> TensorDiagnosis:
    stats = case.statistics.tensors[point.tensor]
    shape = shape_of(stats)
    errors = (
        _range_error(trial.calibrator, stats, trial.encodings[point.encoded_as])
        for trial in case.candidates.values()
        if point.encoded_as in trial.encodings
    )
    return TensorDiagnosis(
        tensor=point.tensor,
        producer=producer,
        readers=tuple(dict.fromkeys(reader for reader, _ in point.consumers)),
        values=stats.count,
        low=stats.low,
        high=stats.high,
        kurtosis=shape.kurtosis if shape else None,
        tail=shape.tail if shape else None,
        peaks=None,
        errors=tuple(errors),
    )


def _range_error(calibrator: str, stats: TensorStatistics, encoding: Encoding) -> RangeError:
    low, high = bounds_of(encoding)
    error = quantization_error(stats, encoding)
    return RangeError(
        calibrator=calibrator,
        low=low,
        high=high,
        ratio=max(abs(low), abs(high)) / stats.amax if stats.amax > 0 else 1.0,
        clipped=error.clipped,
        clipping_share=error.clipping_share,
        sqnr_db=decibels(error.signal, error.clipping + error.rounding),
        clipping_db=decibels(error.signal, error.clipping),
        rounding_db=decibels(error.signal, error.rounding),
        dead_levels=error.dead_levels,
    )


def _weight(node: str, tensor: str, kind: str, error: WeightError) -> WeightDiagnosis:
    worst = error.worst_channel
    return WeightDiagnosis(
        node=node,
        tensor=tensor,
        kind=kind,
        channels=error.amax.size,
        amax=float(error.amax.max(initial=0.0)),
        spread=error.spread,
        sqnr_db=decibels(float(error.signal.sum()), float(error.noise.sum())),
        worst_channel=worst,
        worst_db=decibels(float(error.signal[worst]), float(error.noise[worst])),
    )
