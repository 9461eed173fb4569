"""Large weights that several files of one model share: written once, named by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from calibrant.core.disk import cannot_write
from calibrant.core.writing import write_atomically
from calibrant.models.onnx.model import save_model, save_serialized

SHARED_FROM = 64 * 2**20
"""Bytes of weights from which on they are shared; below, a candidate is one file."""

_EACH_FROM = 64 * 2**10
# What may be mapped into memory begins at a page.
_ALIGNMENT = 4096


@dataclass(frozen=True)
class SharedWeights:
    """Weights of a model in a file of their own.

    name: the file's, by its content. tensors: what lies at which byte.
    """

    name: str
    tensors: tuple[tuple[int, ir.TensorProtocol], ...]

    def write(self, folder: Path) -> None:
        """Write the file into ``folder``, unless it is there. Raises OutputError."""
        path = folder / self.name
        if path.is_file() and not path.is_symlink() and path.stat().st_size == self._size:
            return
        try:
            write_atomically(path, _pieces(self.tensors))
        except OSError as error:
            raise cannot_write(path, error, "give a folder that is writable") from error

    @property
    def _size(self) -> int:
        offset, tensor = self.tensors[-1]
        return offset + tensor.nbytes


def share_weights(model: ir.Model) -> SharedWeights | None:
    """Have a model read its large weights from a file beside it, and give that file; None: they are small.

    model: changed in place; it cannot be run before the file is written beside it.
    """
    values = [value for value in model.graph.initializers.values() if _is_large(value)]
    tensors = [value.const_value for value in values if value.const_value is not None]
    if sum(tensor.nbytes for tensor in tensors) < SHARED_FROM:
        return None
    placed = tuple(_placed(tensors))
    digest = hashlib.sha256()
    for piece in _pieces(placed):
        digest.update(piece)
    shared = SharedWeights(f"weights.{digest.hexdigest()[:16]}.data", placed)
    for value, (offset, tensor) in zip(values, placed, strict=True):
        value.const_value = ir.ExternalTensor(
            shared.name, offset, tensor.nbytes, ir.DataType(tensor.dtype),
            shape=ir.Shape(list(tensor.shape.numpy())), name=value.name or "",
        )  # fmt: skip
    return shared


def save_beside_weights(model: ir.Model, path: Path) -> None:
    """Write a model whose large weights lie in a file beside it, where it has as many. Raises OutputError.

    model: changed in place.
    """
    shared = share_weights(model)
    if shared is None:
        save_model(model, path)
        return
    shared.write(path.parent)
    save_serialized(ir.serde.serialize_model(model).SerializeToString(), path)


def _is_large(value: ir.Value) -> bool:
    tensor = value.const_value
    return tensor is not None and tensor.dtype != ir.DataType.STRING and tensor.nbytes >= _EACH_FROM


def _placed(tensors: list[ir.TensorProtocol]) -> Iterator[tuple[int, ir.TensorProtocol]]:
    end = 0
    for tensor in tensors:
        offset = -(-end // _ALIGNMENT) * _ALIGNMENT
        yield offset, tensor
        end = offset + tensor.nbytes


def _pieces(tensors: tuple[tuple[int, ir.TensorProtocol], ...]) -> Iterator[bytes]:
    """The file's content, one tensor after the other."""
    end = 0
    for offset, tensor in tensors:
        yield bytes(offset - end)
        yield tensor.tobytes()
        end = offset + tensor.nbytes
