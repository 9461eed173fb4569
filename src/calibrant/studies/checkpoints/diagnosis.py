"""Why a candidate loses, by block, layer, expert and channel; and remedies, applied and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.artifacts.store import json_bytes, write_bytes
from calibrant.core.errors import SettingsError
from calibrant.core.format_names import FLOAT, WeightActivation, format_named
from calibrant.core.formats import PerBlock
from calibrant.core.progress import Progress
from calibrant.methods import method_named
from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.dissecting import BlockLoss, Dissection, ProductLoss, dissect
from calibrant.models.checkpoint.layers import CheckpointLayer
from calibrant.models.checkpoint.weights import Weights
from calibrant.studies.checkpoints.allocation import Allocation
from calibrant.studies.checkpoints.candidates import Candidate
from calibrant.studies.checkpoints.clipping import clipped_share
from calibrant.studies.checkpoints.recipes import CheckpointRecipe, wanted_by
from calibrant.studies.checkpoints.result import CheckpointStudy
from calibrant.studies.checkpoints.run import CheckpointStudyPlan, quantizable, run_checkpoint_study
from calibrant.tasks.generation.evidence import DIVERGENCE

RESULT = "diagnosis.json"
KIND, VERSION = "checkpoint-diagnosis", 1
DOCUMENTS = 16
"""Of the test set, on which a candidate is taken apart; the remedies are measured on all."""

_DOMINANT = 0.5
_MANY_TIMES = 4.0
_SPARED = 0.3
_SHOWN = 5


@dataclass(frozen=True)
class Cause:
    """One reason of the loss. evidence: what was measured. remedies: names of trials that answer it."""

    name: str
    evidence: str
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class GroupLoss:
    """Of products that are decided on together: the error of their block's output, with them alone."""

    products: tuple[str, ...]
    block: str
    error: float
    share: float


