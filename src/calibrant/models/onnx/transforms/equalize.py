"""Equalization: channels of an activation get one range, and the convolutions behind it undo that.

Where one channel is far larger than the others, a scale for the whole tensor leaves the others a few steps.
Dividing each channel by s and multiplying the weights that read it by s changes nothing in float. Depthwise
convolutions have a weight scale for each channel anyway, so that for them s costs nothing: all channels can
get the same range. Others share a weight scale among their input channels: part of the difference migrates.
Sources: M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019;
G. Xiao et al., SmoothQuant, 2023.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibrant.core.errors import SettingsError
from calibrant.core.types import FloatArray
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.transforms.sites import ScalingSite, scaling_sites
from calibrant.models.onnx.transforms.transformed import Change, Transformed
from calibrant.models.onnx.transforms.weights import (
    DATA,
    ConstantEditor,
    bias_of,
    groups,
    require_channels,
    weight_of,
)
from calibrant.models.onnx.walk import UniqueNames, name_of, value_names

# A channel that calibration never saw moving may move later: it is not raised without limit.
SMALLEST_SCALE = 2.0**-10


@dataclass(frozen=True)
class Equalization:
    """What to equalize.

    depthwise: give all channels before depthwise convolutions one range. strength: how much of the difference
    between channels migrates into the weights of the other convolutions, 0 (none, they are left alone) to 1
    (all). least_gain: leave a site alone whose expected gain is less, in bits of resolution. multiply: also
    where the scale cannot be folded into the convolution before, and needs a Mul. skipped: sites (by the name
    of their first reader) to leave alone.
    """

    depthwise: bool = True
    strength: float = 0.5
    least_gain: float = 0.0
    multiply: bool = True
    skipped: Collection[str] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise SettingsError(f"a strength of {self.strength:g} means nothing; give 0 to 1, e.g. 0.5")


def equalized(
    model: Model,
    nodes: Collection[str],
    amax: Mapping[str, FloatArray],
    wanted: Equalization = Equalization(),
) -> Transformed:
    """Equalize the activations that the convolutions ``nodes`` (to be quantized) read.

    amax: for each such activation the largest magnitude of every channel, (C,), from calibration; those
    without are left alone. The result computes the same as ``model``, up to rounding; tensors keep their
    names, and a Mul's output is called ``<tensor>_equalized``. Changes are "folded" (into the convolution
    before) or "scaled" (by a Mul). Raises SettingsError where ``amax`` does not fit a tensor's channels.
    """
    chosen = [
        (site, scales, gain)
        for site in scaling_sites(model, nodes)
        if site.tensor in amax and _is_wanted(site, wanted)
        for scales, gain in [_scales_of(model, site, amax[site.tensor], wanted)]
        if gain > wanted.least_gain
    ]
    result = model.ir.clone()
    editor = _Editor(result)
    for site, scales, _ in chosen:
        editor.scale(site, scales)
    return Transformed(replace(model, ir=result), tuple(_change(site, gain) for site, _, gain in chosen))


def equalizing_scales(amax: FloatArray, weight_amax: FloatArray, strength: float) -> FloatArray:
    """What to divide each channel by, (C,), at most 1: ``amax**strength / weight_amax**(1 - strength)``.

    amax: largest magnitudes of the activation. weight_amax: largest magnitudes of the weights that read each
    channel, relative to those of their output channel. Source: SmoothQuant, equation 4.
    """
    activations = _at_least(amax.astype(np.float64))
    weights = _at_least(weight_amax.astype(np.float64))
    scales = activations**strength / weights ** (1 - strength)
    relative: FloatArray = np.maximum(scales / scales.max(), SMALLEST_SCALE).astype(np.float32)
    return relative


def expected_gain(amax: FloatArray, energy: FloatArray, scales: FloatArray) -> float:
    """How many bits of resolution the scales bring to what reads an activation whose range is not clipped.

    energy: the sum of squares of the weights that read each channel, (C,). The error of rounding is taken as
    uniform in a step, equal in all channels, and independent.
    """
    before = float(amax.max()) ** 2 * float(energy.sum())
    after = float((amax / scales).max()) ** 2 * float((scales.astype(np.float64) ** 2 * energy).sum())
    return 0.5 * float(np.log2(before / after)) if before > 0 and after > 0 else 0.0


def _is_wanted(site: ScalingSite, wanted: Equalization) -> bool:
    if site.key in wanted.skipped or (site.producer is None and not wanted.multiply):
        return False
    return wanted.depthwise if site.is_depthwise else wanted.strength > 0


def _scales_of(
    model: Model, site: ScalingSite, amax: FloatArray, wanted: Equalization
) -> tuple[FloatArray, float]:
    """A site's scales, and the gain that is expected of them."""
    readers = [node for node in model.ir.graph if name_of(node) in site.readers]
    columns = [_by_input_channel(weight_of(node), groups(node)) for node in readers]
    for column in columns:
        require_channels(amax, len(column), site.tensor)
    if site.is_depthwise:
        scales = equalizing_scales(amax, np.ones_like(amax), 1.0)
    else:
        weight_amax = np.max([_relative_amax(node) for node in readers], axis=0)
        scales = equalizing_scales(amax, weight_amax, wanted.strength)
    energy = np.sum([np.square(column).sum(axis=1) for column in columns], axis=0)
    return scales, expected_gain(amax, energy, scales)


