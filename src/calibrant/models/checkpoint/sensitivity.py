"""How much each group of products costs a block's output in each recipe, in one reading of the weights.

Products that read the same inputs are quantized together and apart from all others, on the float model's
inputs. The error is that of the block's output, as a share of its power.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from numpy.typing import NDArray

from calibrant.core.progress import Progress
from calibrant.models.checkpoint.architecture import Architecture
from calibrant.models.checkpoint.batches import batches_of
from calibrant.models.checkpoint.observing import InputObserver
from calibrant.models.checkpoint.statistics import Wanted
from calibrant.models.checkpoint.streaming import (
    Floats,
    Group,
    Quantizing,
    advance,
    groups_of,
    put,
    relative_error,
    restore,
)


@dataclass(frozen=True)
class GroupCost:
    """Of one group of products: the block that it is in, and the error of its output by candidate."""

    products: tuple[str, ...]
    block: int
    errors: Mapping[str, float]


def sensitivities(
    architecture: Architecture,
    calibration: Sequence[NDArray],  # type: ignore[type-arg]
    documents: Sequence[NDArray],  # type: ignore[type-arg]
    candidates: Sequence[Quantizing],
    wanted: Wanted,
    progress: Progress,
) -> tuple[GroupCost, ...]:
    """Measure every group of products in every candidate's format on a few documents.

    calibration, documents: token numbers of each document. Experts of a block are one group for each place.
    """
    found: list[GroupCost] = []
    with torch.inference_mode(), progress.stage("Sensitivities", architecture.blocks) as step:
        calibrating, testing = (
            batches_of(each, device=architecture.device) for each in (calibration, documents)
        )
        streams = architecture.embedded([batch.tokens for batch in (*calibrating, *testing)])
        seen, entering = streams[: len(calibrating)], streams[len(calibrating) :]
        for number in range(architecture.blocks):
            block, observer = architecture.block(number), InputObserver(wanted)
            advance(architecture, block, number, calibrating, seen, observer)
            observer.forget_last()
            leaving = list(entering)
            advance(architecture, block, number, testing, leaving)
            floats = Floats.of(block)
            for members in units_of(groups_of(block, observer)):
                errors = {}
                for candidate in candidates:
                    put(candidate, block, observer, floats, members)
                    tried = list(entering)
                    advance(architecture, block, number, testing, tried)
                    errors[candidate.name] = relative_error(testing, leaving, tried, candidate.name)
                restore(block, floats)
                products = tuple(name for _, names in members for name in names)
                found.append(GroupCost(products, number, errors))
            entering = leaving
            architecture.release(number)
            step()
    return tuple(found)


def units_of(
    groups: Sequence[Group],
) -> list[list[Group]]:
    """Groups as they are decided on: all experts of a block share a decision, by their place in an expert."""
    found: dict[str, list[Group]] = {}
    for leader, names in groups:
        parts = leader.split(".experts.")
        key = leader if len(parts) == 1 else f"{parts[0]}.experts.{parts[1].partition('.')[2]}"
        key = key.replace(".up_proj", ".gate_proj")
        found.setdefault(key, []).append((leader, names))
    return list(found.values())
