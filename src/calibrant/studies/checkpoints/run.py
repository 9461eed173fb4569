"""Running a checkpoint's study: one reading of the weights, then intervals, ranking and recommendation."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.artifacts.checksums import CHECKSUMS, write_checksums
from calibrant.artifacts.store import json_bytes, remove, write_bytes
from calibrant.core.errors import ModelError
from calibrant.core.metrics import Figure, Loss
from calibrant.core.processor import processor_name
from calibrant.core.progress import Progress
from calibrant.core.sizes import format_bytes
from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.folder import Checkpoint
from calibrant.models.checkpoint.gguf_writing import GgufWriter, can_be_gguf, gguf_type
from calibrant.models.checkpoint.keeping import StreamKeeper
from calibrant.models.checkpoint.layers import QUANTIZABLE, CheckpointLayer, layers_of
from calibrant.models.checkpoint.packing import can_be_stored
from calibrant.models.checkpoint.rendering import Tokenizer
from calibrant.models.checkpoint.statistics import Wanted
from calibrant.models.checkpoint.streaming import StreamEvidence, measure
from calibrant.models.checkpoint.weights import Weights
from calibrant.models.checkpoint.writing import CheckpointWriter
from calibrant.studies.checkpoints.allocation import Allocation, allocation_bytes
from calibrant.studies.checkpoints.candidates import Candidate
from calibrant.studies.checkpoints.confirming import Decoding, DecodingSettings, best_named, confirm
from calibrant.studies.checkpoints.data import TextData
from calibrant.studies.checkpoints.foreign import ForeignCandidate
from calibrant.studies.checkpoints.recipes import CheckpointRecipe, file_stem, formats_fit, wanted_by
from calibrant.studies.checkpoints.resources import (
    UNFINISHED,
    estimate_memory,
    fingerprint_of,
    streams_fit,
)
from calibrant.studies.checkpoints.result import (
    CheckpointStudy,
    CheckpointSummary,
    CheckpointTrial,
    Cost,
    RecommendedCheckpoint,
)
from calibrant.studies.checkpoints.routing import routing_of, routing_remark
from calibrant.studies.checkpoints.verdict import Choice, Contender, Documents, choose, needed_documents
from calibrant.studies.evidence import save_evidence
from calibrant.tasks.generation.evidence import TextEvidence, likelihood_figures

RESULT, CHECKPOINTS = "study.json", "checkpoints"
_SHARE_OF_DISK = 0.5
_WORST = 5
_MIXED = 1000
_PACKAGES = ("calibrant", "numpy", "torch", "transformers", "tokenizers")


Writer = CheckpointWriter | GgufWriter
Chooser = Callable[[Sequence[Contender], Documents, float | None], Choice | None]


@dataclass(frozen=True)
class CheckpointStudyPlan:
    """Everything that a study needs, checked before the work begins.

    recipes: candidates with one recipe for all layers. mixed: those with a recipe for each layer, others:
    checkpoints that other tools made, both by the candidates' names. max_loss: KL that may be lost, nats.
    write: whether the recommended candidate's checkpoint is written. chooser: recommends one. device: where
    blocks are computed. memory: bytes that the process may use; None: whatever it needs.
    """

    checkpoint: Checkpoint
    data: TextData
    recipes: tuple[CheckpointRecipe, ...]
    mixed: Mapping[str, Allocation]
    others: Mapping[str, Checkpoint]
    settings: Mapping[str, object]
    max_loss: float | None = None
    seed: int = 0
    write: bool = True
    chooser: Chooser = choose
    device: str = "cpu"
    memory: int | None = None
    decoding: DecodingSettings | None = None

    @property
    def fingerprint(self) -> str:
        """Of all that decides what is measured: a run that was cut off goes on where it is the same."""
        told = {
            "settings": dict(self.settings),
            "data": asdict(self.data.summary),
            "recipes": [recipe.name for recipe in self.recipes],
            "mixed": {
                name: [(layer, recipe.name) for layer, recipe in sorted(each.items())]
                for name, each in self.mixed.items()
            },
            "others": {name: fingerprint_of(other, {}) for name, other in self.others.items()},
            "write": self.write,
            "device": self.device,
        }
        return fingerprint_of(self.checkpoint, told)


@dataclass(frozen=True)
class CandidateToMeasure:
    """A candidate in a study, with what is known of it before it is measured."""

    name: str
    simplicity: int
    recipe: Mapping[str, Any]
    bytes: int
    bits: float
    kept_float: tuple[str, ...] = ()


def quantizable(checkpoint: Checkpoint) -> dict[str, CheckpointLayer]:
    """The layers that are quantized, by name: matrix products in blocks, no router. Raises ModelError."""
    found = {layer.name: layer for layer in layers_of(checkpoint) if layer.role in QUANTIZABLE}
    if not found:
        raise ModelError(f"{checkpoint.folder} has no layer that could be quantized")
    return found


def run_checkpoint_study(plan: CheckpointStudyPlan, out: Path, progress: Progress) -> CheckpointStudy:
    """Run a study and write study.json, and each candidate's evidence, into ``out``."""
    begun = time.perf_counter()
    layers = quantizable(plan.checkpoint)
    weights = Weights(plan.checkpoint)
    architecture = Architecture(plan.checkpoint, weights, plan.device)
    for warning in plan.data.warnings:
        progress.note(warning)
    remove(out / RESULT)
    remove(out / CHECKSUMS)
    allocations = {r.name: dict.fromkeys(layers, r) for r in plan.recipes} | dict(plan.mixed)
    writers = _writers(plan, allocations, architecture, layers, out, progress)
    wanted = wanted_by(recipe for each in allocations.values() for recipe in each.values())
    if any(
        other.quantization and other.quantization.get("kv_cache_scheme") for other in plan.others.values()
    ):
        wanted = replace(wanted, caches=True)
    needed = estimate_memory(
        plan.checkpoint,
        layers.values(),
        plan.data.summary.calibration_tokens,
        sum(len(tokens.numbers) for tokens in plan.data.test),
        len(allocations) + len(plan.others),
        moments=wanted.moments,
    )
    in_memory = streams_fit(needed, plan.memory, progress)
    measured = measure(
        architecture,
        [tokens.numbers for tokens in plan.data.calibration],
        [tokens.numbers for tokens in plan.data.test],
        [tokens.scored_from for tokens in plan.data.test],
        [
            *(Candidate(name, each, weights, writers.get(name)) for name, each in allocations.items()),
            *(ForeignCandidate(name, other, plan.checkpoint, weights) for name, other in plan.others.items()),
        ],
        wanted,
        progress,
        StreamKeeper(out / UNFINISHED, plan.fingerprint, in_memory=in_memory),
    )
    evidence = evidence_of(measured)
    documents = Documents(len(plan.data.test), plan.seed)
    entrants = _entrants(plan, allocations, layers)
    contenders = [Contender(e.name, e.simplicity, e.bytes, evidence[e.name]) for e in entrants]
    trials = tuple(
        _trial(plan.data, entrant, contender.evidence, measured, documents.loss(contender), out)
        for entrant, contender in zip(entrants, contenders, strict=True)
    )
    chosen = plan.chooser(contenders, documents, plan.max_loss)
    written = _kept(writers, chosen.name if chosen else None, out)
    ranked = sorted(contenders, key=lambda contender: contender.evidence.kl)
    routing = routing_of(measured.calibration_routing, measured.test_routing)
    if remark := routing_remark(routing):
        progress.note(remark)
    decoding = None
    if plan.decoding is not None:
        losses = {contender.name: contender.evidence.kl for contender in contenders}
        decoding = _confirmed(plan, allocations, losses, chosen, wanted, progress)
    warnings = (*plan.data.warnings, *filter(None, (remark, _broken(decoding, chosen))))
    result = CheckpointStudy(
        out=str(out),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=_summary(plan.checkpoint, architecture, layers),
        environment=_environment(),
        settings=plan.settings,
        data=plan.data.summary,
        reference=_reference(measured),
        trials=tuple(replace(trial, files=written.get(trial.name)) for trial in trials),
        recommended=None if chosen is None else RecommendedCheckpoint(**asdict(chosen)),
        cost=Cost(weights.bytes_read, round(time.perf_counter() - begun, 3), _peak_memory()),
        needed=tuple((*names, count) for names, count in needed_documents(ranked, documents).items()),
        routing=routing,
        warnings=warnings,
        decoding=decoding,
    )
    content = json_bytes(result.to_dict())
    write_checksums(out, [trial.evidence for trial in trials if trial.evidence], {RESULT: content})
    write_bytes(out / RESULT, content)
    return result


