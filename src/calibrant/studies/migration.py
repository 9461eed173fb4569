"""A calibration made by TensorRT <= 10, carried over into an explicit Q/DQ model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.artifacts.store import require_writable
from calibrant.core.errors import DataError, SettingsError
from calibrant.core.printable import printable
from calibrant.core.schemes import scheme_named
from calibrant.core.types import Encoding, PerTensor, QuantSpec, Scheme
from calibrant.models.onnx.model import Model, load_model, raised, save_model
from calibrant.models.onnx.movement import value_sources
from calibrant.models.onnx.points import QuantPoints, activation_tensors, quant_points
from calibrant.models.onnx.qdq import qdq_to_deploy
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.same_function import require_same_on_synthetic_inputs
from calibrant.studies.caches import assumed
from calibrant.studies.checks import AUTO, CheckResult, check_named
from calibrant.targets.tensorrt.cache import origin_of
from calibrant.targets.tensorrt.cache_files import read_cache

# For a tensor in which calibration saw nothing but zeros: they are stored exactly with any scale.
SCALE_FOR_ZERO = 1.0
# Where 0 lies among the integers, so that a cache's symmetric scale keeps its meaning.
_ZERO_POINTS = {"int8": 0, "uint8": 128}


@dataclass(frozen=True)
class Migration:
    """What became of a cache.

    activations and weights: how many were quantized. inherited: tensors that the cache lacks, and those
    whose values they hold, with the largest of their scales. zero_scales: tensors whose scale of 0 became
    1. missing: tensors without a scale, and left_float the layers that therefore stay in float.
    unknown: tensors of the cache that the model does not compute. unread: those that it computes, but that
    no quantized layer reads.
    """

    model: str
    cache: str
    origin: str
    out: str
    scheme: str
    activations: int
    weights: int
    inherited: Mapping[str, tuple[str, ...]]
    zero_scales: tuple[str, ...]
    missing: tuple[str, ...]
    left_float: tuple[str, ...]
    unknown: tuple[str, ...]
    unread: tuple[str, ...]
    check: CheckResult

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {"format": "calibrant.migration", "version": 1, **asdict(self)}

    def lines(self) -> list[str]:
        """The same for people."""
        return [
            f"{self.out}: {self.activations} activations and {self.weights} weights in int8, "
            f"from {Path(self.cache).name} ({self.origin})",
            *_told("layers left in float, because their input has no scale in the cache", self.left_float),
            *_told("scales of 0 replaced by 1", self.zero_scales),
            *_told("scales taken from the tensors whose values these hold", self.inherited),
            *_told("tensors of the cache that are not in the model", self.unknown),
            *_told("tensors of the cache that no quantized layer reads", self.unread),
            f"check: {self.check.words}",
            *(f"  {finding}" for finding in self.check.findings),
        ]


def migrate(
    model: str | Path,
    cache: str | Path,
    out: str | Path,
    *,
    scheme: str = "tensorrt",
    exclude: Sequence[str] = (),
    allow_missing: bool = False,
    check: str = AUTO,
    assume_version: str | None = None,
) -> Migration:
    """Write ``out``: the float ``model`` with explicit Q/DQ nodes that hold the cache's scales, bit for bit.

    A tensor that the cache lacks takes the scale of the tensors whose values it holds (a pooling output its
    input's, a Concat output the largest of its parts'). allow_missing: leave layers whose input has no scale
    even so in float, as TensorRT does. check: none, rules, tensorrt-rtx or auto; a failed one is told in the
    result, and the file stays; auto checks nothing for a scheme with unsigned integers, which TensorRT lacks.
    exclude: node names or patterns. assume_version: TensorRT's, where the cache's header names none.
    Raises DataError, ModelError, SettingsError or OutputError.
    """
    model, cache, out = Path(model), Path(cache), Path(out)
    rules = _require_eight_bits(scheme_named(scheme))
    checked = check_named("none" if check == AUTO and rules.activations.dtype != "int8" else check)
    calibration = assumed(read_cache(cache), assume_version)
    loaded = raised(load_model(model), rules.min_opset)
    require_same_on_synthetic_inputs(loaded, runtime_named(REFERENCE))
    _require_other_file(out, model, cache)
    found = _placed(loaded, rules, calibration.scales, tuple(exclude), cache.name, allow_missing)
    require_writable(out.parent)
    save_model(qdq_to_deploy(loaded, found.plan, found.encodings, rules), out)
    computed = set(activation_tensors(loaded))
    return Migration(
        model=str(model),
        cache=str(cache),
        origin=str(origin_of(calibration.header)),
        out=str(out),
        scheme=rules.name,
        activations=len(found.plan.activations),
        weights=len(found.plan.weights),
        inherited=found.inherited,
        zero_scales=found.zero_scales,
        missing=found.missing,
        left_float=found.left_float,
        unknown=tuple(tensor for tensor in calibration.scales if tensor not in computed),
        unread=tuple(
            tensor for tensor in calibration.scales if tensor in computed and tensor not in found.encodings
        ),
        check=checked(out),
    )


@dataclass(frozen=True)
class _Placement:
    """Where a cache's scales go in one model; the names are Migration's."""

    plan: QuantPoints
    encodings: Mapping[str, Encoding]
    inherited: Mapping[str, tuple[str, ...]]
    zero_scales: tuple[str, ...]
    missing: tuple[str, ...]
    left_float: tuple[str, ...]


def _placed(
    model: Model,
    scheme: Scheme,
    scales: Mapping[str, float],
    exclude: tuple[str, ...],
    cache_name: str,
    allow_missing: bool,
) -> _Placement:
    plan = quant_points(model, scheme, exclude)
    sources = value_sources(model)
    known = _with_inherited(scales, sources)
    missing = tuple(point.tensor for point in plan.activations if point.tensor not in known)
    left_float = tuple(
        node for point in plan.activations if point.tensor in missing for node, _ in point.consumers
    )
    if missing and not (allow_missing and len(missing) < len(plan.activations)):
        raise _no_scale_for(missing, plan, model, cache_name)
    if missing:
        plan = quant_points(model, scheme, (*exclude, *left_float))
    _require_something(plan, model, scheme)
    tensors = [point.tensor for point in plan.activations]
    return _Placement(
        plan,
        {tensor: _encoding_of(known[tensor], scheme.activations) for tensor in tensors},
        {tensor: sources[tensor] for tensor in tensors if tensor not in scales},
        tuple(tensor for tensor in tensors if known[tensor] <= 0),
        missing,
        left_float,
    )


def _with_inherited(scales: Mapping[str, float], sources: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """The scales, and those of tensors that hold nothing but values of tensors with a scale."""
    known = dict(scales)
    for tensor, origins in sources.items():  # in topological order, so that one pass reaches all
        if tensor not in known and all(origin in known for origin in origins):
            known[tensor] = max(known[origin] for origin in origins)
    return known


def _encoding_of(scale: float, spec: QuantSpec) -> Encoding:
    """A cache's scale itself; by way of a Range it would be rounded once more.

    Unsigned integers hold the same steps, moved up by 128: OpenVINO multiplies those exactly.
    """
    bits = np.asarray(scale if scale > 0 else SCALE_FOR_ZERO, np.float32)
    return Encoding(bits, np.asarray(_ZERO_POINTS[spec.dtype], np.int64), spec)


def _require_eight_bits(scheme: Scheme) -> Scheme:
    spec = scheme.activations
    if spec.dtype not in _ZERO_POINTS or spec.granularity != PerTensor() or spec.narrow:
        raise SettingsError(
            f"scheme {scheme.name} stores activations otherwise than a TensorRT cache scales them "
            "(8 bits, one scale a tensor); leave --scheme out"
        )
    return scheme


def _require_other_file(out: Path, *given: Path) -> None:
    for path in given:
        if out.resolve() == path.resolve():
            raise SettingsError(f"-o {out} would overwrite {path.name}; give another name")


def _require_something(plan: QuantPoints, model: Model, scheme: Scheme) -> None:
    if not plan.activations:
        raise SettingsError(
            f"nothing in {model.path.name} is quantized by scheme {scheme.name}: "
            f"no {', '.join(scheme.weight_axis)} with a constant weight is left"
        )


def _no_scale_for(missing: Sequence[str], plan: QuantPoints, model: Model, cache_name: str) -> DataError:
    if len(missing) == len(plan.activations):
        return DataError(
            f"no quantized tensor of {model.path.name} has a scale in {cache_name}, e.g. {missing[0]!r}; "
            "give the ONNX file that was calibrated"
        )
    return DataError(
        f"{len(missing)} of {len(plan.activations)} quantized tensors of {model.path.name} have no scale in "
        f"{cache_name}, e.g. {missing[0]!r}; give the ONNX file that was calibrated, "
        "or leave the layers that read them in float: --allow-missing"
    )


def _told(what: str, tensors: Iterable[str]) -> Iterable[str]:
    """One line with the count and three examples, or none."""
    names = [printable(tensor) for tensor in tensors]
    if names:
        yield f"{what}: {len(names)}, e.g. {', '.join(names[:3])}"
