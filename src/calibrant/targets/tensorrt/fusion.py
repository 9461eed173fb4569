"""What TensorRT 8.5 merges before Entropy v1 and Legacy calibrate: tensors that are then gone.

Each rule below yields the tensors that one kind of fusion removes; none depends on another's outcome, but
what counts as a convolution's or a sum's result is shared. Found on 215 caches of TensorRT 8.5.1.7
(docs/tensorrt-calibrators.md says which, and what is not explained).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.models.onnx.walk import own_constant
from calibrant.targets.tensorrt.network import (
    BROADCAST,
    GEMM_BIAS,
    RESHAPE,
    TRANSPOSE,
    TURNED_RESHAPE,
    Layer,
    Network,
)

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_ACTIVATIONS = frozenset({
    "Clip", "Elu", "Exp", "HardSigmoid", "LeakyRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign",
    "Tanh", "ThresholdedRelu",
})  # fmt: skip
_RECTIFIERS = frozenset({"Relu", "Clip"})
# A Shuffle layer transposes, reshapes and transposes; R and T stand for its two steps.
_STEPS = {RESHAPE: "R", TRANSPOSE: "T", TURNED_RESHAPE: "RTR"}
_ONE_SHUFFLE = frozenset({"R", "T", "RT", "TR", "TRT"})
_IMAGE_RANK = 4


@dataclass(frozen=True)
class _Fusible:
    """A network with what several rules ask of it.

    convolved: for the output of a convolution or a fully connected layer, and of the scaling merged into it,
    that layer. summed: outputs of residual sums merged into a convolution, with the addend so merged.
    """

    network: Network
    convolved: dict[str, Layer]
    summed: dict[str, str]


def fused_away(network: Network, keeps_concats: bool) -> frozenset[str]:
    """The tensors of a parsed network that no layer computes any more after fusion.

    keeps_concats: whether the outputs of Concat layers are calibrated (Entropy v1) or not (Legacy).
    """
    convolved = _convolved(network)
    fusible = _Fusible(network, convolved, _summed(network, convolved))
    rules = (_constants, _shuffles, _matrix_products, _scalings, _sums, _rectified, _pointwise, _leaky)
    removed = chain.from_iterable(rule(fusible) for rule in rules)
    return frozenset((*removed, *_concats(network, keeps_concats)))


def _constants(fusible: _Fusible) -> Iterator[str]:
    """Constants become weights, except operands of pointwise layers on fewer than four dimensions."""
    network = fusible.network
    for layer in network.layers:
        if layer.constant is not None:
            readers = network.readers[layer.output]
            if not _is_array(layer.constant) or all(_takes_as_weight(reader, layer) for reader in readers):
                yield layer.output
        elif _is_broadcast_constant(network, layer) and all(
            reader.op != "PRelu" for reader in network.readers[layer.output]
        ):
            yield layer.output


def _is_broadcast_constant(network: Network, layer: Layer) -> bool:
    return layer.op == BROADCAST and network.producers[layer.inputs[0]].constant is not None


def _is_array(constant: NDArray[Any]) -> bool:
    return constant.dtype == np.float32 and constant.ndim > 0


def _takes_as_weight(reader: Layer, constant: Layer) -> bool:
    if reader.op in (BROADCAST, GEMM_BIAS) or reader.kind == "Matrix Multiply":
        return True
    assert constant.constant is not None
    is_full_plane = _rank(reader) >= _IMAGE_RANK and reader.op != "Max"
    return reader.kind == "ElementWise" and (constant.constant.size == 1 or is_full_plane)


def _shuffles(fusible: _Fusible) -> Iterator[str]:
    """A chain of Shuffles is one as long as it has the form [transpose] reshape [transpose]."""
    network, steps = fusible.network, dict[str, str]()
    for layer in network.layers:
        if layer.op not in _STEPS:
            continue
        own, source = _STEPS[layer.op], layer.inputs[0]
        if source in steps and network.only_reader(source) is layer:
            joined = _without_repeats(steps[source] + own)
            if joined in _ONE_SHUFFLE:
                yield source
                own = joined
        steps[layer.output] = own


def _without_repeats(steps: str) -> str:
    return "".join(step for index, step in enumerate(steps) if index == 0 or step != steps[index - 1])


def _matrix_products(fusible: _Fusible) -> Iterator[str]:
    """A matrix product takes in its bias, the reshapes around it, and those between it and the one before."""
    network = fusible.network
    for layer in network.layers:
        if layer.kind != "Matrix Multiply":
            continue
        follower = network.only_reader(layer.output)
        if follower is not None and (follower.op in (GEMM_BIAS, RESHAPE)):
            yield layer.output
        source = layer.inputs[0]
        if network.only_reader(source) is layer and (
            _made_by(network, source, RESHAPE) or _is_matrix_result(network, source)
        ):
            yield source


def _is_matrix_result(network: Network, tensor: str) -> bool:
    """Whether a tensor comes out of a matrix product, also through a Relu."""
    producer = network.producers.get(tensor)
    if producer is not None and producer.op == "Relu":
        tensor = producer.inputs[0]
    return _made_by(network, tensor, GEMM_BIAS, "MatMul")


def _scalings(fusible: _Fusible) -> Iterator[str]:
    """A convolution takes in the scaling that follows it."""
    for layer in fusible.network.layers:
        source = _scaled(fusible.network, layer, fusible.convolved)
        if source is not None:
            yield source


def _convolved(network: Network) -> dict[str, Layer]:
    found = dict[str, Layer]()
    for layer in network.layers:
        source = _scaled(network, layer, found)
        if layer.op in CONVOLUTIONS or layer.op == GEMM_BIAS:
            found[layer.output] = layer
        elif source is not None:
            found[layer.output] = found[source]
    return found


def _scaled(network: Network, layer: Layer, convolved: dict[str, Layer]) -> str | None:
    """The convolution's output that a layer only normalises, or scales or shifts uniformly or by channel."""
    source = next((tensor for tensor in layer.inputs if tensor in convolved), None)
    if source is None or network.only_reader(source) is not layer:
        return None
    if layer.op == "BatchNormalization":
        return source
    constant = network.constant_operand(layer) if layer.op in ("Add", "Mul") else None
    if constant is None:
        return None
    by_channel = constant.ndim >= 3 and constant.size == constant.shape[-3]
    return source if constant.size == 1 or by_channel else None


