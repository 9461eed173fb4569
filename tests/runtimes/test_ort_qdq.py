"""The faster session of a Q/DQ model gives the plain one's bits, and steps back where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.runtimes import ort_files, ort_qdq
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.runtimes.ort_files import PROVIDERS, session_options
from calibrant.runtimes.ort_operators import library
from calibrant.runtimes.ort_qdq import QdqFile
from calibrant.runtimes.ort_verified import Verified

RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def nothing_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has run no model yet."""
    monkeypatch.setattr(ort_qdq, "_VERIFIED", Verified())


def known_session(path: Path) -> ort.InferenceSession | None:
    return QdqFile(path).known_session()


def faster_session(path: Path, feeds: dict[str, Any], true: dict[str, Any]) -> ort.InferenceSession | None:
    """As for the first model of its kind."""
    model = QdqFile(path)
    assert model.known_session() is None
    return model.verified_session(feeds, true)


def _pair(tensor: str, scale: float, constants: dict[str, Any]) -> list[onnx.NodeProto]:
    constants[f"{tensor}_scale"], constants[f"{tensor}_zero"] = np.float32(scale), np.int8(0)
    parameters = [f"{tensor}_scale", f"{tensor}_zero"]
    return [
        helper.make_node("QuantizeLinear", [tensor, *parameters], [f"{tensor}_q"], f"{tensor}_Q"),
        helper.make_node("DequantizeLinear", [f"{tensor}_q", *parameters], [f"{tensor}_dq"], f"{tensor}_DQ"),
    ]


def _convolution(
    name: str, source: str, channels: tuple[int, int], constants: dict[str, Any]
) -> list[onnx.NodeProto]:
    constants[f"{name}_w"] = RNG.integers(-127, 128, (channels[1], channels[0], 3, 3)).astype(np.int8)
    constants[f"{name}_s"] = RNG.uniform(0.001, 0.003, channels[1]).astype(np.float32)
    constants[f"{name}_z"] = np.zeros(channels[1], np.int8)
    weight = [f"{name}_w", f"{name}_s", f"{name}_z"]
    return [
        helper.make_node("DequantizeLinear", weight, [f"{name}_f"], f"{name}_wDQ", axis=0),
        helper.make_node("Conv", [source, f"{name}_f"], [name], name, kernel_shape=[3, 3], pads=[1] * 4),
    ]


