"""Where recipes become models. What several recipes share is made once."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import onnx_ir as ir

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import CalibrantError
from calibrant.core.progress import Progress
from calibrant.core.types import Encoding, Range, Runtime, Sample, Scheme, Statistics, Task
from calibrant.graph.cost import costs
from calibrant.graph.mending.equalize import Equalization, equalized
from calibrant.graph.model import Model
from calibrant.graph.points import pooling_ties, quant_plan
from calibrant.graph.qdq import with_qdq
from calibrant.stages.calibrate import encodings_from, ranges_from
from calibrant.stages.channels import ChannelStatistics, channel_statistics
from calibrant.stages.collect import collect
from calibrant.stages.optimization.ranges import blended
from calibrant.stages.optimization.recipe import PEAK, Equalize, Recipe
from calibrant.studies.candidates import QuantizationPlan


@dataclass(frozen=True)
class Calibrated:
    """A float model that is ready to be quantized: ``ranges`` by calibrator, then by tensor.

    changes: what mending did to it, counted.
    """

    plan: QuantizationPlan
    statistics: Statistics
    ranges: Mapping[str, Mapping[str, Range]]
    changes: str = ""


@dataclass(frozen=True)
class Quantized:
    """What a recipe makes of the model."""

    plan: QuantizationPlan
    encodings: Mapping[str, Encoding]
    changes: str

    def model(self) -> ir.Model:
        """The Q/DQ model, with weights as the scheme stores them."""
        plan = self.plan
        float_weights = not plan.scheme.stores_integers
        return with_qdq(plan.model, plan.points, self.encodings, plan.scheme, float_weights=float_weights)

    def explained(self, recipe: Recipe) -> str:
        """A recipe in a sentence: "float: 2 of 60 layers; equalized: 12 folded, 3 scaled; ranges: 50 mse"."""
        layers = len({point.node for point in self.plan.points.weights}) + len(recipe.keep_float)
        parts = [f"float: {len(recipe.keep_float)} of {layers} layers"]
        if recipe.equalize is not None:
            parts.append(f"equalized: {self.changes}")
        counts = recipe.range_counts(len(self.plan.points.activations))
        parts.append("ranges: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
        return "; ".join(parts)


class Workshop:
    """Makes models of recipes for one float model and its calibration images.

    What stays in float in ``plan`` does so under every recipe.
    """

    def __init__(
        self,
        plan: QuantizationPlan,
        task: Task,
        collector: Runtime,
        calibration: Sequence[Sample],
        calibrators: Sequence[NamedCalibrator],
        progress: Progress,
    ) -> None:
        self._plan, self._task, self._collector = plan, task, collector
        self._calibration, self._calibrators = calibration, calibrators
        self._progress = progress
        self._mended: dict[Equalize | None, Calibrated] = {}

    def mended(self, equalize: Equalize | None) -> Calibrated:
        """The float model after equalization, with its statistics and every calibrator's ranges.

        Raises CalibrantError when no calibrator gives any.
        """
        if equalize not in self._mended:
            self._mended[equalize] = self._calibrated(equalize)
        return self._mended[equalize]

    def quantized(self, recipe: Recipe) -> Quantized:
        """Follow a recipe. Raises SettingsError where it names what the model does not have."""
        mended = self.mended(recipe.equalize)
        plan = self._planned(mended.plan, recipe.keep_float)
        choices = dict(recipe.ranges)
        ranges = {
            tensor: blended(
                choices.get(tensor, recipe.calibrator),
                {name: found[tensor] for name, found in mended.ranges.items()},
            )
            for tensor in plan.tensors
        }
        return Quantized(plan, encodings_from(ranges, plan.scheme.activations), mended.changes)

    @cached_property
    def macs(self) -> Mapping[str, int]:
        """Multiply-accumulates of every convolution and matrix product, by node; 0 where unknown."""
        return {cost.node: cost.macs or 0 for cost in costs(self._plan.model)}

    @cached_property
    def quantized_macs(self) -> Mapping[str, int]:
        """The same of what the scheme quantizes when nothing is spared."""
        nodes = {point.node for point in self._plan.points.weights}
        return {node: count for node, count in self.macs.items() if node in nodes}

    def int8_share(self, recipe: Recipe) -> float:
        """The share of all multiply-accumulates that a recipe computes in INT8, 0..1."""
        total = sum(self.macs.values())
        spared = set(recipe.keep_float)
        kept = sum(count for node, count in self.quantized_macs.items() if node not in spared)
        return kept / total if total else float(not spared)

    @cached_property
    def _channels(self) -> Mapping[str, ChannelStatistics]:
        tensors = [point.tensor for point in self._plan.points.activations]
        return channel_statistics(
            self._plan.model, tensors, self._task, self._collector, self._calibration, self._progress
        )

    def _calibrated(self, equalize: Equalize | None) -> Calibrated:
        plan, changes = (self._plan, "") if equalize is None else self._equalized(equalize)
        statistics = collect(
            plan.model, plan.tensors, self._task, self._collector, self._calibration, self._progress
        )
        ranges: dict[str, Mapping[str, Range]] = {}
        failures: list[CalibrantError] = []
        for calibrator in self._calibrators:
            try:
                ranges[calibrator.name] = ranges_from(
                    statistics, calibrator, plan.scheme.activations, plan.ties
                )
            except CalibrantError as error:
                failures.append(error)
        if not ranges:
            raise failures[0]
        return Calibrated(plan, statistics, ranges, changes)

    def _equalized(self, equalize: Equalize) -> tuple[QuantizationPlan, str]:
        amax = {
            tensor: found.amax if equalize.channels == PEAK else found.typical_amax
            for tensor, found in self._channels.items()
        }
        wanted = Equalization(
            strength=equalize.strength, least_gain=equalize.least_gain, multiply=equalize.multiply
        )
        nodes = {point.node for point in self._plan.points.weights}
        result = equalized(self._plan.model, nodes, amax, wanted)
        plan = replace(self._plan, model=result.model, ties=_ties(result.model, self._plan.scheme))
        return self._planned(plan, ()), str(result)

    def _planned(self, plan: QuantizationPlan, keep_float: Sequence[str]) -> QuantizationPlan:
        patterns = map(glob.escape, (*self._plan.points.kept_float, *keep_float))
        return replace(plan, points=quant_plan(plan.model, plan.scheme, tuple(patterns)))


def _ties(model: Model, scheme: Scheme) -> Mapping[str, str]:
    return pooling_ties(model) if scheme.ties_pooling else {}
