"""Where recipes become models. What several recipes share is made once."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import CalibrantError
from calibrant.core.progress import Progress
from calibrant.core.types import Encoding, Range, Runtime, Sample, Statistics, Task
from calibrant.graph.cost import costs
from calibrant.graph.mending.bias import bias_corrected
from calibrant.graph.mending.equalize import Equalization, equalized
from calibrant.graph.mending.mended import Mended
from calibrant.graph.model import save_model
from calibrant.graph.points import pooling_ties, quant_plan
from calibrant.graph.qdq import qdq_to_deploy
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
    ranges: Mapping[str, Mapping[str, Range]]
    changes: str = ""


@dataclass(frozen=True)
class Quantized:
    """What a recipe makes of the model."""

    plan: QuantizationPlan
    encodings: Mapping[str, Encoding]
    changes: str

    def write(self, path: Path) -> None:
        """Write the Q/DQ model, with weights as the scheme stores them. Raises OutputError."""
        plan = self.plan
        save_model(qdq_to_deploy(plan.model, plan.points, self.encodings, plan.scheme), path)

    def explained(self, recipe: Recipe) -> str:
        """A recipe in a sentence: "float: 2 of 60 layers; mended: 12 folded, 3 scaled; ranges: 50 mse"."""
        layers = len({point.node for point in self.plan.points.weights}) + len(recipe.keep_float)
        parts = [f"float: {len(recipe.keep_float)} of {layers} layers"]
        if self.changes:
            parts.append(f"mended: {self.changes}")
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
        self._mended: dict[tuple[Equalize | None, bool], Calibrated] = {}

    def mended(self, recipe: Recipe) -> Calibrated:
        """The float model after a recipe's mending, with its statistics and every calibrator's ranges.

        Raises CalibrantError when no calibrator gives any.
        """
        key = (recipe.equalize, recipe.correct_bias)
        if key not in self._mended:
            self._mended[key] = self._calibrated(*key)
        return self._mended[key]

    def quantized(self, recipe: Recipe) -> Quantized:
        """Follow a recipe. Raises SettingsError where it names what the model does not have."""
        mended = self.mended(recipe)
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

    @property
    def calibrators(self) -> tuple[str, ...]:
        """Calibrators by name that give the float model ranges, each other than those before.

        Raises CalibrantError when none does.
        """
        ranges = self.mended(Recipe(self._calibrators[0].name)).ranges
        distinct = {tuple(found.values()): name for name, found in reversed(list(ranges.items()))}
        return tuple(name for name in ranges if name in distinct.values())

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
        return self._channels_of(self._plan)

    def _channels_of(self, plan: QuantizationPlan) -> Mapping[str, ChannelStatistics]:
        tensors = [point.tensor for point in plan.points.activations]
        return channel_statistics(
            plan.model, tensors, self._task, self._collector, self._calibration, self._progress
        )

    def _calibrated(self, equalize: Equalize | None, correct_bias: bool) -> Calibrated:
        plan = self._plan
        changes: list[str] = []
        if equalize is not None:
            plan = self._mended_by(self._equalized(equalize), changes)
        if correct_bias:
            plan = self._mended_by(self._corrected(plan), changes)
        statistics = collect(
            plan.model, plan.tensors, self._task, self._collector, self._calibration, self._progress
        )
        return Calibrated(plan, self._ranges(plan, statistics), ", ".join(changes))

    def _ranges(self, plan: QuantizationPlan, statistics: Statistics) -> Mapping[str, Mapping[str, Range]]:
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
        return ranges

    def _equalized(self, equalize: Equalize) -> Mended:
        amax = {
            tensor: found.amax if equalize.channels == PEAK else found.typical_amax
            for tensor, found in self._channels.items()
        }
        wanted = Equalization(
            strength=equalize.strength, least_gain=equalize.least_gain, multiply=equalize.multiply
        )
        nodes = {point.node for point in self._plan.points.weights}
        return equalized(self._plan.model, nodes, amax, wanted)

    def _corrected(self, plan: QuantizationPlan) -> Mended:
        channels = self._channels if plan is self._plan else self._channels_of(plan)
        means = {tensor: found.mean for tensor, found in channels.items()}
        return bias_corrected(plan.model, plan.points, plan.scheme.weights, means)

    def _mended_by(self, mended: Mended, changes: list[str]) -> QuantizationPlan:
        changes.append(str(mended))
        ties = pooling_ties(mended.model) if self._plan.scheme.ties_pooling else {}
        return self._planned(replace(self._plan, model=mended.model, ties=ties), ())

    def _planned(self, plan: QuantizationPlan, keep_float: Sequence[str]) -> QuantizationPlan:
        patterns = map(glob.escape, (*self._plan.points.kept_float, *keep_float))
        return replace(plan, points=quant_plan(plan.model, plan.scheme, tuple(patterns)))
