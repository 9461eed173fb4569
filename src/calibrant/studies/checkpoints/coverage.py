"""Does calibration reach what the test set uses: experts, slices, ranges; and which part of it is enough."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.artifacts.store import json_bytes, write_bytes
from calibrant.core.progress import Progress
from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.covering import Reached, reach
from calibrant.models.checkpoint.folder import Checkpoint
from calibrant.models.checkpoint.weights import Weights
from calibrant.studies.checkpoints.data import TextData
from calibrant.studies.checkpoints.routing import Routing, routing_of
from calibrant.tasks.generation.documents import Document

RESULT, COVERING = "coverage.json", "calib-covering.jsonl"
KIND, VERSION = "checkpoint-coverage", 1
TOKENS = 64
"""Of calibration that an expert should see at least; less where the whole set has less."""

_SHOWN = 8


@dataclass(frozen=True)
class SliceShare:
    """A part of the test set: its share of the test documents, and of the calibration set's, 0..1.

    hardly: share of its choices of experts that fell on those that calibration hardly reached.
    """

    name: str
    test: float
    calibration: float
    hardly: float


@dataclass(frozen=True)
class ExceededRange:
    """Inputs beyond what calibration saw: in which share of the test documents, and how many times."""

    product: str
    documents: float
    times: float


@dataclass(frozen=True)
class CheckpointCoverage:
    """What calibration reaches. covering: ids of the fewest calibration documents, in the order in which they
    were chosen, that reach every expert of the test set's traffic as well as ``TOKENS`` asks.
    """

    out: str
    calibration_documents: int
    test_documents: int
    routing: tuple[Routing, ...]
    slices: tuple[SliceShare, ...]
    exceeded: tuple[ExceededRange, ...]
    covering: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def hardly_share(self) -> float:
        """Of the test tokens' choices of experts: those that calibration hardly or never reached."""
        return float(np.mean([each.test_share for each in self.routing])) if self.routing else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As coverage.json holds it; JSON types only."""
        return {"kind": KIND, "version": VERSION, **asdict(self), "hardly_share": self.hardly_share}

    def lines(self) -> Iterator[str]:
        """What is printed."""
        yield f"{self.calibration_documents} calibration documents, {self.test_documents} test documents"
        yield from self.warnings
        if self.routing:
            yield ""
            unreached = sum(len(each.unreached) for each in self.routing)
            hardly = sum(len(each.hardly) for each in self.routing)
            total = sum(each.experts for each in self.routing)
            yield (
                f"of {total} experts {unreached} saw no calibration token and {hardly} less than a tenth of "
                f"an even share; {100 * self.hardly_share:.1f} % of the test tokens' choices fell on these"
            )
            worst = sorted(self.routing, key=lambda each: -each.test_share)
            for each in [each for each in worst if each.unreached or each.hardly][:_SHOWN]:
                numbers = ", ".join(map(str, (*each.unreached, *each.hardly)))
                yield f"  {100 * each.test_share:5.1f} %  {each.mixture}: {numbers}"
        if self.slices:
            yield from ("", "slice                   test   calibration   on experts hardly reached")
            for part in self.slices:
                hardly_shown = f"{100 * part.hardly:.1f} %" if self.routing else ""
                shares = f"{100 * part.test:6.1f} %  {100 * part.calibration:9.1f} %"
                yield f"  {part.name:<18} {shares}   {hardly_shown:>10}"
        if self.exceeded:
            yield from ("", "inputs beyond what calibration saw (clipped where ranges are fixed)")
            for found in self.exceeded[:_SHOWN]:
                yield (
                    f"  {100 * found.documents:5.1f} % of the test documents, up to {found.times:.2f} times: "
                    f"{found.product}"
                )
        if self.covering:
            yield from (
                "",
                f"{len(self.covering)} of the {self.calibration_documents} calibration documents reach the "
                f"experts as well: {self.out}/{COVERING}",
            )


def cover_checkpoint(
    checkpoint: Checkpoint, data: TextData, device: str, out: Path, progress: Progress
) -> CheckpointCoverage:
    """Measure what calibration reaches, in one reading of the weights.

    Writes coverage.json, and the covering part of the calibration set where there are experts.
    """
    architecture = Architecture(checkpoint, Weights(checkpoint), device)
    sets = [[tokens.numbers for tokens in each] for each in (data.calibration, data.test)]
    calibration, test = reach(architecture, sets, progress)
    traffic = _totals(test)
    routing = routing_of(_totals(calibration), traffic)
    chosen = covering(calibration.experts, traffic) if routing else ()
    ids = tuple(data.calibration[place].id for place in chosen)
    result = CheckpointCoverage(
        str(out),
        len(data.calibration),
        len(data.test),
        routing,
        _slices(data, test, routing),
        _exceeded(calibration.ranges, test.ranges),
        ids,
        data.warnings,
    )
    if ids and all(name in data.calibration_documents for name in ids):
        rows = (_row(data.calibration_documents[name]) for name in ids)
        write_bytes(out / COVERING, "".join(rows).encode())
    write_bytes(out / RESULT, json_bytes(result.to_dict()))
    return result


def covering(
    calibration: Mapping[str, NDArray[np.int64]],
    traffic: Mapping[str, NDArray[np.int64]],
    tokens: int = TOKENS,
) -> tuple[int, ...]:
    """Places of few documents that give every expert ``tokens`` tokens, or all that the set has for it.

    calibration: documents x experts by mixture; traffic: the test set's tokens by expert: one without any
    needs nothing, one with more counts more. Greedy: the document that fills most of what is missing, next.
    """
    counts = np.concatenate([calibration[name] for name in traffic], axis=1).astype(np.float64)
    share = np.concatenate([each / max(1, each.sum()) for each in traffic.values()])
    missing = np.where(share > 0, np.minimum(tokens, counts.sum(axis=0)), 0.0)
    worth = np.sqrt(share)
    chosen: list[int] = []
    free = np.ones(len(counts), bool)
    while missing.any() and free.any():
        gains = (np.minimum(counts, missing) * worth).sum(axis=1)
        best = int(np.argmax(np.where(free, gains, -1)))
        if gains[best] <= 0:
            break
        chosen.append(best)
        free[best] = False
        missing = np.maximum(missing - counts[best], 0)
    return tuple(chosen)


def _totals(reached: Reached) -> dict[str, NDArray[np.int64]]:
    return {name: counts.sum(axis=0) for name, counts in reached.experts.items()}


def _slices(data: TextData, test: Reached, routing: Sequence[Routing]) -> tuple[SliceShare, ...]:
    neglected = {each.mixture: [*each.unreached, *each.hardly] for each in routing}
    found = []
    for name in sorted(data.summary.slices):
        inside = np.array([name in labels for labels in data.labels])
        before = np.array([name in labels for labels in data.calibration_labels])
        shares = [
            counts[inside][:, neglected[mixture]].sum() / max(1, counts[inside].sum())
            for mixture, counts in test.experts.items()
        ]
        hardly = float(np.mean(shares)) if shares else 0.0
        found.append(SliceShare(name, float(inside.mean()), float(before.mean()), hardly))
    return tuple(found)


def _exceeded(
    calibration: Mapping[str, NDArray[np.float32]], test: Mapping[str, NDArray[np.float32]]
) -> tuple[ExceededRange, ...]:
    found = []
    for product, ranges in test.items():
        seen = float(calibration[product].max(initial=0)) if product in calibration else 0.0
        beyond = ranges > seen
        if beyond.any() and seen > 0:
            found.append(ExceededRange(product, float(beyond.mean()), float(ranges.max()) / seen))
    return tuple(sorted(found, key=lambda each: (-each.times, -each.documents)))


def _row(document: Document) -> str:
    told = {
        "id": document.id,
        "text": document.text,
        "prompt": document.prompt,
        "messages": None if document.messages is None else [dict(each) for each in document.messages],
        "answer": document.answer,
        "slice": document.slice,
    }
    known = {key: value for key, value in told.items() if value is not None}
    return json.dumps(known, ensure_ascii=False) + "\n"
