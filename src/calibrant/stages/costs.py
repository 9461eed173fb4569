"""What a model costs for one of its samples, also where the file leaves its shapes open."""

from __future__ import annotations

import numpy as np

from calibrant.core.scratch import ScratchFolder
from calibrant.core.tasks import Task
from calibrant.core.types import Feeds, Runtime, Sample
from calibrant.models.onnx.cost import NodeCost, costs, total_macs, with_shapes_shown
from calibrant.models.onnx.model import Model, save_model
from calibrant.stages.sessions import WatchedSession, drive


def costs_of_sample(model: Model, task: Task, runtime: Runtime, sample: Sample) -> tuple[NodeCost, ...]:
    """The cost of every convolution and matrix product, in topological order.

    Where the file says all shapes, from them; else from a run on ``sample`` (the first that its task needs).
    """
    told = costs(model)
    if total_macs(told) is not None:
        return told
    shown, outputs = with_shapes_shown(model)
    seen: list[Feeds] = []
    with ScratchFolder() as folder:
        probed = folder / model.path.name  # which a runtime names when it refuses
        save_model(shown, probed)
        with runtime.open(probed) as session:
            drive(task, WatchedSession(session, watch_outputs=seen.append), sample)
    shapes = {tensor: tuple(map(int, np.asarray(seen[0][name]))) for tensor, name in outputs.items()}
    return costs(model, shapes)
