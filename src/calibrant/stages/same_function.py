"""Raising the opset must not change what a model computes: float is compared with float, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.scratch import ScratchFolder
from calibrant.core.types import Feeds, Runtime, Session
from calibrant.models.onnx.model import Graph, Model, opset_of, signature_of
from calibrant.models.onnx.points import activation_tensors, plugins_of
from calibrant.models.onnx.probe import with_outputs
from calibrant.models.onnx.shared_weights import save_beside_weights
from calibrant.stages.sessions import WatchedSession

# Of a tensor's largest magnitude, or of a value itself. Other kernels for the same operator differ in the
# last bits, and a network makes 1e-5 of that; a conversion that means something else differs by a tenth.
_ABSOLUTE, _RELATIVE = 1e-4, 1e-3
# Of integers, which a rounding may move by one.
_OTHER_INTEGERS = 1e-3
_OPEN_DIMENSION = 64


def require_same_function(model: Model, runtime: Runtime, drive: Callable[[Session], object]) -> None:
    """Compare a model whose opset was raised with what it was, on the inputs that ``drive`` feeds.

    drive: runs the session that it is given, e.g. ``lambda session: task.drive(session, sample)``. A model
    in its own opset is not run. Raises ModelError with the tensor where the difference begins.
    """
    if model.given is None:
        return
    with ScratchFolder() as folder:
        file = folder / model.path.name
        runs = _runs(model.given, file, runtime, drive)
        names = [output.name or "" for output in model.ir.graph.outputs]
        if _first_difference(names, runs, _replayed(model.ir, file, runtime, runs)) is None:
            return
        known = {*activation_tensors(model.as_given)}
        tensors = [name for name in activation_tensors(model) if name in known]
        runs = _runs(with_outputs(model.as_given, tensors), file, runtime, drive)
        again = _replayed(with_outputs(model, tensors), file, runtime, runs)
        tensor, difference = _first_difference([*tensors, *names], runs, again) or (names[0], "")
    raise ModelError(
        f"raising {model.path.name} from opset {opset_of(model.as_given)} to {opset_of(model)}, which Q/DQ "
        f"needs, changes what it computes: from tensor {tensor!r} on, {difference}; "
        f"export it again with opset {opset_of(model)}"
    )


def require_same_on_synthetic_inputs(model: Model, runtime: Runtime) -> None:
    """As :func:`require_same_function`, where there is no sample: standard normal values, ones for integers.

    An open batch dimension is 1, another one 64. A model with TensorRT's plugins runs nowhere else, and is
    taken as it is. Raises ModelError, and RuntimeFailedError where the model does not run on such inputs.
    """
    if not plugins_of(model):
        require_same_function(model, runtime, lambda session: session.run(_synthetic_inputs(model)))


def _synthetic_inputs(model: Model) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(0)
    feeds: dict[str, NDArray[Any]] = {}
    for info in signature_of(model).inputs:
        shape = [size or (_OPEN_DIMENSION if axis else 1) for axis, size in enumerate(info.shape)]
        is_float = info.dtype.startswith("float")
        feeds[info.name] = (random.normal(size=shape) if is_float else np.ones(shape)).astype(info.dtype)
    return feeds


_Run = tuple[Feeds, Feeds]


def _runs(model: Graph, file: Path, runtime: Runtime, drive: Callable[[Session], object]) -> list[_Run]:
    feeds: list[Feeds] = []
    outputs: list[Feeds] = []
    save_beside_weights(model, file)
    with runtime.open(file) as session:
        drive(WatchedSession(session, _kept_in(feeds), _kept_in(outputs)))
    return [*zip(feeds, outputs, strict=True)]


def _kept_in(found: list[Feeds]) -> Callable[[Feeds], None]:
    """A session may use its arrays again."""
    return lambda arrays: found.append({name: np.array(array) for name, array in arrays.items()})


def _replayed(model: Graph, file: Path, runtime: Runtime, runs: list[_Run]) -> list[_Run]:
    save_beside_weights(model, file)
    with runtime.open(file) as session:
        return [(feeds, dict(session.run(feeds))) for feeds, _ in runs]


def _first_difference(names: list[str], one: list[_Run], other: list[_Run]) -> tuple[str, str] | None:
    """The first tensor that differs, and by how much, in words."""
    for (_, before), (_, after) in zip(one, other, strict=True):
        for name in names:
            difference = _difference(before, after, name)
            if difference:
                return name, difference
    return None


def _difference(before: Mapping[str, NDArray[Any]], after: Mapping[str, NDArray[Any]], name: str) -> str:
    if name not in before or name not in after:
        return ""
    one, two = before[name], after[name]
    if one.shape != two.shape:
        return f"which has shape {two.shape} instead of {one.shape}"
    if one.dtype.kind != "f":
        share = float(np.mean(one != two)) if one.size else 0.0
        return f"of which {share:.1%} is something else" if share > _OTHER_INTEGERS else ""
    finite = np.isfinite(one) & np.isfinite(two)
    largest = float(np.abs(one[finite]).max(initial=0))
    gap = np.abs(one[finite].astype(np.float64) - two[finite])
    is_near = gap <= _ABSOLUTE * largest + _RELATIVE * np.abs(one[finite])
    if is_near.all() and np.array_equal(one[~finite], two[~finite], equal_nan=True):
        return ""
    return f"which differs by up to {float(gap.max(initial=0)):.3g} where its largest value is {largest:.3g}"