def _confirmed(
    plan: CheckpointStudyPlan,
    allocations: Mapping[str, Allocation],
    losses: Mapping[str, float],
    chosen: Choice | None,
    wanted: Wanted,
    progress: Progress,
) -> Decoding:
    """Let the best candidates write answers. They are read anew, so that the study's own reading is one."""
    assert plan.decoding is not None
    weights = Weights(plan.checkpoint)
    names = best_named(losses, chosen.name if chosen else None, plan.decoding.candidates)
    candidates = [
        Candidate(name, allocations[name], weights)
        if name in allocations
        else ForeignCandidate(name, plan.others[name], plan.checkpoint, weights)
        for name in names
    ]
    return confirm(
        Architecture(plan.checkpoint, weights, plan.device),
        plan.data,
        Tokenizer(plan.checkpoint.folder),
        candidates,
        wanted,
        plan.decoding,
        progress,
    )


def _broken(decoding: Decoding | None, chosen: Choice | None) -> str | None:
    """A remark where what is recommended by KL gets fewer answers right; None: it does not."""
    found = () if decoding is None or chosen is None else decoding.confirmations
    worse = next((each for each in found if chosen and each.name == chosen.name and each.is_worse), None)
    if worse is None or decoding is None:
        return None
    return (
        f"{worse.name} is the best by KL, but breaks {worse.broken} answers and fixes {worse.fixed} "
        f"(p = {worse.p_value:.2g}): {100 * worse.score:.1f} % against {100 * decoding.score:.1f} % in float"
    )


