"""How compressed-tensors stores a quantized layer: integers packed into words, scales beside them.

Element i of a row has the bits from ``i * bits`` on, the lowest first, in words of 32; integers are stored
with an offset that makes them positive. Source: vllm-project/compressed-tensors, pack_quantized.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.format_names import WeightActivation
from calibrant.core.formats import (
    BF16,
    E2M1,
    E4M3,
    E4M3_SCALE,
    E8M0,
    F16,
    Encoded,
    Format,
    Grid,
    PerBlock,
    PerChannel,
    PerTensor,
    PerTile,
    PerToken,
)
from calibrant.core.types import FloatArray

Arrays = dict[str, NDArray[Any]]
PACKED, INTEGERS, FLOATS = "pack-quantized", "int-quantized", "float-quantized"
NVFP4, MXFP4, KEPT = "nvfp4-pack-quantized", "mxfp4-pack-quantized", "dense"
_WORD = 32


@dataclass(frozen=True)
class QuantizedLayer:
    """What a candidate stores of a layer: codes and scales, and the grid of its inputs if that is fixed."""

    encoded: Encoded
    inputs: Grid | None = None


def layout_of(formats: WeightActivation) -> str:
    """The name that compressed-tensors has for the way these formats are stored.

    Raises SettingsError for formats that it does not store.
    """
    weights, inputs = formats.weights, formats.activations
    if weights is None:
        return KEPT
    if weights.element.is_integer and not weights.minimum and not weights.narrow:
        if inputs is None:
            return PACKED
        if weights.element.bits == 8 and weights.symmetric and isinstance(weights.granularity, PerChannel):
            return INTEGERS
    if weights.element == E4M3 and weights.scale_type != E8M0:
        return FLOATS
    if weights.tensor_scale and inputs is None:
        return NVFP4
    if weights.element == E2M1 and weights.scale_type == E8M0:
        return MXFP4
    raise SettingsError(
        f"{formats.name} cannot be written as compressed-tensors; write e.g. w4a16-g128, w8a8 or fp8"
    )


def can_be_stored(formats: WeightActivation) -> bool:
    """Whether compressed-tensors has a layout for these formats."""
    try:
        layout_of(formats)
    except SettingsError:
        return False
    return True


def stored_arrays(layer: QuantizedLayer, layout: str) -> Arrays:
    """A layer's tensors by the last part of their names, as the file has them."""
    codes, grid = layer.encoded.codes, layer.encoded.grid
    found: Arrays = {"weight_scale": _scales(grid)}
    if layout == PACKED:
        bits = grid.format.element.bits
        found["weight_packed"] = packed(_positive(codes, grid.format), bits)
        found["weight_shape"] = np.array(codes.shape, np.int64)
        if grid.offset is not None:
            zeros = _positive(np.asarray(grid.offset), grid.format)
            found["weight_zero_point"] = np.ascontiguousarray(packed(zeros.T, bits).T)
    elif layout in (NVFP4, MXFP4):
        pairs = codes.astype(np.uint8).reshape(codes.shape[0], -1, 2)
        found["weight_packed"] = pairs[..., 0] | (pairs[..., 1] << 4)
        if layout == NVFP4:
            found["weight_global_scale"] = np.array([grid.tensor_scale], np.float32)
    elif layout == FLOATS:
        found["weight"] = codes.view(ml_dtypes.float8_e4m3fn)
    else:
        found["weight"] = codes
    if layer.inputs is not None:
        found["input_scale"] = np.asarray(layer.inputs.scale, np.float32).reshape(1)
    return found


def packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.int32]:
    """Rows of numbers below ``2**bits`` in words of 32 bits, densely."""
    rows, columns = codes.shape
    words = -(-columns * bits // _WORD)
    if bits == 4 and columns % (_WORD // bits) == 0:
        pairs = codes.reshape(rows, -1, 2)
        return np.ascontiguousarray(pairs[..., 0] | (pairs[..., 1] << 4)).view("<i4")
    each = np.unpackbits(codes[..., None], axis=-1, count=bits, bitorder="little").reshape(rows, -1)
    full = np.zeros((rows, words * _WORD), np.uint8)
    full[:, : columns * bits] = each
    return np.packbits(full, axis=-1, bitorder="little").view("<i4")


def unpacked(words: NDArray[np.int32], bits: int, columns: int) -> NDArray[np.uint8]:
    """The numbers that :func:`packed` was given. Raises ModelError where there are too few words."""
    if words.shape[1] * _WORD < columns * bits:
        raise ModelError(
            f"{words.shape[1]} words hold no {columns} numbers of {bits} bits; get the file again"
        )
    octets = np.ascontiguousarray(words).view(np.uint8)
    if bits == 8:
        return octets[:, :columns].copy()
    if bits == 4:
        found = np.empty((len(words), 2 * octets.shape[1]), np.uint8)
        found[:, ::2], found[:, 1::2] = octets & 15, octets >> 4
        return found[:, :columns]
    each = np.unpackbits(octets, axis=-1, count=columns * bits, bitorder="little")
    padded = np.zeros((len(words), columns, 8), np.uint8)
    padded[..., :bits] = each.reshape(len(words), columns, bits)
    return np.packbits(padded, axis=-1, bitorder="little")[..., 0]


def weight_settings(weights: Format) -> dict[str, Any]:
    """A weight's format as compressed-tensors' configuration has it."""
    return _settings(weights) | {"dynamic": False, "observer": "minmax", "actorder": None}


def input_settings(inputs: Format | None) -> dict[str, Any] | None:
    """Activations' format as compressed-tensors' configuration has it."""
    if inputs is None:
        return None
    return _settings(inputs) | {"dynamic": inputs.dynamic, "observer": None if inputs.dynamic else "minmax"}


def _settings(format: Format) -> dict[str, Any]:  # noqa: A002
    return {
        "num_bits": format.element.bits,
        "type": "int" if format.element.is_integer else "float",
        "symmetric": format.symmetric,
        "strategy": _strategy(format),
        "group_size": format.granularity.size if isinstance(format.granularity, PerBlock) else None,
        "block_structure": [format.granularity.rows, format.granularity.columns]
        if isinstance(format.granularity, PerTile)
        else None,
    }


def _strategy(format: Format) -> str:  # noqa: A002
    if format.tensor_scale:
        return "tensor_group"
    names = {
        PerTensor: "tensor",
        PerChannel: "channel",
        PerBlock: "group",
        PerTile: "block",
        PerToken: "token",
    }
    return names[type(format.granularity)]


def _positive(codes: NDArray[Any], format: Format) -> NDArray[np.uint8]:  # noqa: A002
    """Codes of signed elements moved up by half their range; of unsigned ones as they are."""
    offset = 1 << (format.element.bits - 1) if format.element.is_signed else 0
    return (codes.astype(np.int16) + offset).astype(np.uint8)


def _scales(grid: Grid) -> NDArray[Any]:
    scale = grid.scale if grid.scale.ndim else grid.scale.reshape(1)
    if grid.format.scale_type == E8M0:
        return E8M0.codes(scale)
    kinds: Mapping[str, Any] = {
        BF16.name: ml_dtypes.bfloat16,
        F16.name: np.float16,
        E4M3_SCALE.name: ml_dtypes.float8_e4m3fn,
    }
    return scale.astype(kinds.get(grid.format.scale_type.name, np.float32))


def dequantized(
    arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any] | None, name: str
) -> FloatArray:
    """A stored layer's weight, float32. settings: the weights' entry of compressed-tensors' configuration.

    arrays: by the last part of their names. Raises ModelError for a layout that is not known.
    """
    if "weight_packed" in arrays and arrays["weight_packed"].dtype == np.int32:
        return _of_words(arrays, int((settings or {}).get("num_bits", 4)), name)
    if "weight_packed" in arrays and arrays["weight_packed"].dtype == np.uint8:
        return _of_pairs(arrays)
    if "weight" in arrays:
        return _of_values(arrays)
    if {"qweight", "qzeros", "scales"} <= arrays.keys():
        return _of_inputs_by_outputs(arrays, settings or {}, name)
    raise ModelError(f"{name!r} is stored in a way that is not known here: {', '.join(sorted(arrays))}")


def _of_words(arrays: Mapping[str, NDArray[Any]], bits: int, name: str) -> FloatArray:
    words, scale = arrays["weight_packed"], arrays["weight_scale"].astype(np.float32)
    if "weight_shape" in arrays:
        rows, columns = (int(size) for size in arrays["weight_shape"])
    else:
        rows, columns = words.shape[0], words.shape[1] * _WORD // bits
    if rows != words.shape[0] or columns % scale.shape[-1]:
        raise ModelError(f"{name!r}: scales of shape {scale.shape} do not fit {rows} x {columns} weights")
    codes = unpacked(words, bits, columns).astype(np.float32)
    zero = np.full((1, 1), 1 << (bits - 1), np.float32)
    if "weight_zero_point" in arrays:
        packed_zeros = np.ascontiguousarray(arrays["weight_zero_point"].T)
        zero = unpacked(packed_zeros, bits, rows).T.astype(np.float32)
        zero = np.repeat(zero, columns // scale.shape[-1], axis=1)
    return (codes - zero) * np.repeat(scale, columns // scale.shape[-1], axis=1)


def _of_pairs(arrays: Mapping[str, NDArray[Any]]) -> FloatArray:
    """NVFP4, or MXFP4, whose scales are exponents."""
    pairs, scale = arrays["weight_packed"], arrays["weight_scale"]
    codes = np.stack([pairs & 15, pairs >> 4], axis=-1).reshape(len(pairs), -1)
    if scale.dtype == np.uint8:
        step = np.ldexp(np.float32(1), scale.astype(np.int32) - 127)
    else:
        step = scale.astype(np.float32) / arrays["weight_global_scale"].astype(np.float32)
    return E2M1.values(codes.astype(np.uint8)) * np.repeat(step, codes.shape[1] // step.shape[1], axis=1)


def _of_values(arrays: Mapping[str, NDArray[Any]]) -> FloatArray:
    values = arrays["weight"].astype(np.float32)
    scale = arrays.get("weight_scale", arrays.get("weight_scale_inv"))
    if scale is None:
        return values
    step = scale.astype(np.float32)
    if step.size == 1 or step.ndim < 2 or step.shape == (len(values), 1):
        return values * step
    if step.shape[0] == values.shape[0]:
        return values * np.repeat(step, values.shape[1] // step.shape[1], axis=1)
    # DeepSeek's tiles of 128 x 128, smaller ones at the edges.
    tall = np.repeat(step, 128, axis=0)[: values.shape[0]]
    return values * np.repeat(tall, 128, axis=1)[:, : values.shape[1]]


_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which column each nibble of AWQ's words holds, the lowest first. Source: casper-hansen/AutoAWQ."""


def _of_inputs_by_outputs(
    arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any], name: str
) -> FloatArray:
    """GPTQ's and AWQ's layouts, (inputs, outputs), of 4 bits (GPTQ also of 8), transposed.

    GPTQ packs along the inputs, stores zero points less one unless it says ``gptq_v2``, and may give each
    input its group (``g_idx``). Source: AutoGPTQ/AutoGPTQ, qlinear_cuda_old.
    """
    words, scales = arrays["qweight"], arrays["scales"].astype(np.float32)
    bits = int(settings.get("bits", 4))
    outputs = scales.shape[-1]
    is_gptq = words.shape[-1] == outputs
    if bits not in ((4, 8) if is_gptq else (4,)):
        raise ModelError(
            f"{name!r} has {bits} bits in the layout of {'GPTQ' if is_gptq else 'AWQ'}; 4 are read"
        )
    each = _WORD // bits
    if is_gptq:
        codes = _fields(words, bits).transpose(0, 2, 1).reshape(-1, outputs)
        zeros = _fields(arrays["qzeros"], bits).reshape(len(scales), -1)[:, :outputs]
        if settings.get("checkpoint_format", "gptq") != "gptq_v2":
            zeros = (zeros + 1) & ((1 << bits) - 1)
    else:
        columns = np.argsort(_AWQ_ORDER)
        codes = _fields(words, bits)[..., columns].reshape(len(words), -1)
        zeros = _fields(arrays["qzeros"], bits)[..., columns].reshape(len(scales), -1)
    size = -(-len(codes) // len(scales))
    groups = arrays.get("g_idx", np.arange(len(codes)) // size).astype(np.int64)
    if each * words.shape[is_gptq ^ 1] < (len(codes) if is_gptq else outputs) or groups.max() >= len(scales):
        raise ModelError(f"{name!r}: scales of shape {scales.shape} do not fit its {words.shape} words")
    values = (codes.astype(np.float32) - zeros[groups].astype(np.float32)) * scales[groups]
    return np.ascontiguousarray(values.T)


def _fields(words: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """Numbers in words of 32 bits, the lowest first, in a last axis of their own."""
    shifts = np.arange(0, _WORD, bits)
    return (words.astype(np.int64)[..., None] >> shifts) & ((1 << bits) - 1)
