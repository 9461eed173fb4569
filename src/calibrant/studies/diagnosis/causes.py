"""Causes: what the rules find, priced by what was measured, with remedies as commands."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from calibrant.core.types import FloatArray
from calibrant.models.onnx.tensor_facts import equalizing_bits, facts_of
from calibrant.studies.commands import coverage_command, study_command
from calibrant.studies.diagnosis.case import DiagnosisInput
from calibrant.studies.diagnosis.result import (
    Cause,
    LayerSensitivity,
    NoiseGrowth,
    Remedy,
    Sensitivity,
    SwapStep,
    SwapTest,
    TensorDiagnosis,
)
from calibrant.studies.diagnosis.rules import Evidence, Found, findings
from calibrant.studies.request import REQUEST, read_request

LEAST_LOSS = 0.01
"""Agreement that a layer by itself has to lose so that its tensors' peculiarities are called causes."""
LEAST_SHARE = 0.03
"""Share of the gap that a tensor's swap has to close for the same."""
LEAST_FALL = 3.0
"""Where neither was measured: dB by which the SQNR has to fall behind a layer that reads the tensor."""
OF_A_KIND = 3
"""So many causes of a kind are told; the rest is counted."""
SAME_WIDTH = 0.99
"""A range narrower than this share of the winner's cannot lose by its width."""
_OF_WIDE_RANGES = frozenset({
    "few-sample-outlier", "channel-outlier", "shared-scale", "small-negatives", "coarse",
})  # fmt: skip
_OF_THE_LAYER = frozenset({"output-head", "raw-input"})  # no other range of theirs is the remedy
_FREE_KINDS = frozenset({"constant-tensor"})  # told whatever they cost: nothing can be measured of them


@dataclass(frozen=True)
class _Priced:
    found: Found
    tensor: TensorDiagnosis
    cost: float | None
    loss_alone: float | None
    fall: float | None

    @property
    def weight(self) -> tuple[float, float, float]:
        return self.cost or 0.0, self.loss_alone or 0.0, self.fall or 0.0


def causes_of(
    case: DiagnosisInput,
    folder: str,
    tensors: Sequence[TensorDiagnosis],
    channel_amax: Mapping[str, FloatArray],
    sensitivity: Sequence[Sensitivity],
    swap: SwapTest | None,
    growth: Sequence[NoiseGrowth] = (),
) -> tuple[Cause, ...]:
    """The causes that cost something, the gravest first.

    A cause counts where the swap of its tensor closed 3 % of the gap or more, or a layer that reads it lost
    1 % of agreement or more by itself. Where neither was measured, it counts where the SQNR falls by 3 dB or
    more behind such a layer; without that, all that rules find counts. folder: of the run, for the remedies'
    commands.
    """
    facts = facts_of(case.study.plan.model, [found.tensor for found in tensors])
    layers = {layer.node: layer for found in sensitivity[:1] for layer in found.layers}
    steps = {step.tensor: step for step in swap.steps} if swap else {}
    falls = falls_of(growth[0]) if growth else {}
    priced: list[_Priced] = []
    for tensor in tensors:
        read = tuple(layers[node] for node in tensor.readers if node in layers)
        amax, known = channel_amax.get(tensor.tensor), facts[tensor.tensor]
        seen = Evidence(
            tensor=tensor,
            facts=known,
            samples=len(case.study.calibration),
            words=case.study.task.words,
            channel_amax=amax,
            equalizing_bits=equalizing_bits(case.study.plan.model, known, amax) if amax is not None else 0.0,
            layers=read,
            losing=case.losing,
            winning=case.winning if case.is_compared else _nearest(tensor),
        )
        fall = max((falls[node] for node in tensor.readers if node in falls), default=None)
        priced += [
            each
            for found in findings(seen)
            for each in [_priced(found, tensor, steps.get(tensor.tensor), read, fall)]
            if found.kind in _FREE_KINDS or (_hurts(found, seen) and _counts(each, swap))
        ]
    # Of equals, first what some calibrators do and others do not: it explains why candidates differ.
    priced.sort(key=lambda each: (each.weight, bool(each.found.calibrators)), reverse=True)
    remedies = _Remedies(case, folder, layers)
    return tuple(_cause(each, others, remedies) for each, others in _gravest_of_each_kind(priced))


