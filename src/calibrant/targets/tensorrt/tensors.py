"""Which tensors a calibration cache of TensorRT 8.5 names, and where their values can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import activation_tensors
from calibrant.targets.tensorrt.fusion import fused_away
from calibrant.targets.tensorrt.network import Layer, Network, parsed_network

# The two that calibrate what fusion leaves; with whether they see the outputs of Concat layers.
_KEEPS_CONCATS = {"entropy": True, "legacy": False}


@dataclass(frozen=True)
class CalibratedTensors:
    """What TensorRT 8.5 calibrates of a model, in the order of its layers.

    parsed: the tensors of the network as parsed, which MinMax and Entropy-v2 calibrate. fused: by algorithm
    (entropy, legacy) what fusion leaves of them. constants: the values of those that are constant.
    sources: for every other tensor the activation of the model that holds the same values, in the same or
    another shape: mostly itself. One without either is computed inside a single ONNX operator.
    """

    parsed: tuple[str, ...]
    fused: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, FloatArray]
    sources: Mapping[str, str]

    def for_algorithm(self, algorithm: str) -> tuple[str, ...]:
        """The tensors that this algorithm (minmax, entropy2, entropy, legacy) puts into a cache."""
        return self.fused.get(algorithm, self.parsed)


def calibrated_tensors(model: Model) -> CalibratedTensors:
    """Find the tensors that TensorRT 8.5's calibrators name for a float model."""
    network = parsed_network(model)
    parsed = (*network.inputs, *(name for layer in network.layers for name in _named_by(layer)))
    fused = {
        algorithm: _without(parsed, fused_away(network, keeps_concats))
        for algorithm, keeps_concats in _KEEPS_CONCATS.items()
    }
    observable = set(activation_tensors(model))
    constants, sources = dict[str, FloatArray](), dict[str, str]()
    for name in parsed:
        origin = _origin(network, name)
        constant = network.producers[origin].constant if origin in network.producers else None
        if constant is not None and constant.size and np.isfinite(constant).all():
            constants[name] = constant
        elif origin in observable:
            sources[name] = origin
    return CalibratedTensors(parsed, fused, constants, sources)


def _named_by(layer: Layer) -> tuple[str, ...]:
    """The outputs that are calibrated: floats, and no constant without dimensions."""
    is_scalar = layer.constant is not None and layer.constant.ndim == 0
    return layer.outputs if layer.is_float and not is_scalar else ()


def _origin(network: Network, tensor: str) -> str:
    """Where a tensor's values come from unchanged."""
    while (layer := network.producers.get(tensor)) is not None and layer.same_values_as is not None:
        tensor = layer.same_values_as
    return tensor


def _without(tensors: tuple[str, ...], removed: frozenset[str]) -> tuple[str, ...]:
    return tuple(tensor for tensor in tensors if tensor not in removed)