@dataclass(frozen=True)
class CheckpointDiagnosis:
    """Why a candidate loses. groups: the worst first. experts: products of experts that lose most.

    clipped: share of the weights' squared error beyond the ends of their grids. study: the candidate and its
    remedies, measured end to end.
    """

    candidate: str
    blocks: tuple[BlockLoss, ...]
    groups: tuple[GroupLoss, ...]
    experts: tuple[ProductLoss, ...]
    outliers: tuple[ProductLoss, ...]
    clipped: float
    causes: tuple[Cause, ...]
    study: CheckpointStudy

    def to_dict(self) -> dict[str, Any]:
        """As diagnosis.json holds it; JSON types only."""
        found = {
            name: [asdict(each) for each in getattr(self, name)]
            for name in ("blocks", "groups", "experts", "outliers", "causes")
        }
        chosen = self.study.recommended
        return {
            "kind": KIND, "version": VERSION, "candidate": self.candidate, "clipped": self.clipped, **found,
            "remedies": {trial.name: trial.loss.value for trial in self.study.ranking},
            "recommended": None if chosen is None else chosen.name,
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """What is printed above the remedies' table."""
        lost = self.study.trial(self.candidate).loss
        amount = f"KL {DIVERGENCE.amount(lost.value)} a token ({lost.interval(DIVERGENCE)})"
        yield f"{self.candidate} loses {amount}"
        yield from (
            "",
            "block                error  of its own   inherited     weights      inputs       cache",
        )
        for block in self.blocks:
            parts = (block.total, block.own, block.inherited, block.weights, block.inputs, block.cache)
            yield f"{block.name:<16}" + "".join(f"{_percent(part):>12}" for part in parts)
        yield from ("", "layers that lose most, alone")
        for group in self.groups[:_SHOWN]:
            yield f"  {_percent(group.error):>9} of the output of {group.block}: {_short(group.products)}"
        if self.experts:
            yield from ("", "experts that lose most of their own outputs")
            for product in self.experts[:_SHOWN]:
                yield f"  {_percent(product.error or 0):>9} {product.name} ({product.tokens} tokens seen)"
        if self.outliers:
            yield from ("", "outlier channels of inputs")
            for product in self.outliers[:_SHOWN]:
                channel, times = product.outliers[0]
                yield f"  {product.name}: channel {channel}, {times:.0f} times the median"
        yield from ("", f"of the weights' loss {100 * (1 - self.clipped):.1f} % is rounding, "
                        f"{100 * self.clipped:.1f} % clipping", "", "causes")  # fmt: skip
        yield from (f"  {cause.name}: {cause.evidence}" for cause in self.causes)


def diagnose_checkpoint_plan(plan: CheckpointStudyPlan, out: Path, progress: Progress) -> CheckpointDiagnosis:
    """Take the plan's only recipe apart, and measure it beside what may mend it. Two readings of the weights.

    Writes diagnosis.json, and study.json of the remedies. Raises SettingsError for more than one recipe.
    """
    if len(plan.recipes) != 1 or plan.others or plan.mixed:
        names = ", ".join(recipe.name for recipe in plan.recipes)
        raise SettingsError(
            f"one candidate is diagnosed at a time, not {names}; name one method and one format"
        )
    (recipe,) = plan.recipes
    layers = quantizable(plan.checkpoint)
    weights = Weights(plan.checkpoint)
    shares: dict[str, float] = {}
    candidate = Candidate(
        recipe.name,
        dict.fromkeys(layers, recipe),
        weights,
        watch=lambda name, weight, encoded: shares.__setitem__(name, clipped_share(weight, encoded)),
    )
    found = dissect(
        Architecture(plan.checkpoint, weights, plan.device),
        [tokens.numbers for tokens in plan.data.calibration],
        [tokens.numbers for tokens in plan.data.test[:DOCUMENTS]],
        candidate,
        replace(wanted_by(plan.recipes), moments=True),
        progress,
    )
    clipped = float(np.mean(list(shares.values()))) if shares else 0.0
    groups = _groups(found)
    causes, recipes, mixed = _causes(recipe, found, groups, clipped, layers)
    study = run_checkpoint_study(replace(plan, recipes=recipes, mixed=mixed), out, progress)
    products = [product for block in found.blocks for product in block.products]
    result = CheckpointDiagnosis(
        recipe.name,
        found.blocks,
        groups,
        tuple(sorted((p for p in products if ".experts." in p.name), key=lambda p: -(p.error or 0)))[:20],
        _outliers(products),
        clipped,
        causes,
        study,
    )
    write_bytes(out / RESULT, json_bytes(result.to_dict()))
    return result


def _groups(found: Dissection) -> tuple[GroupLoss, ...]:
    total = sum(error for block in found.blocks for _, error in block.groups) or 1.0
    groups = (
        GroupLoss(names, block.name, error, error / total)
        for block in found.blocks
        for names, error in block.groups
    )
    return tuple(sorted(groups, key=lambda group: -group.error))


def _outliers(products: Sequence[ProductLoss]) -> tuple[ProductLoss, ...]:
    """Of products that read the same inputs the first; the furthest outlier first."""
    seen: dict[Any, ProductLoss] = {}
    for product in products:
        if product.outliers:
            seen.setdefault((product.name.rsplit(".", 2)[0], product.outliers), product)
    return tuple(sorted(seen.values(), key=lambda product: -product.outliers[0][1]))


def _causes(
    recipe: CheckpointRecipe,
    found: Dissection,
    groups: Sequence[GroupLoss],
    clipped: float,
    layers: Mapping[str, CheckpointLayer],
) -> tuple[tuple[Cause, ...], tuple[CheckpointRecipe, ...], dict[str, Allocation]]:
    """Reasons by what was measured; the candidate with recipes, and allocations, that answer them."""
    work = _Remedies(recipe, layers)
    formats = recipe.formats
    parts = {
        name: sum(getattr(block, name) for block in found.blocks) for name in ("weights", "inputs", "cache")
    }
    whole = sum(parts.values()) or 1.0
    causes: list[Cause] = []
    outliers = _outliers([product for block in found.blocks for product in block.products])
    if outliers and (formats.activations is not None or formats.weights is not None):
        channel, times = outliers[0].outliers[0]
        told = f"channel {channel} of the inputs of {outliers[0].name} is {times:.0f} times the median"
        scaled = "smoothquant" if formats.activations is not None else "awq"
        causes.append(Cause("outlier channels", told, work.with_method(scaled)))
    if (
        formats.weights is not None
        and formats.weights.element.bits < 8
        and parts["weights"] > _DOMINANT * whole
    ):
        kind = "clipping" if clipped > _DOMINANT else "rounding"
        share = 100 * parts["weights"] / whole
        told = f"{share:.0f} % of the blocks' own errors are of the weights, mostly by {kind}"
        causes.append(Cause(f"{kind} of weights", told, (*work.with_method("mse+gptq"), *work.finer())))
    if parts["inputs"] > _DOMINANT * whole and formats.activations is not None:
        told = f"{100 * parts['inputs'] / whole:.0f} % of the blocks' own errors are of rounded inputs"
        causes.append(
            Cause("rounding of inputs", told, (*work.with_method("smoothquant"), *work.without_inputs()))
        )
    if formats.cache is not None:
        told = f"{100 * parts['cache'] / whole:.1f} % of the blocks' own errors are of cached keys and values"
        name = "keys and values" if parts["cache"] > _DOMINANT * whole else "keys and values (small)"
        causes.append(Cause(name, told, work.without_cache()))
    even = 1 / max(1, len(groups))
    worst = [group for group in groups if group.share > min(_MANY_TIMES * even, _SPARED)][:2]
    if worst:
        told = f"{_short(worst[0].products)} alone: {100 * worst[0].share:.0f} % of all that groups lose"
        causes.append(Cause("few layers", told, work.excluding(worst)))
    silent = [
        f"{name}.{expert}" for name, counts in found.routing.items() for expert in np.flatnonzero(counts == 0)
    ]
    if silent:
        told = f"{len(silent)} experts saw no calibration token, e.g. {silent[0]}"
        causes.append(Cause("experts without calibration", told, ()))
    return tuple(causes), tuple(dict.fromkeys(work.recipes)), work.mixed


class _Remedies:
    """What answers causes, each measured once."""

    def __init__(self, recipe: CheckpointRecipe, layers: Mapping[str, CheckpointLayer]) -> None:
        self._recipe, self._layers = recipe, layers
        self.recipes: list[CheckpointRecipe] = [recipe]
        self.mixed: dict[str, Allocation] = {}

    def with_method(self, name: str) -> tuple[str, ...]:
        """The recipe with scales, or with grid and rounding, of another method; its other parts stay."""
        given = self._recipe.method
        if name in ("awq", "smoothquant"):
            rest = [part for part in given.name.split("+") if part not in ("awq", "smoothquant", "rtn")]
            wanted = "+".join([name, *rest])
        else:
            wanted = "+".join([*([given.transform] if given.transform else []), name])
        return self._add(replace(self._recipe, method=method_named(wanted)))

    def finer(self) -> tuple[str, ...]:
        """Blocks of a quarter of the size, or with zero points."""
        weights, name = self._recipe.formats.weights, self._recipe.formats.name
        if weights is None or not isinstance(weights.granularity, PerBlock) or not weights.element.is_integer:
            return ()
        if weights.granularity.size > 32:
            return self._renamed(name.replace(f"-g{weights.granularity.size}", "-g32"))
        head, plus, cache = name.partition("+")
        return self._renamed(f"{head}-asym{plus}{cache}") if weights.symmetric else ()

    def without_inputs(self) -> tuple[str, ...]:
        """The same weights, with inputs as they are."""
        name = self._recipe.formats.name
        plain = {"fp8": "fp8-a16", "fp8-static": "fp8-a16", "nvfp4": "nvfp4-a16", "mxfp4": "mxfp4-a16"}
        return self._renamed(plain.get(name, name.replace("a8", "a16").replace("-static", "")))

    def without_cache(self) -> tuple[str, ...]:
        """The same layers, with keys and values as they are, or in the other format."""
        layers, _, cache = self._recipe.formats.name.partition("+kv-")
        other = "int8" if cache == "fp8" else "fp8"
        found = self._renamed(f"{layers}+kv-{other}")
        return found if layers == FLOAT else (*self._renamed(layers), *found)

    def excluding(self, groups: Sequence[GroupLoss]) -> tuple[str, ...]:
        """The worst layers in 8 bits; in float where they have 8 bits already."""
        formats = self._recipe.formats
        has_few = formats.weights is not None and formats.weights.element.bits < 8
        wide_formats = format_named("w8a16") if has_few else WeightActivation(FLOAT, None)
        if formats.cache is not None:
            wide_formats = replace(wide_formats, name=f"{wide_formats.name}+kv", cache=formats.cache)
        wide = CheckpointRecipe(method_named("mse"), wide_formats)
        names = {name for group in groups for name in group.products}
        what = f"{self._recipe.name}, {len(names)} layers in {'8 bits' if has_few else 'float'}"
        self.mixed[what] = {name: wide if name in names else self._recipe for name in self._layers}
        return (what,)

    def _renamed(self, formats: str) -> tuple[str, ...]:
        if formats == self._recipe.formats.name:
            return ()
        found = format_named(formats)
        needs = found.activations is not None and not found.activations.dynamic
        return self._add(
            replace(self._recipe, formats=found, calibrator=self._recipe.calibrator if needs else None)
        )

    def _add(self, recipe: CheckpointRecipe) -> tuple[str, ...]:
        if recipe.name == self._recipe.name:
            return ()
        if recipe.name not in {each.name for each in self.recipes}:
            self.recipes.append(recipe)
        return (recipe.name,)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _short(products: Sequence[str]) -> str:
    """Products of one place in a few words."""
    first = products[0].replace("model.", "", 1)
    return first if len(products) == 1 else f"{first} and {len(products) - 1} more"
