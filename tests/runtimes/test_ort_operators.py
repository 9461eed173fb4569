"""The compiled operator is QuantizeLinear and DequantizeLinear to the bit; without it, those run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.runtimes import ort_operators
from calibrant.runtimes.ort_files import StoredGraph, open_as_it_stands

pytestmark = pytest.mark.skipif(
    ort_operators.library() is None, reason="the operators were not compiled here (no C compiler)"
)
INTEGERS = ("int8", "uint8", "int16", "uint16")


def _run(
    nodes: Sequence[onnx.NodeProto],
    values: NDArray[np.float32],
    constants: Sequence[onnx.TensorProto] = (),
    shape: Sequence[int | str] | None = None,
) -> NDArray[np.float32]:
    graph = helper.make_graph(
        nodes,
        "pair",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape or values.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(ort_operators.DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = open_as_it_stands(StoredGraph(model, Path()))
    found: NDArray[np.float32] = session.run(["y"], {"x": values})[0]
    return found


def _both(
    values: NDArray[np.float32], scale: float, zero_point: NDArray[np.integer]
) -> list[NDArray[np.float32]]:
    size = np.float32(scale)
    constants = [numpy_helper.from_array(np.asarray(size), "s"), numpy_helper.from_array(zero_point, "z")]
    standard = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    own = ort_operators.quantize_dequantize("x", "y", np.asarray(size), zero_point)
    return [_run([own], values), _run(standard, values, constants)]


@given(
    arrays.arrays(np.float32, st.integers(1, 70), elements=st.floats(width=32)),
    st.floats(2.0**-20, 2.0**20, width=32),
    st.sampled_from(INTEGERS),
    st.data(),
)
def test_any_values_become_what_the_two_standard_operators_make_of_them(
    values: NDArray[np.float32], scale: float, dtype: str, data: st.DataObject
) -> None:
    limits = np.iinfo(dtype)
    zero_point = np.array(data.draw(st.integers(int(limits.min), int(limits.max))), dtype)
    own, standard = _both(values, scale, zero_point)
    np.testing.assert_array_equal(own, standard)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_ties_go_to_the_even_step(dtype: str) -> None:
    values = (np.arange(-40, 40, dtype=np.float32) + np.float32(0.5)) * np.float32(0.25)
    own, standard = _both(values, 0.25, np.array(20, dtype))
    np.testing.assert_array_equal(own, standard)
    assert own[40] == 0  # 0.5 steps
    assert own[41] == 0.5  # 1.5 steps


def test_shapes_that_are_known_only_when_it_runs() -> None:
    """Many detectors have a batch, height or width without a number."""
    node = ort_operators.quantize_dequantize("t", "y", np.asarray(np.float32(0.5)), np.array(0, np.int8))
    double = helper.make_node("Add", ["x", "x"], ["t"])
    values = np.linspace(-90, 90, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    expected = np.clip(np.rint(values * 4), -128, 127) / 2
    np.testing.assert_array_equal(_run([double, node], values, shape=["n", "c", "h", "w"]), expected)


def test_a_tensor_that_others_read_stays_as_it_was() -> None:
    """In place is only for tensors that nobody else reads."""
    pair = ort_operators.quantize_dequantize("t", "rounded", np.asarray(np.float32(1)), np.array(0, np.int8))
    nodes = [
        helper.make_node("Add", ["x", "x"], ["t"]),
        pair,
        helper.make_node("Sub", ["t", "rounded"], ["y"]),
    ]
    values = np.array([0.1, 0.2, -0.15], np.float32)
    np.testing.assert_array_equal(_run(nodes, values), values + values)


def test_more_dimensions_than_it_takes_are_refused_in_a_line(tmp_path: Path) -> None:
    node = ort_operators.quantize_dequantize("x", "y", np.asarray(np.float32(1)), np.array(0, np.int8))
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.Fail, match="too many dimensions"):
        _run([node], np.zeros((1,) * 9, np.float32))


def test_integers_of_other_sizes_are_not_its_own() -> None:
    assert not ort_operators.takes(np.array(0, np.int32))
    assert all(ort_operators.takes(np.array(0, dtype)) for dtype in INTEGERS)


def test_a_watch_shows_values_and_passes_them_on() -> None:
    shown: list[NDArray[np.float32]] = []
    values = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    watch = ort_operators.Watch("t", "u", lambda _, found: shown.append(found.copy()))
    nodes = [
        helper.make_node("Add", ["x", "x"], ["t"]),
        watch.node,
        helper.make_node("Neg", ["u"], ["y"]),
    ]
    np.testing.assert_array_equal(_run(nodes, values), -2 * values)
    np.testing.assert_array_equal(shown, [2 * values])


def test_a_watch_on_an_input_leaves_it_alone() -> None:
    """The input's array is the caller's, who may not find it changed: there the values are copied."""
    seen: list[float] = []
    watch = ort_operators.Watch("x", "u", lambda _, found: seen.append(float(found.sum())))
    values = np.ones((2, 3), np.float32)
    doubled = helper.make_node("Add", ["u", "u"], ["y"])
    np.testing.assert_array_equal(_run([watch.node, doubled], values), np.full((2, 3), 2))
    np.testing.assert_array_equal(values, 1)
    assert seen == [6]


def test_a_watch_that_fails_ends_the_run() -> None:
    def refuse(_: str, values: NDArray[np.float32]) -> None:
        raise ValueError(values.shape)

    watch = ort_operators.Watch("x", "y", refuse)
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.Fail, match="the watcher failed"):
        _run([watch.node], np.zeros(3, np.float32))


def test_a_watch_that_is_gone_ends_the_run() -> None:
    node = ort_operators.Watch("x", "y", lambda *_: None).node
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.Fail, match="the watcher failed"):
        _run([node], np.zeros(3, np.float32))
