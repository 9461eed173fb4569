"""Files that are not what they should be are refused in one line that says what to do."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_graphs import GraphBuilder, small_detector

from calibrant.core.errors import ModelError
from calibrant.models.onnx.model import load_model, signature_of


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def external_detector(folder: Path) -> Path:
    """The small detector with all weights of 64 bytes or more in ``weights.bin``."""
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    proto = small_detector().model()
    onnx.save(proto, str(path), save_as_external_data=True, location="weights.bin", size_threshold=64)
    return path


def relocate(path: Path, location: str) -> None:
    """Let the model claim that its external data lies at ``location``."""
    proto = onnx.load(str(path), load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(proto.SerializeToString())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.onnx")


def test_a_folder_is_not_a_model(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_an_empty_file_and_a_device_are_not_models(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert "is empty (0 bytes)" in refusal(tmp_path / "empty.onnx")
    assert "no regular file" in refusal(Path(os.devnull))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("best.pt", "yolo export model=best.pt format=onnx"),
        ("my best.pt", "yolo export model='my best.pt' format=onnx"),
        ("best.PTH", "torch.onnx.export"),
        ("best.engine", "TensorRT engine"),
        ("best.plan", "TensorRT engine"),
        ("best.tflite", "TensorFlow Lite"),
        ("best.xml", "OpenVINO"),
        ("best.safetensors", "weights without a graph"),
    ],
)
def test_other_formats_are_recognised_by_their_name(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    assert words in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"PK\x03\x04 a renamed checkpoint", "torch.onnx.export"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"<!DOCTYPE html><title>Sign in</title>", "download it again"),
    ],
)
def test_other_formats_are_recognised_by_their_first_bytes(tmp_path: Path, start: bytes, words: str) -> None:
    (tmp_path / "model.onnx").write_bytes(start)
    assert words in refusal(tmp_path / "model.onnx")


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not a model at all", bytes(range(7, 256)) * 3])
def test_bytes_that_are_not_a_model_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    refusal(tmp_path / "model.onnx")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0), flips=st.lists(st.tuples(st.integers(0), st.integers(0, 7)), max_size=4))
def test_damaged_files_are_refused_or_loaded_but_never_crash(
    tmp_path: Path, cut: int, flips: list[tuple[int, int]]
) -> None:
    content = bytearray(small_detector().model().SerializeToString())
    for position, bit in flips:
        content[position % len(content)] ^= 1 << bit
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content[: len(content) - cut % len(content)])
    with suppress(ModelError):
        signature_of(load_model(path))


def test_a_graph_without_nodes_is_refused(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.input("x", [1])
    assert "no nodes" in refusal(graph.save(tmp_path / "empty.onnx"))


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small_detector().save(tmp_path / "model.onnx")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("calibrant.core.reading.os.open", denied)
    assert "Permission denied" in refusal(path)


def test_external_data_is_loaded_and_hashed(tmp_path: Path) -> None:
    path = external_detector(tmp_path)
    both = path.read_bytes() + (tmp_path / "weights.bin").read_bytes()
    assert load_model(path).sha256 == hashlib.sha256(both).hexdigest()


def test_missing_external_data_is_named(tmp_path: Path) -> None:
    path = external_detector(tmp_path)
    (tmp_path / "weights.bin").unlink()
    assert "'weights.bin', which is missing" in refusal(path)


def test_truncated_external_data_is_noticed(tmp_path: Path) -> None:
    path = external_detector(tmp_path)
    data = tmp_path / "weights.bin"
    data.write_bytes(data.read_bytes()[:-1])
    assert "is truncated" in refusal(path)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "sub/../../secret.bin", ""])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    path = external_detector(tmp_path / "inner")
    (tmp_path / "secret.bin").write_bytes(bytes(10_000))
    relocate(path, location)
    assert "outside its own folder" in refusal(path)


def test_external_data_behind_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    path = external_detector(tmp_path / "inner")
    data = path.with_name("weights.bin")
    data.rename(tmp_path / "secret.bin")
    data.symlink_to(tmp_path / "secret.bin")
    assert "outside its own folder" in refusal(path)


@pytest.mark.parametrize(
    ("key", "value"), [("offset", "-4"), ("offset", "many"), ("length", "3"), ("length", "-1")]
)
def test_external_data_in_impossible_places_is_refused(tmp_path: Path, key: str, value: str) -> None:
    path = external_detector(tmp_path)
    proto = onnx.load(str(path), load_external_data=False)
    entries = next(tensor.external_data for tensor in proto.graph.initializer if tensor.external_data)
    kept = [entry for entry in entries if entry.key != key]
    del entries[:]
    entries.extend([*kept, onnx.StringStringEntryProto(key=key, value=value)])
    path.write_bytes(proto.SerializeToString())
    refusal(path)


@pytest.mark.parametrize("rows", [1, 1_000_000])
def test_a_weight_whose_data_does_not_fill_its_shape_is_refused(tmp_path: Path, rows: int) -> None:
    proto = small_detector().model()
    proto.graph.initializer[0].dims[0] = rows
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    refusal(tmp_path / "model.onnx")


@pytest.mark.parametrize(("opset", "words"), [(6, "older than 7"), (99, "newer than the installed onnx")])
def test_opsets_out_of_reach_are_refused(tmp_path: Path, opset: int, words: str) -> None:
    path = small_detector().save(tmp_path / "model.onnx", opset=opset)
    assert words in refusal(path)


def test_an_invalid_graph_is_refused_with_the_checkers_reason(tmp_path: Path) -> None:
    graph = small_detector()
    graph.node("NoSuchOperator", ["out"], "more")
    assert "No Op registered for NoSuchOperator" in refusal(graph.save(tmp_path / "model.onnx"))


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    graph = GraphBuilder()
    graph.node("Add", [graph.input("x", [1]), "second"], "first")
    graph.node("Relu", ["first"], graph.output("second", [1]))
    assert "topologically" in refusal(graph.save(tmp_path / "model.onnx"))


def test_constant_nodes_may_keep_their_value_in_another_file(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32)
    (tmp_path / "constant.bin").write_bytes(values.tobytes())
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[6], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="constant.bin")
    graph = GraphBuilder()
    graph.nodes.append(helper.make_node("Constant", [], ["c"], value=tensor))
    graph.node("Add", [graph.input("x", [6]), "c"], graph.output("y", [6]))
    loaded = load_model(graph.save(tmp_path / "model.onnx"))
    stored = loaded.ir.graph[0].attributes["value"].as_tensor()
    np.testing.assert_array_equal(stored.numpy(), values)


def test_paths_may_hold_any_character(tmp_path: Path) -> None:
    folder = tmp_path / "модель 模型 é"
    assert load_model(external_detector(folder)).path == folder / "model.onnx"
