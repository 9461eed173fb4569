"""Laws of Q/DQ insertion over random graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_graphs import GraphBuilder, run, saved, wide_encodings

from calibrant.core.schemes import TENSORRT
from calibrant.models.onnx.model import load_model, save_model
from calibrant.models.onnx.points import QuantPoints, quant_points
from calibrant.models.onnx.qdq import with_qdq

X = np.random.default_rng(11).normal(size=(1, 3, 8, 8)).astype(np.float32)


@st.composite
def random_graphs(draw: st.DrawFn) -> GraphBuilder:
    """A DAG of convolutions, sums, activations and poolings on 1x3x8x8 tensors; weights may be shared."""
    graph = GraphBuilder(seed=draw(st.integers(0, 1000)))
    tensors = [graph.input("x", [1, 3, 8, 8])]
    graph.weight("shared", 3, 3, 1, 1)
    for index in range(draw(st.integers(1, 10))):
        source, other = draw(st.sampled_from(tensors)), draw(st.sampled_from(tensors))
        output = f"t{index}"
        match draw(st.sampled_from(["conv", "depthwise", "shared", "add", "relu", "pool"])):
            case "conv":
                graph.conv(source, output, (3, 3), kernel=3)
            case "depthwise":
                graph.conv(source, output, (1, 3), kernel=3, group=3)
            case "shared":
                graph.node("Conv", [source, "shared"], output)
            case "add":
                graph.node("Add", [source, other], output)
            case "relu":
                graph.node("Relu", [source], output)
            case "pool":
                graph.node("MaxPool", [source], output, kernel_shape=[3, 3], pads=[1] * 4)
        tensors.append(output)
    for output in draw(st.sets(st.sampled_from(tensors[1:]), min_size=1, max_size=3)):
        graph.output(output, [1, 3, 8, 8])
    return graph


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=random_graphs(), spared=st.sets(st.integers(0, 9)), float_weights=st.booleans())
def test_any_graph_is_quantized_exactly_where_the_plan_says(
    tmp_path: Path, graph: GraphBuilder, spared: set[int], float_weights: bool
) -> None:
    model = load_model(graph.save(tmp_path / "m.onnx"))
    before = ir.serde.serialize_model(model.ir).SerializeToString(deterministic=True)
    candidates = [point.node for point in quant_points(model, TENSORRT).weights]
    keep = [name for index, name in enumerate(candidates) if index in spared]
    plan = quant_points(model, TENSORRT, exclude=keep)
    result = with_qdq(model, plan, wide_encodings(plan), TENSORRT, float_weights=float_weights)
    loaded = saved(result, tmp_path / "q.onnx")

    assert ir.serde.serialize_model(model.ir).SerializeToString(deterministic=True) == before
    assert reads_of(loaded.ir) == expected_reads(model.ir, plan)
    pairs = [node for node in loaded.ir.graph if node.op_type == "QuantizeLinear"]
    stored = {point.tensor for point in plan.weights} if float_weights else set()
    assert len(pairs) == len(plan.activations) + len(stored)
    run(loaded.path, {"x": X})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=random_graphs())
def test_an_empty_plan_changes_nothing(tmp_path: Path, graph: GraphBuilder) -> None:
    model = load_model(graph.save(tmp_path / "m.onnx"))
    save_model(with_qdq(model, QuantPoints((), (), ()), {}, TENSORRT), tmp_path / "q.onnx")
    for name, expected in run(model.path, {"x": X}).items():
        np.testing.assert_array_equal(run(tmp_path / "q.onnx", {"x": X})[name], expected)


def reads_of(model: ir.Model) -> dict[tuple[str, int], str]:
    """What each node other than Q and DQ reads."""
    return {
        (node.name or "", index): value.name or ""
        for node in model.graph
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear")
        for index, value in enumerate(node.inputs)
        if value is not None
    }


def expected_reads(model: ir.Model, plan: QuantPoints) -> dict[tuple[str, int], str]:
    """The same of the float model, with the plan's reads going to the dequantized tensors."""
    reads = reads_of(model)
    for activation in plan.activations:
        for consumer in activation.consumers:
            reads[consumer] = f"{activation.tensor}_dequantized"
    for weight in plan.weights:
        reads[weight.node, weight.input_index] = f"{weight.tensor}_dequantized"
    return reads
