"""A checkpoint described from its headers alone, in a second, whatever its size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.core.format_names import format_named
from calibrant.core.sizes import format_bytes
from calibrant.models.checkpoint.folder import Checkpoint, open_checkpoint
from calibrant.models.checkpoint.known import refusal_of
from calibrant.models.checkpoint.layers import EXPERT, QUANTIZABLE, CheckpointLayer, layers_of
from calibrant.models.checkpoint.tensors import BLOCK_TYPES
from calibrant.studies.checkpoints.recipes import default_formats, fits, stored_bytes

FORMATS = ("w8a16", "w8a8", "fp8", "w4a16-g128", "w4a16-g64", "w4a16-g32", "w3a16-g32", "nvfp4", "mxfp4")
_TOKENS, _CANDIDATES = 65536, 6
_FLOAT = 4
_SIDE = 768  # of the matrices whose product tells how fast this machine is


@dataclass(frozen=True)
class LayerKind:
    """Layers of one name and shape in all blocks; ``role`` says whether they are quantized."""

    kind: str
    role: str
    count: int
    shape: tuple[int, int]
    is_quantized: bool


@dataclass(frozen=True)
class FormatSize:
    """What the model takes in a format. kept_float: layers that it does not fit."""

    name: str
    bytes: int
    bits: float
    kept_float: int


@dataclass(frozen=True)
class StudyEstimate:
    """What a study of so many candidates on so many test tokens, and as many of calibration, will take."""

    candidates: int
    tokens: int
    memory: int
    seconds: float


@dataclass(frozen=True)
class CheckpointInspection:
    """What ``calibrant inspect`` shows of a checkpoint. stored_as: of a model that is quantized already."""

    path: str
    model_type: str
    blocks: int
    experts: int
    weights: int
    quantized_weights: int
    bytes: int
    stored_as: str | None
    kinds: tuple[LayerKind, ...]
    formats: tuple[FormatSize, ...]
    estimate: StudyEstimate

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """What is printed."""
        experts = f", {self.experts} experts a mixture" if self.experts else ""
        share = 100 * self.quantized_weights / self.weights
        yield f"{self.path}: {self.model_type}, {self.blocks} blocks{experts}"
        yield (
            f"{self.weights / 1e6:,.1f} M weights in {format_bytes(self.bytes)}, {share:.1f} % of them in "
            "layers that are quantized"
        )
        if self.stored_as:
            yield f"quantized already: {self.stored_as}; candidates are measured against it"
        yield from ("", "layers")
        for kind in self.kinds:
            what = kind.role if kind.is_quantized else f"{kind.role}, stays as it is"
            yield f"  {kind.count:>6} x {kind.shape[0]:>7} x {kind.shape[1]:<7} {kind.kind} ({what})"
        yield from ("", "formats")
        for each in self.formats:
            left = f"  ({each.kept_float} layers do not fit and stay)" if each.kept_float else ""
            yield f"  {each.name:<12} {format_bytes(each.bytes):>9}  {each.bits:5.2f} bits a weight{left}"
        told = self.estimate
        yield ""
        if refusal := refusal_of(self.model_type):
            yield f"it cannot be studied: it {refusal}"
            return
        yield (
            f"a study of {told.candidates} candidates on {told.tokens} tokens: about "
            f"{format_bytes(told.memory)} of memory and {_minutes(told.seconds)} on this processor"
        )


def inspect_checkpoint_folder(folder: Path) -> CheckpointInspection:
    """Describe a checkpoint without reading a weight. Raises ModelError."""
    checkpoint = open_checkpoint(folder)
    layers = layers_of(checkpoint)
    quantized = [layer for layer in layers if layer.role in QUANTIZABLE]
    blocks = {(layer.stack, layer.block) for layer in quantized}
    numbers = [layer.expert for layer in quantized if layer.expert is not None]
    return CheckpointInspection(
        path=str(folder),
        model_type=checkpoint.model_type,
        blocks=len(blocks),
        experts=max(numbers) + 1 if numbers else 0,
        weights=_all_weights(checkpoint, layers),
        quantized_weights=sum(layer.size for layer in quantized),
        bytes=checkpoint.bytes,
        stored_as=_stored_as(checkpoint),
        kinds=_kinds(layers),
        formats=tuple(_sizes(checkpoint, quantized)),
        estimate=_estimate(checkpoint, layers, quantized),
    )


def _all_weights(checkpoint: Checkpoint, layers: Sequence[CheckpointLayer]) -> int:
    """Packed ones count as what they stand for; scales do not count."""
    names = {layer.name for layer in layers}
    others = (t.size for name, t in checkpoint.tensors.items() if name.rpartition(".")[0] not in names)
    return sum(layer.size for layer in layers) + sum(others)


def _kinds(layers: Sequence[CheckpointLayer]) -> tuple[LayerKind, ...]:
    def key(layer: CheckpointLayer) -> tuple[str, str, tuple[int, int]]:
        return layer.role, layer.kind, layer.shape

    return tuple(
        LayerKind(kind, role, len(list(members)), shape, role in QUANTIZABLE)
        for (role, kind, shape), members in groupby(sorted(layers, key=key), key)
    )


def _sizes(checkpoint: Checkpoint, quantized: Sequence[CheckpointLayer]) -> Iterator[FormatSize]:
    weights = sum(layer.size for layer in quantized)
    rest = checkpoint.bytes - sum(layer.bytes for layer in quantized)
    for name in dict.fromkeys((*FORMATS, *default_formats(quantized))):
        chosen = format_named(name).weights
        stored = sum(stored_bytes(chosen, layer) for layer in quantized)
        left = sum(chosen is not None and not fits(chosen, layer.shape) for layer in quantized)
        yield FormatSize(name, rest + stored, 8 * stored / max(1, weights), left)


def _stored_as(checkpoint: Checkpoint) -> str | None:
    if checkpoint.is_gguf:
        kinds = {tensor.dtype for tensor in checkpoint.tensors.values() if tensor.dtype in BLOCK_TYPES}
        return f"GGUF, {' and '.join(sorted(kinds)) or 'in float'}"
    told = checkpoint.quantization
    if told is None:
        return None
    groups = told.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, dict) else None
    weights = first.get("weights") if isinstance(first, dict) else None
    words = [str(told.get("quant_method", "unknown")), str(told.get("format") or told.get("fmt") or "")]
    if isinstance(weights, dict):
        words.append(f"{weights.get('type')}{weights.get('num_bits')}")
        words.append(f"groups of {weights['group_size']}" if weights.get("group_size") else "")
    return ", ".join(filter(None, words))


def _estimate(
    checkpoint: Checkpoint, layers: Sequence[CheckpointLayer], quantized: Sequence[CheckpointLayer]
) -> StudyEstimate:
    """The largest block in float, once more for a candidate, second moments, and a stream for each model."""
    by_block: dict[tuple[str | None, int | None], int] = {}
    moments: dict[tuple[str | None, int | None], int] = {}
    for layer in quantized:
        place = layer.stack, layer.block
        by_block[place] = by_block.get(place, 0) + layer.size
        moments[place] = moments.get(place, 0) + layer.shape[1] ** 2
    width = int(checkpoint.config.get("hidden_size") or 0)
    streams = (_CANDIDATES + 2) * _TOKENS * width
    largest = max(by_block.values(), default=0)
    memory = _FLOAT * (2 * largest + max(moments.values(), default=0) + streams)
    used = sum(_share(checkpoint, layer) * layer.size for layer in layers if layer.block is not None)
    work = 2 * used * _TOKENS * (_CANDIDATES + 2)
    return StudyEstimate(_CANDIDATES, _TOKENS, memory, work / _products_a_second())


def _share(checkpoint: Checkpoint, layer: CheckpointLayer) -> float:
    """Of the tokens that a layer sees: an expert only those that are routed to it."""
    if layer.role != EXPERT:
        return 1.0
    config = checkpoint.config
    names = ("n_routed_experts", "num_experts", "num_local_experts")
    experts = next((int(config[name]) for name in names if config.get(name)), 1)
    return min(1.0, int(config.get("num_experts_per_tok") or 1) / experts)


def _products_a_second() -> float:
    """Floating-point operations of a matrix product, as fast as this machine is just now."""
    values = np.ones((_SIDE, _SIDE), np.float32)
    values @ values
    begun = time.perf_counter()
    values @ values
    return 2 * _SIDE**3 / max(time.perf_counter() - begun, 1e-6)


def _minutes(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