def _writers(
    plan: CheckpointStudyPlan,
    allocations: Mapping[str, Allocation],
    architecture: Architecture,
    layers: Mapping[str, CheckpointLayer],
    out: Path,
    progress: Progress,
) -> dict[str, Writer]:
    """One for each candidate that can be stored, where the disk has room for all of them."""
    made = {name: _writer_for(plan.checkpoint, each) for name, each in allocations.items() if plan.write}
    storable = {
        name: {layer: recipe.formats for layer, recipe in allocations[name].items()}
        for name, writer in made.items()
        if writer is not None
    }
    needed = sum(_bytes(plan.checkpoint, allocations[name], layers) for name in storable)
    free = shutil.disk_usage(out).free
    if needed > free * _SHARE_OF_DISK:
        progress.note(
            f"no checkpoint is written: those of {len(storable)} candidates need {format_bytes(needed)}, and "
            f"{out} has {format_bytes(free)}; run again with the recommended one only"
        )
        return {}
    prefix, blocks = architecture.block_prefix, architecture.blocks
    return {
        name: writer(plan.checkpoint, out / CHECKPOINTS / file_stem(name), formats, prefix, blocks)
        for name, formats in storable.items()
        if (writer := made[name]) is not None
    }


def _writer_for(checkpoint: Checkpoint, allocation: Allocation) -> type[Writer] | None:
    """GGUF for ggml's formats, else compressed-tensors; None where neither stores it.

    A GGUF file has no tokenizer's files that a folder would need: what is read from one is written as one.
    """
    formats = [recipe.formats for recipe in set(allocation.values())]
    if can_be_gguf(checkpoint) and all(gguf_type(each) for each in formats):
        return GgufWriter
    return CheckpointWriter if not checkpoint.is_gguf and all(map(can_be_stored, formats)) else None


def candidate_bytes(plan: CheckpointStudyPlan, layers: Mapping[str, CheckpointLayer]) -> int:
    """What the checkpoints of all candidates take while they are written side by side."""
    allocations = {recipe.name: dict.fromkeys(layers, recipe) for recipe in plan.recipes} | dict(plan.mixed)
    return sum(_bytes(plan.checkpoint, each, layers) for each in allocations.values())


def _kept(writers: Mapping[str, Writer], chosen: str | None, out: Path) -> dict[str, str]:
    """The chosen candidate's checkpoint, finished; the others' parts are deleted."""
    found = {}
    for name, writer in writers.items():
        if name == chosen:
            writer.finish()
            found[name] = writer.folder.relative_to(out).as_posix()
        else:
            shutil.rmtree(writer.folder, ignore_errors=True)
    return found