def quantized_network(path: Path, scale: float = 0.02) -> Path:
    """Conv, SiLU, two convolutions, their sum, Relu, conv; a pair before each convolution."""
    constants: dict[str, Any] = {}
    nodes = [
        *_pair("image", 0.03, constants),
        *_convolution("a", "image_dq", (3, 20), constants),
        helper.make_node("Sigmoid", ["a"], ["gate"], "gate"),
        helper.make_node("Mul", ["a", "gate"], ["x"], "x"),
        *_pair("x", scale, constants),
        *_convolution("b", "x_dq", (20, 8), constants),
        *_convolution("c", "x_dq", (20, 8), constants),
        helper.make_node("Add", ["b", "c"], ["sum"], "sum"),
        helper.make_node("Relu", ["sum"], ["y"], "y"),
        *_pair("y", 0.05, constants),
        *_convolution("d", "y_dq", (8, 5), constants),
        helper.make_node("Sigmoid", ["d"], ["final"], "final"),
    ]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 12, 10])],
        [helper.make_tensor_value_info("final", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def weights_beside(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same file with its weights in another one; they are called large."""
    monkeypatch.setattr(ort_files, "_LARGE", 64)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.data", size_threshold=64)
    return path


def _image() -> NDArray[np.float32]:
    return RNG.normal(size=(1, 3, 12, 10)).astype(np.float32)


def _plain(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    session = ort.InferenceSession(str(path), session_options(), PROVIDERS)

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(["final"], {"image": image})[0]
        return found

    return run


@pytest.fixture(params=["own operator", "standard operators"])
def either_pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiled operator, and as where no compiler was."""
    if request.param == "standard operators":
        monkeypatch.setattr(ort_qdq, "library", lambda: None)
    elif library() is None:
        pytest.skip("the operators were not compiled here (no C compiler)")


@pytest.mark.usefixtures("either_pair")
def test_a_network_is_run_faster_with_the_same_bits(tmp_path: Path) -> None:
    path, images = quantized_network(tmp_path / "m.onnx"), [_image() for _ in range(5)]
    plain = _plain(path)
    faster = faster_session(path, {"image": images[0]}, {"final": plain(images[0])})
    assert faster is not None
    with OnnxRuntime().open(path) as session:
        for image in images:
            np.testing.assert_array_equal(faster.run(["final"], {"image": image})[0], plain(image))
            np.testing.assert_array_equal(session.run({"image": image})["final"], plain(image))


@pytest.mark.usefixtures("either_pair")
def test_weights_in_files_stay_there_and_give_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, image = weights_beside(quantized_network(tmp_path / "m.onnx"), monkeypatch), _image()
    plain = _plain(path)(image)
    faster = faster_session(path, {"image": image}, {"final": plain})
    assert faster is not None
    np.testing.assert_array_equal(faster.run(["final"], {"image": image})[0], plain)
    kept = ort_qdq._VERIFIED.graph_of(path)
    assert kept is not None
    assert kept.names_weights
    assert max(len(tensor.raw_data) for tensor in kept.proto.graph.initializer) < 64
    again = known_session(path)
    assert again is not None
    np.testing.assert_array_equal(again.run(["final"], {"image": image})[0], plain)


def test_weights_that_change_in_their_file_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, image = weights_beside(quantized_network(tmp_path / "m.onnx"), monkeypatch), _image()
    faster_session(path, {"image": image}, {"final": _plain(path)(image)})
    weights_beside(quantized_network(tmp_path / "new.onnx"), monkeypatch).replace(path)
    faster = faster_session(path, {"image": image}, {"final": _plain(path)(image)})
    assert faster is not None
    np.testing.assert_array_equal(faster.run(["final"], {"image": image})[0], _plain(path)(image))


def test_the_plain_session_is_closed_before_another_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, image = quantized_network(tmp_path / "m.onnx"), _image()
    with OnnxRuntime().open(path) as session:
        opened = []

        def verified(model: QdqFile, feeds: Any, true: Any) -> None:
            opened.append(session._session)

        monkeypatch.setattr(QdqFile, "verified_session", verified)
        first, second = (session.run({"image": image})["final"] for _ in range(2))
    assert opened == [None]
    np.testing.assert_array_equal(first, second)


def test_float_weights_with_a_pair_are_the_same_to_it(tmp_path: Path) -> None:
    path, image = quantized_network(tmp_path / "m.onnx"), _image()
    model = onnx.load(path)
    for name in "abcd":
        stored = next(tensor for tensor in model.graph.initializer if tensor.name == f"{name}_w")
        floats = numpy_helper.to_array(stored).astype(np.float32) * np.float32(0.0021)
        stored.CopyFrom(numpy_helper.from_array(floats, f"{name}_w"))
        weight = [f"{name}_w", f"{name}_s", f"{name}_z"]
        quantize = helper.make_node("QuantizeLinear", weight, [f"{name}_i"], f"{name}_wQ", axis=0)
        model.graph.node.insert(0, quantize)
        next(node for node in model.graph.node if node.name == f"{name}_wDQ").input[0] = f"{name}_i"
    onnx.save(model, path)
    assert faster_session(path, {"image": image}, {"final": _plain(path)(image)}) is not None


def test_candidates_of_other_scales_are_not_mixed_up(tmp_path: Path) -> None:
    state = RNG.bit_generator.state
    image = _image()
    answers = []
    for scale in (0.02, 0.04):
        RNG.bit_generator.state = state  # the same weights
        path = quantized_network(tmp_path / f"{scale}.onnx", scale)
        faster = known_session(path) or faster_session(path, {"image": image}, {"final": _plain(path)(image)})
        assert faster is not None
        answers.append(faster.run(["final"], {"image": image})[0])
        np.testing.assert_array_equal(answers[-1], _plain(path)(image))
    assert not np.array_equal(*answers)


def test_outputs_that_differ_are_a_reason_to_step_back(tmp_path: Path) -> None:
    path, image = quantized_network(tmp_path / "m.onnx"), _image()
    true = _plain(path)(image)
    assert faster_session(path, {"image": image}, {"final": np.nextafter(true, np.float32(2))}) is None


def test_pairs_that_the_own_operator_lacks_are_left_to_the_standard_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort_qdq, "takes", lambda zero_point: zero_point.ndim > 0)
    path, image = quantized_network(tmp_path / "m.onnx"), _image()
    faster = faster_session(path, {"image": image}, {"final": _plain(path)(image)})
    assert faster is not None
    again = _image()
    np.testing.assert_array_equal(faster.run(["final"], {"image": again})[0], _plain(path)(again))


@pytest.mark.usefixtures("either_pair")
def test_pairs_are_verified_once_for_all_scales(tmp_path: Path) -> None:
    paths = [quantized_network(tmp_path / f"{scale}.onnx", scale) for scale in (0.02, 0.04)]
    paths[1].write_bytes(_with_weights_of(paths[0], paths[1]))
    image, again = _image(), _image()
    assert faster_session(paths[0], {"image": image}, {"final": _plain(paths[0])(image)}) is not None
    for path in [*paths, *paths]:
        known = known_session(path)
        assert known is not None
        np.testing.assert_array_equal(known.run(["final"], {"image": again})[0], _plain(path)(again))
        with OnnxRuntime().open(path) as session:
            np.testing.assert_array_equal(session.run({"image": again})["final"], _plain(path)(again))


@pytest.mark.parametrize("change", ["a pair less", "other integers"])
def test_pairs_in_other_places_or_of_other_kinds_are_verified_anew(change: str, tmp_path: Path) -> None:
    path, other, image = quantized_network(tmp_path / "m.onnx"), tmp_path / "other.onnx", _image()
    model = onnx.load(path)
    if change == "a pair less":
        next(node for node in model.graph.node if node.name == "c").input[0] = "x"
    else:
        zero = next(tensor for tensor in model.graph.initializer if tensor.name == "x_zero")
        zero.CopyFrom(numpy_helper.from_array(np.array(3, np.uint8), zero.name))
    onnx.save(model, other)
    for file in (path, other):
        assert faster_session(file, {"image": image}, {"final": _plain(file)(image)}) is not None
    assert known_session(path) is not None
    assert known_session(other) is not None


def test_a_file_that_was_written_anew_is_verified_anew(tmp_path: Path) -> None:
    path, image = quantized_network(tmp_path / "m.onnx"), _image()
    assert faster_session(path, {"image": image}, {"final": _plain(path)(image)}) is not None
    assert known_session(path) is not None
    quantized_network(path, 0.04)  # and with other weights
    assert known_session(path) is None
    path.unlink()
    assert known_session(path) is None


def test_another_float_model_ends_what_was_known_of_the_last(tmp_path: Path) -> None:
    first, image = quantized_network(tmp_path / "a.onnx"), _image()
    second = quantized_network(tmp_path / "b.onnx")
    for path in (first, second):
        assert faster_session(path, {"image": image}, {"final": _plain(path)(image)}) is not None
    assert known_session(second) is not None
    assert known_session(first) is None


def _with_weights_of(source: Path, target: Path) -> bytes:
    """Of two networks that were drawn, the second with the first one's weights and its own scale."""
    model, weights = (
        onnx.load(target),
        {tensor.name: tensor for tensor in onnx.load(source).graph.initializer},
    )
    for tensor in model.graph.initializer:
        if tensor.name[1:] in {"_w", "_s"} and tensor.name[0] in "abcd":
            tensor.CopyFrom(weights[tensor.name])
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("change", ["not a pair", "no pairs"])
def test_other_models_are_left_as_they_are(change: str, tmp_path: Path) -> None:
    path, image = quantized_network(tmp_path / "m.onnx"), _image()
    model = onnx.load(path)
    if change == "not a pair":  # dequantized by other parameters than it was quantized by
        next(node for node in model.graph.node if node.name == "x_DQ").input[1] = "y_scale"
    else:
        model = helper.make_model(
            helper.make_graph(
                [helper.make_node("Relu", ["image"], ["final"], "final")],
                "float",
                [*model.graph.input],
                [*model.graph.output],
            ),
            opset_imports=[helper.make_opsetid("", 13)],
            ir_version=8,
        )
    onnx.save(model, path)
    plain = _plain(path)
    assert faster_session(path, {"image": image}, {"final": plain(image)}) is None
    with OnnxRuntime().open(path) as session:
        for again in (image, _image()):
            np.testing.assert_array_equal(session.run({"image": again})["final"], plain(again))
