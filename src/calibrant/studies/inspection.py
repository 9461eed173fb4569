"""A model described without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from calibrant.core.errors import ModelError
from calibrant.core.short_repr import ShortRepr
from calibrant.core.tasks import AUTO, ModelFolder, Recognition
from calibrant.core.types import Scheme, TensorInfo
from calibrant.models.onnx.cost import costs, total_macs, total_parameters
from calibrant.models.onnx.implicit import LayerPrecision
from calibrant.models.onnx.kept_float import reasons_in_words
from calibrant.models.onnx.model import Model, load_model, opset_of, signature_of, with_fixed_input
from calibrant.models.onnx.model_folders import model_folder
from calibrant.models.onnx.points import QuantPoints, precision_map, quant_points
from calibrant.studies.plan import sides_of
from calibrant.studies.sample_reading import SampleReading
from calibrant.tasks.registry import recognised, recognised_folder


@dataclass(frozen=True, repr=False)
class Inspection(ShortRepr):
    """What ``calibrant inspect`` shows.

    ``macs`` are of one run at the model's own input size (None: shapes unknown); ``quantized_macs`` is
    the part in layers that the scheme quantizes. ``task`` and ``family`` are None when no task knows it.
    ``obstacle`` says why the scheme can quantize nothing, as in a model that is quantized already.
    ``kept_float`` gives the reason for every layer that stays float. ``sample`` is what was read from one.
    ``layers`` is what TensorRT runs in INT8 and in float by itself, for the scheme that predicts it.
    """

    model: str
    sha256: str
    opset: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    task: str | None
    family: str | None
    family_reason: str
    operators: dict[str, int]
    macs: int | None
    parameters: int
    scheme: str
    quantized: dict[str, int]
    quantized_macs: int | None
    activations: int
    obstacle: str | None = None
    kept_float: Mapping[str, str] = field(default_factory=dict)
    sample: SampleReading | None = None
    remarks: tuple[str, ...] = ()
    layers: tuple[LayerPrecision, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same for people."""
        return [
            f"{self.model} (opset {self.opset}, sha256 {self.sha256[:16]})",
            *(f"input   {_shown(info)}" for info in self.inputs),
            *(f"output  {_shown(info)}" for info in self.outputs),
            f"task    {self.task or 'unknown'}",
            f"family  {self.family or 'unknown'}: {self.family_reason}",
            f"cost    {self.operators.get('Conv', 0)} convolutions, {_millions(self.macs)} MACs, "
            f"{_millions(self.parameters)} parameters",
            f"int8    scheme {self.scheme}: {self.obstacle or self._quantized_words()}",
            *(f"float   {line}" for line in reasons_in_words(self.kept_float)),
            *(f"note    {remark}" for remark in self.remarks),
            *(self.sample.lines() if self.sample else ()),
            *self._layer_lines(),
        ]

    def _layer_lines(self) -> list[str]:
        """The precision map: a line for each layer, and for each tensor that is reformatted before it."""
        if not self.layers:
            return []
        counts = Counter(layer.computes for layer in self.layers)
        passes = sum(len(layer.reformatted) for layer in self.layers)
        lines = [
            f"layers  {counts['INT8']} in INT8, {counts['FP32']} in FP32, {passes} reformats between them; "
            "where INT8 is no quicker, as in small layers, TensorRT keeps more in float"
        ]
        for layer in self.layers:
            lines += [f"        reformat     {tensor} to {layer.computes}" for tensor in layer.reformatted]
            lines.append(f"        {layer.computes} -> {layer.writes} {' + '.join(layer.nodes)}")
        return lines

    def _quantized_words(self) -> str:
        layers = ", ".join(f"{count} {op}" for op, count in self.quantized.items()) or "nothing"
        return f"{layers}, {_millions(self.quantized_macs)} MACs; {self.activations} activation tensors"


