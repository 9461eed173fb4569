"""Candidates' logits against the float model's, in chunks of the vocabulary: the head is read once.

For a token with float logits f and a candidate's logits c, the divergence is
``sum(softmax(f) * (f - c)) - logsumexp(f) + logsumexp(c)``. All of its sums run over chunks of the vocabulary
with a running maximum, so that no row of logits is ever whole. Source of the running maximum: M. Milakov and
N. Gimelshein, Online normalizer calculation for softmax, 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.batches import Batch
from calibrant.models.checkpoint.keeping import Stream, batches_in

ROWS = 8192
"""Of the head that are in memory at once."""
_TOKENS = 2048


@dataclass(frozen=True)
class Comparison:
    """A candidate against the float model, summed over each document's scored tokens, in the data's order.

    divergence: KL of its next-token distribution from the float model's, nats. nll: of the real next tokens.
    agreement: tokens whose most probable successor is the same.
    """

    divergence: NDArray[np.float64]
    nll: NDArray[np.float64]
    agreement: NDArray[np.int64]


@dataclass(frozen=True)
class _Scored:
    """The tokens that count: ``rows`` into each batch's flattened stream, and the real successors."""

    rows: list[torch.Tensor]
    targets: torch.Tensor
    documents: NDArray[np.int64]


class _Running:
    """Running sums over the vocabulary of one model, for every scored token."""

    def __init__(self, tokens: int, device: torch.device) -> None:
        self.highest = torch.full((tokens,), -torch.inf, device=device)
        self.total = torch.zeros(tokens, dtype=torch.float64, device=device)
        self.best = torch.zeros(tokens, dtype=torch.int64, device=device)
        self.target = torch.zeros(tokens, device=device)

    def add(self, part: slice, logits: torch.Tensor, start: int, targets: torch.Tensor) -> torch.Tensor:
        """Take a chunk of logits, tokens x rows; gives what former sums are to be multiplied with."""
        highest, best = logits.max(1)
        is_higher = highest > self.highest[part]
        self.best[part] = torch.where(is_higher, best + start, self.best[part])
        raised = torch.maximum(highest, self.highest[part])
        shrunk = torch.exp((self.highest[part] - raised).double())
        self.highest[part] = raised
        self.total[part] = self.total[part] * shrunk + torch.exp(logits - raised[:, None]).sum(
            1, dtype=torch.float64
        )
        inside = (targets >= start) & (targets < start + logits.shape[1])
        picked = logits.gather(1, (targets - start).clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
        self.target[part] = torch.where(inside, picked, self.target[part])
        return shrunk

    @property
    def log_total(self) -> torch.Tensor:
        """log(sum(exp(logits)))."""
        return self.highest.double() + torch.log(self.total)

    @property
    def nll(self) -> torch.Tensor:
        """Of the real successors."""
        return self.log_total - self.target.double()


def compare_logits(
    architecture: Architecture,
    batches: Sequence[Batch],
    reference: Stream,
    candidates: dict[str, Stream],
    scored_from: Sequence[int],
    documents: int,
) -> tuple[dict[str, Comparison], NDArray[np.float64], NDArray[np.int64]]:
    """Every candidate's comparison, the float model's nll by document, and the scored tokens of each.

    candidates: emptied, a stream at a time, so that they are not there twice.
    """
    device = architecture.device
    scored = _scored(batches, scored_from, device)
    entering = _entering(architecture, scored, reference)
    streams = {name: _entering(architecture, scored, candidates.pop(name)) for name in list(candidates)}
    tokens = len(scored.targets)
    float_sums, sums = _Running(tokens, device), {name: _Running(tokens, device) for name in streams}
    weighted = {name: torch.zeros(tokens, dtype=torch.float64, device=device) for name in streams}
    for start in range(0, architecture.vocabulary, ROWS):
        head = architecture.head_rows(start, min(start + ROWS, architecture.vocabulary)).T
        for begun in range(0, tokens, _TOKENS):
            part = slice(begun, begun + _TOKENS)
            wanted, targets = entering[part] @ head, scored.targets[part]
            shrunk = float_sums.add(part, wanted, start, targets)
            share = torch.exp(wanted - float_sums.highest[part][:, None])
            for name, stream in streams.items():
                found = stream[part] @ head
                sums[name].add(part, found, start, targets)
                new = (share * (wanted - found)).sum(1, dtype=torch.float64)
                weighted[name][part] = weighted[name][part] * shrunk + new
    comparisons = {
        name: _comparison(scored, documents, float_sums, sums[name], weighted[name]) for name in streams
    }
    counts = np.bincount(scored.documents, minlength=documents).astype(np.int64)
    return comparisons, _by_document(scored, float_sums.nll, documents), counts


def _comparison(
    scored: _Scored, documents: int, reference: _Running, found: _Running, weighted: torch.Tensor
) -> Comparison:
    divergence = weighted / reference.total - reference.log_total + found.log_total
    same = (reference.best == found.best).double()
    return Comparison(
        _by_document(scored, divergence.clamp_min(0.0), documents),
        _by_document(scored, found.nll, documents),
        _by_document(scored, same, documents).astype(np.int64),
    )


def _by_document(scored: _Scored, values: torch.Tensor, documents: int) -> NDArray[np.float64]:
    return np.bincount(scored.documents, values.cpu().numpy(), minlength=documents).astype(np.float64)


def _scored(batches: Sequence[Batch], scored_from: Sequence[int], device: torch.device) -> _Scored:
    """Position t predicts token t + 1: tokens that count from s on have the positions from s - 1 on."""
    rows, targets, owners = [], [], []
    for batch in batches:
        length = batch.tokens.shape[1]
        places, flat = [], batch.tokens.reshape(-1)
        for row, (document, tokens) in enumerate(zip(batch.documents, batch.lengths, strict=True)):
            found = torch.arange(max(1, scored_from[int(document)]) - 1, int(tokens) - 1) + row * length
            places.append(found)
            owners.append(np.full(len(found), document, np.int64))
        rows.append(torch.cat(places).to(device))
        targets.append(flat[torch.cat(places) + 1])
    return _Scored(rows, torch.cat(targets).to(device), np.concatenate(owners))


def _entering(architecture: Architecture, scored: _Scored, stream: Stream) -> torch.Tensor:
    parts = [
        architecture.normed(batch.reshape(-1, batch.shape[-1])[rows])
        for batch, rows in zip(batches_in(stream), scored.rows, strict=True)
    ]
    return torch.cat(parts)