def _nearest(tensor: TensorDiagnosis) -> str:
    """The calibrator whose range changes this tensor least, which a single candidate is compared with."""
    measured = [error for error in tensor.errors if error.sqnr_db is not None]
    return max(measured, key=lambda error: error.sqnr_db or 0.0).calibrator if measured else ""


def _priced(
    found: Found,
    tensor: TensorDiagnosis,
    step: SwapStep | None,
    read: Sequence[LayerSensitivity],
    fall: float | None,
) -> _Priced:
    """A finding with the points and the agreement that it costs; None: not measured."""
    lost = [layer.lost_alone.value for layer in read if layer.lost_alone is not None]
    cost = step.gained if step is not None and found.kind not in _OF_THE_LAYER else max(lost, default=None)
    return _Priced(found, tensor, cost, max((layer.loss_alone for layer in read), default=None), fall)


def _hurts(found: Found, seen: Evidence) -> bool:
    """Whether a finding hurts the losing candidate; where the winner's range is wider, width is no reason."""
    if found.calibrators and seen.losing not in found.calibrators:
        return False
    losing, winning = seen.held
    if losing is None or winning is None or found.kind not in _OF_WIDE_RANGES:
        return True
    return losing.ratio >= SAME_WIDTH * winning.ratio


def _counts(each: _Priced, swap: SwapTest | None) -> bool:
    """Whether a finding costs something, or may, for all that is known."""
    if each.cost is None and each.loss_alone is None:
        return each.fall is None or each.fall >= LEAST_FALL
    is_gap = swap is not None and each.cost is not None and each.cost >= LEAST_SHARE * swap.gap.value
    return is_gap or (each.loss_alone is not None and each.loss_alone >= LEAST_LOSS)


def falls_of(growth: NoiseGrowth) -> dict[str, float]:
    """By layer, how far the SQNR lies below that of the layer before, dB; 0 where it is no lower."""
    known = [point for point in growth.points if point.sqnr_db is not None]
    return {
        point.node: max((before.sqnr_db or 0.0) - (point.sqnr_db or 0.0), 0.0)
        for before, point in pairwise(known)
    }


def _gravest_of_each_kind(priced: Sequence[_Priced]) -> Iterator[tuple[_Priced, int]]:
    """The first few of each kind, in order; with the last of them the number of those left out."""
    counts: dict[str, int] = {}
    for each in priced:
        counts[each.found.kind] = counts.get(each.found.kind, 0) + 1
    told: dict[str, int] = {}
    for each in priced:
        kind = each.found.kind
        told[kind] = told.get(kind, 0) + 1
        if told[kind] <= OF_A_KIND:
            yield each, counts[kind] - OF_A_KIND if told[kind] == OF_A_KIND else 0


def _cause(each: _Priced, others: int, remedies: _Remedies) -> Cause:
    found, tensor = each.found, each.tensor
    nodes = found.nodes or tensor.readers
    text = f"{tensor.tensor!r}: {found.text}."
    if others > 0:
        text += f" The same holds of {others} other tensor{'s' if others > 1 else ''} that cost less."
    return Cause(
        kind=found.kind,
        title=found.title,
        text=text,
        tensor=tensor.tensor,
        nodes=nodes,
        calibrators=found.calibrators,
        evidence=found.evidence,
        remedies=remedies.of(found, nodes),
        cost=each.cost,
        loss_alone=each.loss_alone,
    )