@dataclass(frozen=True, repr=False)
class PartsInspection(ShortRepr):
    """What is shown of a model of several files: what the whole is for, and each part as a model.

    layout: by whose names the parts were told apart. ``sample``: what was read from one.
    """

    model: str
    layout: str
    task: str | None
    family: str | None
    family_reason: str
    parts: Mapping[str, Inspection]
    sample: SampleReading | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same for people: the whole, and then every part with the same lines as a model of one file."""
        known = sum(part.parameters for part in self.parts.values())
        return [
            f"{self.model} ({len(self.parts)} parts by names of {self.layout}: {', '.join(self.parts)})",
            f"task    {self.task or 'unknown'}",
            f"family  {self.family or 'unknown'}: {self.family_reason}",
            f"cost    {_millions(known)} parameters",
            *(self.sample.lines() if self.sample else ()),
            *(line for name, part in self.parts.items() for line in ("", f"part {name}", *_of_part(part))),
        ]


def _of_part(part: Inspection) -> list[str]:
    """A part's own lines: what it is for is the whole's to tell."""
    return [line for line in part.lines() if not line.startswith(("task ", "family "))]


def inspect_model(
    path: Path, task: str, family: str, scheme: Scheme, input_shape: Sequence[int] | None = None
) -> Inspection | PartsInspection:
    """Load and describe a model; ``input_shape`` fixes height and width of an input that leaves them open.

    What stands in the way of a study (no task knows it, quantized already) is described, not raised, unless
    a task or family was named. Raises ModelError for a file that cannot be used at all.
    """
    folder = model_folder(path)
    if folder is not None:
        return _inspected_folder(folder, task, family, scheme)
    model = load_model(path)
    if input_shape is not None:
        model = replace(model, ir=with_fixed_input(model, *sides_of(input_shape)))
    found, reason = _attempted(lambda: recognised(signature_of(model), task, family), task, family)
    return _inspected(model, path, found, reason, scheme)


def _inspected_folder(
    folder: ModelFolder, task: str, family: str, scheme: Scheme
) -> Inspection | PartsInspection:
    models = {part: load_model(file) for part, file in folder.parts.items()}
    signatures = {part: signature_of(model) for part, model in models.items()}
    found, reason = _attempted(lambda: recognised_folder(signatures, folder, task, family), task, family)
    parts = {part: _inspected(model, model.path, found, reason, scheme) for part, model in models.items()}
    if len(parts) == 1:
        return next(iter(parts.values()))
    known, name = (found.task, found.family) if found else (None, None)
    return PartsInspection(str(folder.path), folder.layout, known, name, reason, parts)


def _inspected(
    model: Model, path: Path, found: Recognition | None, reason: str, scheme: Scheme
) -> Inspection:
    signature = signature_of(model)
    plan, obstacle = _plan(model, scheme)
    quantized = {point.node for point in plan.weights}
    nodes = costs(model)
    return Inspection(
        model=str(path),
        sha256=model.sha256,
        opset=opset_of(model),
        inputs=signature.inputs,
        outputs=signature.outputs,
        task=found.task if found else None,
        family=found.family if found else None,
        family_reason=reason,
        operators=dict(signature.op_counts),
        macs=total_macs(nodes),
        parameters=total_parameters(nodes),
        scheme=scheme.name,
        quantized=dict(Counter(node.op_type for node in nodes if node.node in quantized)),
        quantized_macs=total_macs([node for node in nodes if node.node in quantized]),
        activations=len(plan.activations),
        obstacle=obstacle,
        kept_float=plan.why_float,
        remarks=model.remarks,
        layers=precision_map(model, scheme, plan) if obstacle is None else (),
    )


def _attempted(
    recognise: Callable[[], Recognition], task: str, family: str
) -> tuple[Recognition | None, str]:
    try:
        found = recognise()
    except ModelError as error:
        if (task, family) != (AUTO, AUTO):
            raise
        return None, str(error)
    return found, found.why


def _plan(model: Model, scheme: Scheme) -> tuple[QuantPoints, str | None]:
    try:
        return quant_points(model, scheme), None
    except ModelError as error:
        return QuantPoints((), (), ()), str(error)


def _millions(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e6:.1f} M"


def _shown(info: TensorInfo) -> str:
    shape = "x".join("?" if size is None else str(size) for size in info.shape)
    return f"{info.name} {shape} {info.dtype}"
