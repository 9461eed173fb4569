"""Where recipes become models. What several recipes share is made once."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import CalibrantError
from calibrant.core.progress import Progress
from calibrant.core.recipes import EVERYWHERE, NOWHERE, TYPICAL, UNPADDED, Recipe
from calibrant.core.tasks import Task
from calibrant.core.types import Encoding, FloatArray, Range, Runtime, Sample, Statistics
from calibrant.models.onnx.model import save_model
from calibrant.models.onnx.movement import value_sources
from calibrant.models.onnx.points import pooling_ties, quant_points
from calibrant.models.onnx.qdq import qdq_to_deploy
from calibrant.models.onnx.reductions import with_channels
from calibrant.models.onnx.transforms.bias import bias_corrected
from calibrant.models.onnx.transforms.equalize import Equalization, equalized
from calibrant.models.onnx.transforms.outputs import outputs_equalized
from calibrant.models.onnx.transforms.passes import added_passes
from calibrant.models.onnx.transforms.rounding import Moments, Rounded, rounded_weights, with_rounded
from calibrant.models.onnx.transforms.transformed import Transformed
from calibrant.models.onnx.transforms.zero_points import (
    Shift,
    centred,
    half_widths,
    settled,
    shiftable,
    shifted_means,
)
from calibrant.models.onnx.walk import name_of
from calibrant.stages.calibrate import encodings_from, ranges_from
from calibrant.stages.channels import ChannelStatistics, channel_statistics
from calibrant.stages.collect import collect
from calibrant.stages.costs import costs_of_sample
from calibrant.stages.moments import second_moments
from calibrant.stages.optimization.ranges import blended
from calibrant.stages.optimization.search_space import SearchSpace
from calibrant.studies.candidates import QuantPlan

# Functions of single values: in float they cost no multiply-accumulate, and are rounded once less.
FUNCTIONS = frozenset({"LeakyRelu", "Mul", "Sigmoid"})

Ranges: TypeAlias = Mapping[str, Mapping[str, Range]]
"""By calibrator, then by tensor."""


@dataclass(frozen=True)
class Calibrated:
    """A float model that is ready to be quantized, and the ranges for it.

    means: of each channel of what it quantizes, (C,). shifts: of channels, to be made whole steps. changes:
    what transforms did, counted. moments_of: those of what convolutions read.
    """

    plan: QuantPlan
    ranges: Ranges
    means: Mapping[str, FloatArray]
    shifts: tuple[Shift, ...]
    changes: str
    moments_of: Callable[[QuantPlan], Mapping[str, Moments]]

    @cached_property
    def rounded(self) -> Mapping[str, Rounded]:
        """The weights of every convolution that is quantized when nothing is excluded."""
        plan = self.plan
        return rounded_weights(plan.model, plan.points, plan.scheme.weights, self.moments_of(plan))


@dataclass(frozen=True)
class Quantized:
    """What a recipe makes of the model. passes: over memory, that it adds between layers, by operator."""

    plan: QuantPlan
    encodings: Mapping[str, Encoding]
    changes: str
    passes: Mapping[str, int]

    def write(self, path: Path) -> None:
        """Write the Q/DQ model, with weights as the scheme stores them. Raises OutputError."""
        plan = self.plan
        save_model(qdq_to_deploy(plan.model, plan.points, self.encodings, plan.scheme), path)

    def explained(self, recipe: Recipe) -> str:
        """A recipe in words: "float: 2 of 60 layers; transformed: 12 folded, 3 scaled; ranges: 50 mse"."""
        layers = len({point.node for point in self.plan.points.weights}) + len(recipe.exclude)
        parts = [f"float: {len(recipe.exclude)} of {layers} layers"]
        if self.changes:
            parts.append(f"transformed: {self.changes}")
        if self.passes:
            counted = " and ".join(f"{count} {name}" for name, count in self.passes.items())
            parts.append(f"adds {counted} between layers, each a pass over memory")
        counts = recipe.range_counts(len(self.plan.points.activations))
        parts.append("ranges: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
        return "; ".join(parts)


class ModelBuilder:
    """Makes models of recipes for one float model and its calibration samples.

    What stays in float in ``plan`` does so under every recipe.
    """

    def __init__(
        self,
        plan: QuantPlan,
        task: Task,
        collector: Runtime,
        calibration: Sequence[Sample],
        calibrators: Sequence[NamedCalibrator],
        progress: Progress,
    ) -> None:
        self._plan, self._task, self._collector = plan, task, collector
        self._calibration, self._calibrators = calibration, calibrators
        self._progress = progress
        self._transformed: dict[Recipe, Calibrated] = {}

    def transformed(self, recipe: Recipe) -> Calibrated:
        """The float model after a recipe's transforms, with its statistics and every calibrator's ranges.

        Raises CalibrantError when no calibrator gives any.
        """
        transforms = replace(
            recipe, calibrator="", ranges=(), exclude=(), correct_bias=False, round_weights=False
        )
        if transforms not in self._transformed:
            self._transformed[transforms] = self._calibrated(transforms)
        return self._transformed[transforms]

    def quantized(self, recipe: Recipe) -> Quantized:
        """Follow a recipe. Raises SettingsError where it names what the model does not have."""
        transformed = self.transformed(recipe)
        known = next(iter(transformed.ranges.values()))
        plan = self._planned(transformed.plan, recipe.exclude).observed(known)
        ranges = _chosen(recipe, transformed.ranges, plan.tensors)
        encodings = encodings_from(ranges, plan.scheme.activations)
        stored = self._stored(plan, recipe, transformed)
        model = settled(stored.model, plan.points, plan.scheme.weights, transformed.shifts, encodings)
        changes = [
            change for change in (transformed.changes, str(stored) if stored.changes else "") if change
        ]
        passes = added_passes(self._plan.model.ir.graph, model.ir.graph)
        return Quantized(replace(plan, model=model), encodings, ", ".join(changes), passes)

    def _stored(self, plan: QuantPlan, recipe: Recipe, transformed: Calibrated) -> Transformed:
        """The model made right for the weights that it will store: rounded together, or each by itself."""
        layers = transformed.rounded if recipe.round_weights else {}
        rounded = with_rounded(plan.model, plan.points, layers)
        others = tuple(point for point in plan.points.weights if point.node not in layers)
        means = transformed.means if recipe.correct_bias else {}
        means = {**means, **shifted_means(plan.model, transformed.shifts, means)}
        corrected = bias_corrected(
            rounded.model, replace(plan.points, weights=others), plan.scheme.weights, means
        )
        counted = corrected.changes if recipe.correct_bias else ()
        return Transformed(corrected.model, (*rounded.changes, *counted))

    @property
    def calibrators(self) -> tuple[str, ...]:
        """Calibrators by name that give the float model ranges, each other than those before.

        Raises CalibrantError when none does.
        """
        ranges = self.transformed(Recipe(self._calibrators[0].name)).ranges
        distinct = {tuple(found.values()): name for name, found in reversed(list(ranges.items()))}
        return tuple(name for name in ranges if name in distinct.values())

    @cached_property
    def space(self) -> SearchSpace:
        """The settings of techniques that this scheme has."""
        scheme = self._plan.scheme
        return SearchSpace(
            self.calibrators,
            (EVERYWHERE, UNPADDED, NOWHERE) if scheme.activations.symmetric else (NOWHERE,),
            (True, False) if scheme.joined_ops & FUNCTIONS else (False,),
        )

    @cached_property
    def macs(self) -> Mapping[str, int]:
        """Multiply-accumulates of every convolution and matrix product, by node, for a calibration sample."""
        found = costs_of_sample(self._plan.model, self._task, self._collector, self._calibration[0])
        return {cost.node: cost.macs or 0 for cost in found}

    @cached_property
    def quantized_macs(self) -> Mapping[str, int]:
        """The same of what the scheme quantizes when nothing is excluded."""
        nodes = {point.node for point in self._plan.points.weights}
        return {node: count for node, count in self.macs.items() if node in nodes}

    def int8_share(self, recipe: Recipe) -> float:
        """The share of all multiply-accumulates that a recipe computes in INT8, 0..1."""
        total = sum(self.macs.values())
        excluded = set(recipe.exclude)
        kept = sum(count for node, count in self.quantized_macs.items() if node not in excluded)
        return kept / total if total else float(not excluded)

    @cached_property
    def _channels(self) -> Mapping[str, ChannelStatistics]:
        return self._channels_of(self._plan)

    def _channels_of(self, plan: QuantPlan) -> Mapping[str, ChannelStatistics]:
        seen = [point.tensor for point in plan.points.activations if point.encoded_as not in self._empty]
        tensors = with_channels(plan.model, seen)
        return channel_statistics(
            plan.model, tensors, self._task, self._collector, self._calibration, self._progress
        )

    @cached_property
    def _statistics(self) -> Statistics:
        return self._collected(self._plan)

    @cached_property
    def _empty(self) -> frozenset[str]:
        """The activations that are empty for every calibration sample; transforms do not fill them."""
        return frozenset(self._plan.tensors) - self._statistics.tensors.keys()

    def _collected(self, plan: QuantPlan) -> Statistics:
        return collect(
            plan.model, plan.tensors, self._task, self._collector, self._calibration, self._progress
        )

    def _calibrated(self, recipe: Recipe) -> Calibrated:
        plan = self._without_functions if recipe.float_functions else self._plan
        changes: list[str] = []
        shifts: tuple[Shift, ...] = ()
        if recipe.float_functions:
            plan = self._transformed_by(plan, self._normalized(plan), changes)
        if recipe.equalize is not None:
            plan = self._transformed_by(plan, self._equalized(plan, recipe), changes)
        channels = self._channels if plan is self._plan else self._channels_of(plan)
        if recipe.zero_points != NOWHERE:
            ranges = {tensor: self._span(recipe, found) for tensor, found in channels.items()}
            found = centred(plan.model, plan.points, ranges, pads=recipe.zero_points == EVERYWHERE)
            plan, shifts = self._transformed_by(plan, found.transformed, changes), found.shifts
        statistics = self._statistics if plan is self._plan else self._collected(plan)
        plan = plan.observed(statistics.tensors)
        means = {tensor: found.mean for tensor, found in channels.items()}
        ranges_of = self._ranges(plan, statistics)
        return Calibrated(plan, ranges_of, means, shifts, ", ".join(changes), self._moments)

    def _moments(self, plan: QuantPlan) -> Mapping[str, Moments]:
        nodes = {point.node for point in plan.points.weights}
        return second_moments(
            plan.model, nodes, self._task, self._collector, self._calibration, self._progress
        )

    def _ranges(self, plan: QuantPlan, statistics: Statistics) -> Ranges:
        ranges: dict[str, Mapping[str, Range]] = {}
        failures: list[CalibrantError] = []
        moved = value_sources(plan.model)
        for calibrator in self._calibrators:
            try:
                found = ranges_from(statistics, calibrator, plan.scheme.activations, plan.ties)
                ranges[calibrator.name] = _with_moved(found, moved)
            except CalibrantError as error:
                failures.append(error)
        if not ranges:
            raise failures[0]
        return ranges

    def _normalized(self, plan: QuantPlan) -> Transformed:
        nodes = {point.node for point in plan.points.weights}
        given = [name_of(node.outputs[0]) for node in plan.model.ir.graph if name_of(node) in nodes]
        channels = {tensor: self._channels[tensor] for tensor in given if tensor in self._channels}
        return outputs_equalized(
            plan.model, nodes, {tensor: (found.low, found.high) for tensor, found in channels.items()}
        )

    def _equalized(self, plan: QuantPlan, recipe: Recipe) -> Transformed:
        equalize = recipe.equalize
        assert equalize is not None
        pads = recipe.zero_points == EVERYWHERE
        shifted = {} if recipe.zero_points == NOWHERE else shiftable(plan.model, plan.points, pads=pads)
        sizes = {
            tensor: half_widths(*span) if tensor in shifted else np.maximum(np.abs(span[0]), np.abs(span[1]))
            for tensor, found in self._channels.items()
            for span in [self._span(recipe, found)]
        }
        wanted = Equalization(
            strength=equalize.strength, least_gain=equalize.least_gain, multiply=equalize.multiply
        )
        nodes = {point.node for point in self._plan.points.weights}
        return equalized(plan.model, nodes, sizes, wanted)

    def _span(self, recipe: Recipe, found: ChannelStatistics) -> tuple[FloatArray, FloatArray]:
        """The smallest and the largest value of each channel that a recipe looks at, (C,)."""
        is_typical = recipe.equalize is not None and recipe.equalize.channels == TYPICAL
        return (found.typical_low, found.typical_high) if is_typical else (found.low, found.high)

    @cached_property
    def _without_functions(self) -> QuantPlan:
        scheme = self._plan.scheme
        return self._planned(
            replace(self._plan, scheme=replace(scheme, joined_ops=scheme.joined_ops - FUNCTIONS)), ()
        )

    def _transformed_by(self, plan: QuantPlan, transformed: Transformed, changes: list[str]) -> QuantPlan:
        changes.append(str(transformed))
        ties = pooling_ties(transformed.model) if plan.scheme.ties_pooling else {}
        return self._planned(replace(plan, model=transformed.model, ties=ties), ())

    def _planned(self, plan: QuantPlan, exclude: Sequence[str]) -> QuantPlan:
        patterns = map(glob.escape, (*self._plan.points.kept_float, *exclude))
        return replace(plan, points=quant_points(plan.model, plan.scheme, tuple(patterns)))


def _with_moved(ranges: Mapping[str, Range], sources: Mapping[str, Sequence[str]]) -> Mapping[str, Range]:
    """Ranges also for what only moves values: it is rounded by itself once a layer beside it is excluded.

    sources: where values come from, in topological order.
    """
    result = dict(ranges)
    for tensor, origins in sources.items():
        if tensor not in result and all(origin in result for origin in origins):
            found = [result[origin] for origin in origins]
            result[tensor] = Range(min(r.low for r in found), max(r.high for r in found))
    return result


def _chosen(recipe: Recipe, ranges: Ranges, tensors: Sequence[str]) -> dict[str, Range]:
    """The range that a recipe gives to each of ``tensors``."""
    choices = dict(recipe.ranges)
    return {
        tensor: blended(
            choices.get(tensor, recipe.calibrator), {name: found[tensor] for name, found in ranges.items()}
        )
        for tensor in tensors
    }
