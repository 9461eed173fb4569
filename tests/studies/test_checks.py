"""Which check judges a model, and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.errors import RuntimeFailedError, SettingsError
from calibrant.runtimes import tensorrt_rtx
from calibrant.runtimes.tensorrt_rtx import BuiltEngine
from calibrant.studies.checks import check_named


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Thirty pairs with a zero point, each of which breaks a rule twice: when it quantizes and when not."""
    nodes, tensor = [], "x"
    for index in range(30):
        nodes.append(helper.make_node("QuantizeLinear", [tensor, "s", "z"], [f"q{index}"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"q{index}", "s", "z"], [tensor := f"d{index}"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, [1, 4])],
        [
            numpy_helper.from_array(np.asarray(0.1, np.float32), "s"),
            numpy_helper.from_array(np.asarray(3, np.int8), "z"),
        ],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(tensorrt_rtx, "is_installed", lambda: True)
    return monkeypatch


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_rtx, "is_installed", lambda: False)


def test_broken_rules_are_counted_and_the_first_are_told(model: Path) -> None:
    result = check_named("rules")(model)
    assert not result.passed
    assert result.words == "breaches of TensorRT's rules: 60"
    assert len(result.findings) == 21
    assert "a zero point other than 0" in result.findings[0]
    assert result.findings[-1] == "and 40 more"


def test_no_check_finds_nothing(model: Path) -> None:
    assert check_named("none")(model).passed


@pytest.mark.usefixtures("absent")
def test_without_tensorrt_rtx_its_rules_are_asked(model: Path) -> None:
    assert check_named("auto")(model) == check_named("rules")(model)
    with pytest.raises(SettingsError, match=r"not installed; pip install tensorrt-rtx.*--check rules"):
        check_named("tensorrt-rtx")


@pytest.mark.parametrize("name", ["auto", "tensorrt-rtx"])
def test_with_tensorrt_rtx_it_is_asked(model: Path, installed: pytest.MonkeyPatch, name: str) -> None:
    engine = BuiltEngine("1.7.1", 1.25, 100, {"images": (1, 3, 640, 640)})
    installed.setattr(tensorrt_rtx, "build", lambda _: engine)
    result = check_named(name)(model)
    assert (result.name, result.passed) == ("tensorrt-rtx", True)
    assert result.words == (
        "TensorRT-RTX 1.7.1 parsed it and built an engine in 1.2 s with dynamic input images as 1x3x640x640"
    )


@pytest.mark.parametrize("name", ["auto", "tensorrt-rtx"])
def test_its_refusal_is_a_finding(model: Path, installed: pytest.MonkeyPatch, name: str) -> None:
    def refuse(_: Path) -> BuiltEngine:
        raise RuntimeFailedError("TensorRT-RTX 1.7.1: m.onnx was not parsed: zero point")

    installed.setattr(tensorrt_rtx, "build", refuse)
    result = check_named(name)(model)
    assert not result.passed
    assert result.findings == ("TensorRT-RTX 1.7.1: m.onnx was not parsed: zero point",)


def test_one_that_does_not_load_gives_way_to_the_rules(model: Path, installed: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> BuiltEngine:
        raise SettingsError("TensorRT-RTX is installed but does not load (ImportError: libcudart)")

    installed.setattr(tensorrt_rtx, "build", fail)
    result = check_named("auto")(model)
    assert (result.name, result.passed) == ("rules", False)
    assert "rules: 60; TensorRT-RTX is installed but does not load" in result.words
    with pytest.raises(SettingsError, match="does not load"):
        check_named("tensorrt-rtx")(model)