class _Remedies:
    """What Calibrant can apply, as commands for this study."""

    def __init__(self, case: DiagnosisInput, folder: str, layers: Mapping[str, LayerSensitivity]) -> None:
        self._case, self._folder, self._layers = case, folder, layers
        self._asked = read_request(Path(folder)) if (Path(folder) / REQUEST).is_file() else None
        self._made: Mapping[str, Callable[[Sequence[str], Found], Remedy | None]] = {
            "winner": self._winner,
            "other-calibrator": self._other_calibrator,
            "exclude": self._exclude,
            "keep-head-float": self._keep_head_float,
            "equalize": self._equalize,
            "ranges": self._ranges,
            "asymmetric": self._asymmetric,
            "coverage": self._coverage,
        }

    def of(self, found: Found, nodes: Sequence[str]) -> tuple[Remedy, ...]:
        """The remedies of a finding that apply to this study."""
        made = (self._made[name](nodes, found) for name in found.remedies)
        return tuple(remedy for remedy in made if remedy is not None)

    def _other_calibrator(self, _nodes: Sequence[str], found: Found) -> Remedy | None:
        """Another candidate without this fault, if it loses less than the one that is explained."""
        ranked = sorted(self._case.candidates.values(), key=lambda found: found.lost)
        unhurt = [trial for trial in ranked if trial.calibrator not in found.calibrators]
        if not unhurt:
            return Remedy("every calibrator of the study is hurt; try one that clips more", None)
        if unhurt[0].lost >= self._case.candidates[self._case.losing].lost:
            return None
        name = unhurt[0].calibrator
        return Remedy(
            f"deploy {name}, whose range does not have this fault", self._study("--calibrators", name)
        )

    def _winner(self, _nodes: Sequence[str], _found: Found) -> Remedy | None:
        if not self._case.is_compared:
            return None
        winning = self._case.winning
        return Remedy(f"deploy {winning}", self._study("--calibrators", winning))

    def _exclude(self, nodes: Sequence[str], _found: Found) -> Remedy:
        options = [part for node in nodes for part in ("--exclude", node)]
        return Remedy(f"leave {_listed(nodes)} in float{self._measured(nodes)}", self._study(*options))

    def _measured(self, nodes: Sequence[str]) -> str:
        """What leaving a single layer in float was measured to bring."""
        lost = self._layers[nodes[0]].lost_without if len(nodes) == 1 and nodes[0] in self._layers else None
        if lost is None:
            return ""
        metric = self._case.study.task.metric
        return (
            f": {self._case.losing} then {metric.change(lost.value)} (95 % interval {lost.interval(metric)})"
        )

    def _keep_head_float(self, _nodes: Sequence[str], _found: Found) -> Remedy:
        return Remedy("leave the head's last layers in float", self._study("--keep-head-float"))

    def _equalize(self, _nodes: Sequence[str], _found: Found) -> Remedy:
        return Remedy("equalize the channels in float, which changes no result", self._optimize())

    def _ranges(self, _nodes: Sequence[str], _found: Found) -> Remedy:
        return Remedy("let every tensor have the calibrator that suits it", self._optimize())

    def _asymmetric(self, _nodes: Sequence[str], _found: Found) -> Remedy:
        return Remedy("use a target with zero points, where the deployment allows it",
                      self._study("--scheme", "onnxruntime"))  # fmt: skip

    def _coverage(self, _nodes: Sequence[str], _found: Found) -> Remedy:
        samples = self._case.study.task.words.samples
        command = coverage_command(self._asked) if self._asked else self._plain("coverage")
        return Remedy(f"see whether other calibration {samples} change it", command)

    def _optimize(self) -> str:
        return shlex.join(["calibrant", "optimize", self._folder])

    def _study(self, *options: str) -> str:
        return study_command(self._asked, *options) if self._asked else self._plain("study", *options)

    def _plain(self, verb: str, *options: str) -> str:
        """A command with what is known of a study whose request is not kept."""
        study = self._case.study
        parts = ["calibrant", verb, str(study.plan.model.path), "--calib", study.data.calibration,
                 "--data", study.data.dataset, *options]  # fmt: skip
        return shlex.join(parts)


def _listed(nodes: Sequence[str]) -> str:
    shown = ", ".join(repr(node) for node in nodes[:2])
    return shown if len(nodes) <= 2 else f"{shown} and {len(nodes) - 2} more layers"