def _sums(fusible: _Fusible) -> Iterator[str]:
    """A convolution takes in the residual sum of which it is the first convolved addend."""
    yield from fusible.summed.values()


def _summed(network: Network, convolved: dict[str, Layer]) -> dict[str, str]:
    found = dict[str, str]()
    for layer in network.layers:
        if not _is_plain_sum(network, layer) or layer.inputs[0] == layer.inputs[1]:
            continue
        for addend in layer.inputs:
            origin = convolved.get(addend)
            if origin is not None and origin.op in CONVOLUTIONS and network.only_reader(addend) is layer:
                found[layer.output] = addend
                break
    return found


def _rectified(fusible: _Fusible) -> Iterator[str]:
    """Relu and Clip merge into the convolution or the residual sum before them, Relu into any sum."""
    network = fusible.network
    for layer in network.layers:
        if layer.op not in _RECTIFIERS or network.only_reader(layer.inputs[0]) is not layer:
            continue
        source = layer.inputs[0]
        after_sum = layer.op == "Relu" and _made_by(network, source, "Add")
        if source in fusible.convolved or source in fusible.summed or after_sum:
            yield source


def _pointwise(fusible: _Fusible) -> Iterator[str]:
    """A chain of pointwise layers is one layer; a sum of two tensors begins none."""
    network = fusible.network
    for layer in network.layers:
        if not layer.outputs or _is_plain_sum(network, layer) or not _is_pointwise(fusible, layer):
            continue
        reader = network.only_reader(layer.output)
        if reader is not None and _is_pointwise(fusible, reader):
            yield layer.output


def _is_pointwise(fusible: _Fusible, layer: Layer) -> bool:
    if layer.output in fusible.summed or layer.output in fusible.convolved:
        return False
    if layer.op in _ACTIVATIONS:
        return True
    if layer.kind != "ElementWise" or layer.op in ("PRelu", GEMM_BIAS):
        return False
    constant = fusible.network.constant_operand(layer)
    # With a constant of more than one value, images take a Scale layer instead.
    return constant is None or constant.size == 1 or _rank(layer) < _IMAGE_RANK


def _leaky(fusible: _Fusible) -> Iterator[str]:
    """LeakyRelu merges into dense 1x1 convolutions only."""
    for layer in fusible.network.layers:
        if layer.op == "LeakyRelu" and fusible.network.only_reader(layer.inputs[0]) is layer:
            origin = fusible.convolved.get(layer.inputs[0])
            if origin is not None and _is_dense_1x1(origin):
                yield layer.inputs[0]


def _is_dense_1x1(layer: Layer) -> bool:
    if layer.op not in CONVOLUTIONS or layer.node is None or layer.node.inputs[1] is None:
        return False
    weight = own_constant(layer.node.inputs[1])
    return (
        weight is not None
        and tuple(weight.shape.numpy()[2:]) == (1, 1)
        and layer.node.attributes.get_int("group", 1) == 1
    )


def _concats(network: Network, kept: bool) -> Iterator[str]:
    """Legacy sees no Concat; Entropy v1 none that a layer reads only to take it apart or to join it again."""
    for layer in network.layers:
        if layer.op == "Concat" and (not kept or _is_view(network, layer) or _joins_a_shared(network, layer)):
            yield layer.output


def _is_view(network: Network, concat: Layer) -> bool:
    readers = network.readers.get(concat.output, [])
    if not readers or concat.output in network.outputs:
        return False
    return all(reader.op == "Split" or _same_axis(reader, concat) for reader in readers)


def _joins_a_shared(network: Network, concat: Layer) -> bool:
    """Whether one of the parts is a Concat along the same axis that others read too."""
    parts = ((part, network.producers.get(part)) for part in concat.inputs)
    return any(
        producer is not None and _same_axis(producer, concat) and len(network.readers[part]) > 1
        for part, producer in parts
    )


def _same_axis(layer: Layer, concat: Layer) -> bool:
    return layer.op == "Concat" and _axis(layer) == _axis(concat)


def _axis(concat: Layer) -> int:
    assert concat.node is not None
    axis = concat.node.attributes.get_int("axis", 0)
    return axis % concat.rank if concat.rank else axis


def _is_plain_sum(network: Network, layer: Layer) -> bool:
    return layer.op == "Add" and network.constant_operand(layer) is None


def _made_by(network: Network, tensor: str, *ops: str) -> bool:
    producer = network.producers.get(tensor)
    return producer is not None and producer.op in ops


def _rank(layer: Layer) -> int:
    return _IMAGE_RANK if layer.rank is None else layer.rank
