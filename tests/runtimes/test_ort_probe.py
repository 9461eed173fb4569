"""What the fused probe shows is what the plain one shows, to the last count; and when it steps back."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.errors import NumericsError, RuntimeFailedError
from calibrant.core.statistics import Accumulator, TensorStatistics
from calibrant.core.types import Session
from calibrant.runtimes import ort_files, ort_shown
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.runtimes.ort_files import PROVIDERS, session_options
from calibrant.runtimes.ort_operators import library
from calibrant.runtimes.ort_probe import FusedProbe, Place, fused_probe, place_of
from calibrant.runtimes.recording import RecordingSession

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True, params=["watched", "bound"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiled operator, and as where no compiler was."""
    if request.param == "bound":
        monkeypatch.setattr(ort_shown, "library", lambda: None)
    elif library() is None:
        pytest.skip("the operators were not compiled here (no C compiler)")


def _convolution(name: str, source: str, channels: tuple[int, int]) -> tuple[onnx.NodeProto, Any]:
    weight = RNG.normal(size=(channels[1], channels[0], 3, 3)).astype(np.float32) * np.float32(0.2)
    node = helper.make_node("Conv", [source, f"{name}_w"], [name], name, kernel_shape=[3, 3], pads=[1] * 4)
    return node, numpy_helper.from_array(weight, f"{name}_w")


def _activation(kind: str, source: str, output: str) -> list[onnx.NodeProto]:
    if kind == "SiLU":
        return [
            helper.make_node("Sigmoid", [source], [f"{output}_gate"], f"{output}_gate"),
            helper.make_node("Mul", [source, f"{output}_gate"], [output], output),
        ]
    return [helper.make_node(kind, [source], [output], output)]