def _bytes(checkpoint: Checkpoint, allocation: Allocation, layers: Mapping[str, CheckpointLayer]) -> int:
    """Of the whole model."""
    before = sum(layers[name].bytes for name in allocation)
    return checkpoint.bytes - before + allocation_bytes(allocation, layers)


def evidence_of(measured: StreamEvidence) -> dict[str, TextEvidence]:
    """Each candidate's comparison with the float model as evidence."""
    return {
        name: TextEvidence(
            measured.tokens,
            comparison.divergence,
            comparison.nll,
            comparison.agreement,
            measured.reference_nll,
        )
        for name, comparison in measured.comparisons.items()
    }


def _entrants(
    plan: CheckpointStudyPlan,
    allocations: Mapping[str, Allocation],
    layers: Mapping[str, CheckpointLayer],
) -> tuple[CandidateToMeasure, ...]:
    weights = sum(layer.size for layer in layers.values())
    ours = (_entrant(plan.checkpoint, name, each, layers, weights) for name, each in allocations.items())
    return (*ours, *(_foreign(name, other, weights) for name, other in plan.others.items()))


def _entrant(
    checkpoint: Checkpoint,
    name: str,
    allocation: Allocation,
    layers: Mapping[str, CheckpointLayer],
    weights: int,
) -> CandidateToMeasure:
    recipes = set(allocation.values())
    stored = allocation_bytes(allocation, layers)
    by_format: dict[str, int] = {}
    for recipe in allocation.values():
        by_format[recipe.name] = by_format.get(recipe.name, 0) + 1
    return CandidateToMeasure(
        name,
        max(recipe.simplicity for recipe in recipes) + _MIXED * (len(recipes) > 1),
        next(iter(recipes)).to_dict() if len(recipes) == 1 else {"layers": by_format},
        _bytes(checkpoint, allocation, layers),
        8 * stored / weights,
        tuple(
            layer
            for layer, recipe in allocation.items()
            if recipe.formats.weights is not None and not formats_fit(recipe.formats, layers[layer].shape)
        ),
    )


def _foreign(name: str, checkpoint: Checkpoint, weights: int) -> CandidateToMeasure:
    stored = sum(layer.bytes for layer in quantizable(checkpoint).values())
    return CandidateToMeasure(
        name, 0, {"checkpoint": str(checkpoint.folder)}, checkpoint.bytes, 8 * stored / weights
    )


def _trial(
    data: TextData,
    entrant: CandidateToMeasure,
    evidence: TextEvidence,
    measured: StreamEvidence,
    lost: Loss,
    out: Path,
) -> CheckpointTrial:
    return CheckpointTrial(
        name=entrant.name,
        recipe=entrant.recipe,
        loss=lost,
        figures=evidence.figures,
        bytes=entrant.bytes,
        bits=entrant.bits,
        growth=measured.growth[entrant.name].by_block,
        slices=_by_slice(data, evidence),
        worst=tuple(data.test[place].id for place in evidence.worst(_WORST)),
        kept_float=entrant.kept_float,
        evidence=save_evidence(evidence, out, file_stem(entrant.name)),
    )


def _by_slice(data: TextData, evidence: TextEvidence) -> dict[str, float]:
    return {
        name: evidence.of(np.array([place for place, labels in enumerate(data.labels) if name in labels])).kl
        for name in data.summary.slices
    }


def _summary(
    checkpoint: Checkpoint, architecture: Architecture, layers: Mapping[str, CheckpointLayer]
) -> CheckpointSummary:
    return CheckpointSummary(
        path=str(checkpoint.folder),
        model_type=checkpoint.model_type,
        config_sha256=checkpoint.config_sha256,
        blocks=architecture.blocks,
        layers=len(layers),
        weights=sum(tensor.size for tensor in checkpoint.tensors.values()),
        quantized_weights=sum(layer.size for layer in layers.values()),
        bytes=checkpoint.bytes,
    )


def _reference(measured: StreamEvidence) -> tuple[Figure, ...]:
    nll = float(measured.reference_nll.sum() / measured.tokens.sum())
    return likelihood_figures(nll)


def _environment() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "os": platform.platform(),
        "cpu": processor_name(),
        "cores": str(os.cpu_count()),
    }


def _peak_memory() -> int:
    """The most memory that this process had at once, bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if platform.system() == "Darwin" else most * 1024
