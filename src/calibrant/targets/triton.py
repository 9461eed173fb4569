"""Triton Inference Server: the configuration of a model in its repository.

Fields and types: Triton's documentation, "Model Configuration".
"""

from __future__ import annotations

from collections.abc import Sequence

from calibrant.core.errors import SettingsError
from calibrant.core.types import TensorInfo

ONNX, ENGINE = "model.onnx", "model.plan"
"""What Triton calls the file of a version, by backend."""

_BACKENDS = {ONNX: "onnxruntime", ENGINE: "tensorrt"}
_TYPES = {
    "float32": "FP32", "float16": "FP16", "bfloat16": "BF16", "float64": "FP64", "bool": "BOOL",
    "uint8": "UINT8", "int8": "INT8", "uint16": "UINT16", "int16": "INT16", "int32": "INT32",
    "int64": "INT64", "string": "STRING",
}  # fmt: skip


def model_configuration(
    name: str, file: str, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
) -> str:
    """The text of ``config.pbtxt``.

    name: the model's in the repository. file: :data:`ONNX` or :data:`ENGINE`. Shapes are given whole
    (``max_batch_size: 0``), -1 where a dimension is free. Raises SettingsError for a type without a name
    in Triton.
    """
    return "\n".join([
        f'name: "{name}"',
        f'backend: "{_BACKENDS[file]}"',
        "max_batch_size: 0",
        *_tensors("input", inputs),
        *_tensors("output", outputs),
        "",
    ])  # fmt: skip


def _tensors(kind: str, tensors: Sequence[TensorInfo]) -> list[str]:
    entries = [_tensor(tensor) for tensor in tensors]
    return [f"{kind} [", ",\n".join(entries), "]"]


def _tensor(tensor: TensorInfo) -> str:
    if tensor.dtype not in _TYPES:
        raise SettingsError(f"Triton has no name for the type {tensor.dtype} of {tensor.name!r}")
    sizes = ", ".join(str(-1 if size is None else size) for size in tensor.shape)
    quoted = tensor.name.replace("\\", "\\\\").replace('"', '\\"')
    return (
        f'  {{\n    name: "{quoted}"\n    data_type: TYPE_{_TYPES[tensor.dtype]}\n    dims: [ {sizes} ]\n  }}'
    )