def network(
    path: Path, activation: str, channels: int, probed: Sequence[str], shape: Any = (1, 3, 12, 10)
) -> Path:
    """Image -> conv -> activation -> two convolutions -> sum -> activation -> conv."""
    specs = [
        ("a", "image", (3, channels)),
        ("b", "x", (channels, 8)),
        ("c", "x", (channels, 8)),
        ("d", "y", (8, 5)),
    ]
    convs = {name: _convolution(name, source, size) for name, source, size in specs}
    nodes = [
        convs["a"][0],
        *_activation(activation, "a", "x"),
        convs["b"][0],
        convs["c"][0],
        helper.make_node("Add", ["b", "c"], ["sum"], "sum"),
        *_activation(activation, "sum", "y"),
        convs["d"][0],
        helper.make_node("Sigmoid", ["d"], ["final"], "final"),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("final", *probed)]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))
    graph = helper.make_graph(nodes, "network", [image], outputs, [weight for _, weight in convs.values()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def _images(count: int = 4, shape: Sequence[int] = (1, 3, 12, 10)) -> list[NDArray[np.float32]]:
    return [RNG.normal(size=shape).astype(np.float32) for _ in range(count)]


class Seen:
    """Statistics of what an observer was shown, and in which order."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.accumulators: dict[str, Accumulator] = {}

    def __call__(self, tensor: str, *parts: NDArray[Any]) -> None:
        assert all(part.flags.c_contiguous for part in parts)
        self.order.append(tensor)
        self.accumulators.setdefault(tensor, Accumulator()).observe(*parts)

    @property
    def statistics(self) -> Mapping[str, TensorStatistics]:
        return {tensor: found.statistics() for tensor, found in self.accumulators.items()}


def _seen_by(
    session: Session, seen: Seen, images: Sequence[NDArray[np.float32]], name: str = "image"
) -> Seen:
    with session:
        for image in images:
            session.run({name: image})
    return seen


def test_weights_in_files_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort_files, "_LARGE", 64)
    probed, images = ["x", "y"], _images()
    inside = network(tmp_path / "m.onnx", "SiLU", 20, probed)
    (tmp_path / "other").mkdir()
    beside = tmp_path / "other" / "m.onnx"
    onnx.save(onnx.load(inside), beside, save_as_external_data=True, location="w.data", size_threshold=64)
    found = []
    for path in (inside, beside):
        seen = _seen_by(OnnxRuntime().record(path, probed, seen := Seen()), seen, images)
        found.append(seen.statistics)
    assert found[0].keys() == found[1].keys()
    for tensor in probed:
        np.testing.assert_array_equal(found[0][tensor].histogram.counts, found[1][tensor].histogram.counts)


def test_what_was_shown_is_let_go(tmp_path: Path) -> None:
    path, image = network(tmp_path / "m.onnx", "SiLU", 20, ["x"]), _images(1)[0]
    session = ort.InferenceSession(str(path), session_options(), PROVIDERS)
    true = dict(zip(("final", "x"), session.run(None, {"image": image}), strict=True))
    alive = weakref.ref(true["x"])
    probe = fused_probe(path, ["x"], {"image": image}, true)
    del true
    assert probe is not None
    assert alive() is None  # a sample's activations are as large as the model
    probe.close()


def _plain(
    path: Path, tensors: Sequence[str], images: Sequence[NDArray[np.float32]], name: str = "image"
) -> Seen:
    seen = Seen()
    return _seen_by(RecordingSession(OnnxRuntime().open(path), tensors, seen), seen, images, name)


def _assert_same(one: Seen, other: Seen) -> None:
    assert Counter(one.order) == Counter(other.order)
    for tensor, expected in one.statistics.items():
        found = other.statistics[tensor]
        assert (found.low, found.high) == (expected.low, expected.high), tensor
        assert found.histogram.limit == expected.histogram.limit, tensor
        np.testing.assert_array_equal(found.histogram.counts, expected.histogram.counts, tensor)


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[FusedProbe | None]:
    """Every probe that a session made; None where it stepped back."""
    made: list[FusedProbe | None] = []

    def keep(*arguments: Any) -> FusedProbe | None:
        made.append(fused_probe(*arguments))
        return made[-1]

    monkeypatch.setattr("calibrant.runtimes.ort_recording.fused_probe", keep)
    return made


@pytest.mark.parametrize("activation", ["SiLU", "LeakyRelu", "Relu"])
@pytest.mark.parametrize("channels", [16, 20, 3])
def test_it_shows_what_the_plain_probe_shows(
    activation: str, channels: int, tmp_path: Path, probes: list[FusedProbe | None]
) -> None:
    tensors, images = ["y", "image", "x"], _images()
    path = network(tmp_path / "m.onnx", activation, channels, ["x", "y"])
    seen = Seen()
    _seen_by(OnnxRuntime().record(path, tensors, seen), seen, images)
    assert len(probes) == 1
    assert probes[0] is not None
    _assert_same(_plain(path, tensors, images), seen)


def test_batches_show_each_image_without_padding(tmp_path: Path, probes: list[FusedProbe | None]) -> None:
    images = _images(shape=(3, 3, 12, 10))
    path = network(tmp_path / "m.onnx", "SiLU", 20, ["x", "y"], shape=(3, 3, 12, 10))
    seen = Seen()
    _seen_by(OnnxRuntime().record(path, ["x", "y"], seen), seen, images)
    assert probes[0] is not None
    _assert_same(_plain(path, ["x", "y"], images), seen)


def test_outputs_are_there_for_who_looks(tmp_path: Path) -> None:
    path, images = network(tmp_path / "m.onnx", "SiLU", 20, ["x"]), _images()
    seen = Seen()
    with OnnxRuntime().record(path, ["x"], seen) as session, OnnxRuntime().open(path) as plain:
        for image in images:
            outputs, expected = session.run({"image": image}), plain.run({"image": image})
            assert set(outputs) == set(expected)
            np.testing.assert_array_equal(outputs["final"], expected["final"])
    _assert_same(_plain(path, ["x"], images), seen)


def test_threads_do_not_share_buffers(tmp_path: Path) -> None:
    path, images = network(tmp_path / "m.onnx", "SiLU", 20, ["x"]), _images(40)
    sums: list[float] = []
    with (
        OnnxRuntime(workers=4).record(
            path,
            ["x"],
            lambda tensor, *parts: sums.append(sum(float(part.sum(dtype=np.float64)) for part in parts)),
        ) as session,
        OnnxRuntime().open(path) as plain,
    ):
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda image: session.run({"image": image}), images))
        expected = [float(plain.run({"image": image})["x"].sum(dtype=np.float64)) for image in images]
    np.testing.assert_allclose(sorted(sums), sorted(expected), rtol=1e-9)


def test_other_shapes_than_the_first_are_run_plainly(tmp_path: Path, probes: list[FusedProbe | None]) -> None:
    path = network(tmp_path / "m.onnx", "SiLU", 20, ["x"], shape=(1, 3, "h", "w"))
    images = [*_images(2), *_images(2, (1, 3, 8, 16)), *_images(1)]
    seen = Seen()
    _seen_by(OnnxRuntime().record(path, ["x"], seen), seen, images)
    assert probes[0] is not None
    _assert_same(_plain(path, ["x"], images), seen)


def test_what_the_optimizer_hides_is_shown_plainly(tmp_path: Path, probes: list[FusedProbe | None]) -> None:
    tensors, images = ["a", "b", "sum", "d"], _images()
    path = network(tmp_path / "m.onnx", "Relu", 20, tensors)
    seen = Seen()
    _seen_by(OnnxRuntime().record(path, tensors, seen), seen, images)
    assert probes == [None]
    _assert_same(_plain(path, tensors, images), seen)


@pytest.mark.parametrize("fails", ["making", "running"])
def test_a_probe_that_fails_is_replaced(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no")

    if fails == "making":
        monkeypatch.setattr("calibrant.runtimes.ort_probe.optimized", broken)
    else:
        monkeypatch.setattr(FusedProbe, "run", broken)
    path, images, seen = network(tmp_path / "m.onnx", "SiLU", 20, ["x"]), _images(), Seen()
    _seen_by(OnnxRuntime().record(path, ["x"], seen), seen, images)
    _assert_same(_plain(path, ["x"], images), seen)


def test_what_an_observer_raises_is_raised_and_nothing_is_shown_twice(tmp_path: Path) -> None:
    path, images = network(tmp_path / "m.onnx", "SiLU", 20, ["x", "y"]), _images(3)
    seen: list[str] = []

    def observe(tensor: str, *_: NDArray[Any]) -> None:
        seen.append(tensor)
        if len(seen) == 3:
            raise NumericsError("a value is NaN")

    with OnnxRuntime().record(path, ["x", "y"], observe) as session:
        session.run({"image": images[0]})
        with pytest.raises(NumericsError, match="a value is NaN"):
            session.run({"image": images[1]})
        assert len(seen) == 3
        session.run({"image": images[2]})
    assert Counter(seen[3:]) == {"x": 1, "y": 1}


def test_a_run_that_fails_half_way_is_an_error(
    tmp_path: Path, probes: list[FusedProbe | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain probe would show once more what was counted already."""
    path, images, seen = network(tmp_path / "m.onnx", "SiLU", 20, ["x"]), _images(2), Seen()

    def half_way(_: FusedProbe, feeds: Any, observe: Any) -> None:
        observe("x", feeds["image"])
        raise RuntimeFailedError("no memory")

    with OnnxRuntime().record(path, ["x"], seen) as session:
        session.run({"image": images[0]})
        monkeypatch.setattr(FusedProbe, "run", half_way)
        with pytest.raises(RuntimeFailedError, match="no memory"):
            session.run({"image": images[1]})
    assert seen.order == ["x", "x"]


def test_places_that_only_chance_supports_are_refused() -> None:
    constant = np.zeros((1, 12, 2, 2), np.float32)
    assert place_of("x", "elsewhere", np.zeros((1, 16, 2, 2), np.float32), constant) is None
    assert place_of("x", "x", constant, constant) == Place("x", (1, 12, 2, 2), 12, 1)
    pattern = np.array([1, 2, 3, 4, 0, 0, 0, 0, 1, 2, 3, 4], np.float32)
    true = np.tile(pattern.reshape(1, 12, 1, 1), (1, 1, 2, 2))
    stored = np.tile(np.append(pattern, np.zeros(4, np.float32)), 4).reshape(1, 16, 2, 2)
    assert place_of("x", "elsewhere", stored, true) is None  # it may be two blocks of 8, or one of 16
    pixel = np.append(pattern, np.zeros(4, np.float32)).reshape(1, 16, 1, 1)
    found = place_of("x", "elsewhere", pixel, true[:, :, :1, :1])
    assert found is not None
    assert np.array_equal(np.concatenate([part.reshape(-1) for part in found.parts(pixel)]), pattern)


@pytest.mark.parametrize("model", ["yolox_nano_416", "fastestdet_352"])
def test_real_detectors_give_the_same_counts(model: str, shared: Path, tmp_path: Path, probes: Any) -> None:
    loaded = onnx.load(shared / "models" / f"{model}.onnx")
    name = loaded.graph.input[0].name
    shape = [dim.dim_value for dim in loaded.graph.input[0].type.tensor_type.shape.dim]
    tensors = list(dict.fromkeys(n.input[0] for n in loaded.graph.node if n.op_type == "Conv"))
    shown = {value.name for value in (*loaded.graph.output, *loaded.graph.input)}
    loaded.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in tensors if tensor not in shown)
    onnx.save(loaded, tmp_path / "probed.onnx")
    images = [RNG.uniform(0, 255 if "yolox" in model else 1, shape).astype(np.float32) for _ in range(6)]
    seen = Seen()
    _seen_by(OnnxRuntime().record(tmp_path / "probed.onnx", tensors, seen), seen, images, name)
    assert probes[0] is not None
    _assert_same(_plain(tmp_path / "probed.onnx", tensors, images, name), seen)
