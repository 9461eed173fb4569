"""What the study of a checkpoint will do and take, told before any of it is done."""

from __future__ import annotations

from calibrant.core.machine import resident_bytes
from calibrant.studies.checkpoints.inspection import inspect_checkpoint_folder
from calibrant.studies.checkpoints.resources import estimate_memory
from calibrant.studies.checkpoints.run import CheckpointStudyPlan, candidate_bytes, quantizable
from calibrant.studies.estimate import Estimate

_EVIDENCE = 64  # bytes of a document and a candidate: five figures
_STUDY_FILE = 2**20
_ALLOCATIONS = 8  # of an optimization that are measured end to end, with the uniform ones


def checkpoint_estimate(plan: CheckpointStudyPlan, out: str, *, is_optimization: bool = False) -> Estimate:
    """Of a study, or of an optimization, which reads the weights once more to weigh groups of layers.

    disk: at most, while it runs; parts of candidates that are not recommended go when it ends.
    """
    layers = quantizable(plan.checkpoint)
    summary = plan.data.summary
    test_tokens = sum(len(tokens.numbers) for tokens in plan.data.test)
    count = len(plan.recipes) + len(plan.others) + (_ALLOCATIONS if is_optimization else 0)
    needed = estimate_memory(plan.checkpoint, layers.values(), summary.calibration_tokens, test_tokens, count)
    known = inspect_checkpoint_folder(plan.checkpoint.folder).estimate
    tokens = summary.calibration_tokens + (count + 1) * test_tokens
    readings = 2 if is_optimization else 1
    seconds = readings * known.seconds * tokens / (known.tokens * (known.candidates + 2))
    written = candidate_bytes(plan, layers) if plan.write else 0
    names = ", ".join(recipe.name for recipe in plan.recipes)
    steps = (
        f"read {len(layers)} layers block by block, {'twice' if readings == 2 else 'once'}: {names}",
        f"measure KL on {len(plan.data.test)} documents, {test_tokens} tokens, of {count} candidates at once",
        *(["write the recommended one as compressed-tensors"] if plan.write else []),
    )
    disk = written + 2 * needed.streams + count * len(plan.data.test) * _EVIDENCE + (count + 1) * _STUDY_FILE
    return Estimate(out, steps, seconds, resident_bytes() + needed.in_memory, disk)