def _by_input_channel(weight: FloatArray, count: int) -> FloatArray:
    """A weight in ``count`` groups by the input channel that it reads, (in, weights of each)."""
    outputs, inputs = weight.shape[0] // count, weight.shape[1]
    grouped = weight.reshape(count, outputs, inputs, -1)
    rows: FloatArray = grouped.transpose(0, 2, 1, 3).reshape(count * inputs, -1)
    return rows


def _relative_amax(node: ir.Node) -> FloatArray:
    """For each input channel the largest weight that reads it, relative to its output channel's largest."""
    weight = np.abs(weight_of(node))
    largest = weight.max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    relative = np.divide(weight, largest, out=np.zeros_like(weight), where=largest > 0)
    amax: FloatArray = _by_input_channel(relative, groups(node)).max(axis=1)
    return amax


def _at_least(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """No magnitude below a small part of the largest; ones where there is none at all."""
    largest = magnitudes.max(initial=0.0)
    return np.maximum(magnitudes, SMALLEST_SCALE * largest) if largest > 0 else np.ones_like(magnitudes)


class _Editor:
    """Scales channels in one graph in place; only equalized's own copy is ever given to it."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._values = ir.convenience.create_value_mapping(model.graph, include_subgraphs=False)
        self._nodes = {name_of(node): node for node in model.graph}
        self._constants = ConstantEditor(model)
        self._names, self._node_names = UniqueNames(value_names(model)), UniqueNames(self._nodes)

    def scale(self, site: ScalingSite, scales: FloatArray) -> None:
        """Divide a site's channels by ``scales`` and let its readers undo that."""
        if site.producer is not None:
            self._divide_outputs(self._nodes[site.producer], scales)
        readers = [self._nodes[name] for name in site.readers]
        for reader in readers:
            self._multiply_inputs(reader, scales)
        if site.producer is None:
            divided = self._divided(self._values[site.tensor], scales, [1] * (weight_of(readers[0]).ndim - 2))
            for reader in readers:
                reader.replace_input_with(DATA, divided)

    def _divide_outputs(self, node: ir.Node, scales: FloatArray) -> None:
        weight = weight_of(node)
        self._constants.set_weight(node, weight / scales.reshape(-1, *[1] * (weight.ndim - 1)))
        self._constants.set_bias(node, bias_of(node) / scales)

    def _multiply_inputs(self, node: ir.Node, scales: FloatArray) -> None:
        weight, count = weight_of(node), groups(node)
        inputs = weight.shape[1]
        grouped = weight.reshape(count, -1, inputs, *weight.shape[2:])
        factors = scales.reshape(count, 1, inputs, *[1] * (weight.ndim - 2))
        self._constants.set_weight(node, (grouped * factors).reshape(weight.shape))

    def _divided(self, value: ir.Value, scales: FloatArray, spatial: Sequence[int]) -> ir.Value:
        inverse = np.divide(1, scales, dtype=np.float32).reshape(1, -1, *spatial)
        factors = self._constants.constant(f"{value.name}_equalizer", inverse)
        name = self._names.fresh(f"{value.name}_equalized")
        output = ir.Value(name=name, type=value.type, shape=value.shape.copy() if value.shape else None)
        node = ir.Node(
            "", "Mul", [value, factors], outputs=[output], name=self._node_names.fresh(f"{name}_Mul")
        )
        producer = value.producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], node)
        else:
            self._graph.insert_after(producer, node)
        return output


def _change(site: ScalingSite, gain: float) -> Change:
    kind = "folded" if site.producer is not None else "scaled"
    what = "depthwise" if site.is_depthwise else "shared weight scales"
    return Change(kind, site.tensor, site.readers, f"{gain:.2f} bits expected ({what})")
