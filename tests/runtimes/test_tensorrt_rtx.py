"""TensorRT-RTX as a judge: its words reach the user, and its crashes stay its own."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.errors import RuntimeFailedError, SettingsError
from calibrant.runtimes import tensorrt_rtx
from calibrant.runtimes.tensorrt_rtx import BuiltEngine, build

INSTALLED = importlib.util.find_spec("tensorrt_rtx") is not None
STAND_IN = Path(__file__).with_name("fake_tensorrt_rtx")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(STAND_IN))
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN), prepend=os.pathsep)


def model(folder: Path, word: str) -> Path:
    path = folder / "mödel 1.onnx"
    path.write_text(word)
    return path


@pytest.mark.usefixtures("stand_in")
class TestWithAStandIn:
    def test_a_model_that_builds(self, tmp_path: Path) -> None:
        engine = build(model(tmp_path, "good"))
        assert engine == BuiltEngine("1.7.1-stand-in", engine.seconds, 1234, {})

    def test_dynamic_inputs_are_built_for_a_shape_that_is_told(self, tmp_path: Path) -> None:
        assert build(model(tmp_path, "dynamic")).shapes == {"images": (1, 3, 640, 640)}

    @pytest.mark.parametrize(
        ("word", "words"),
        [
            ("zero point", r"1\.7\.1-stand-in: mödel 1\.onnx was not parsed: .*Non-zero zero point is not"),
            ("no kernel", r"was not built: Could not find any implementation for node Conv_7$"),
            ("dynamic, no kernel", r"was not built with dynamic input images as 1x3x640x640: Could not"),
            ("crash", r"crashed on mödel 1\.onnx \(SIGSEGV\)"),
        ],
    )
    def test_a_refusal_is_told_in_its_words(self, tmp_path: Path, word: str, words: str) -> None:
        with pytest.raises(RuntimeFailedError, match=words) as refusal:
            build(model(tmp_path, word))
        assert "\n" not in str(refusal.value)

    def test_a_hang_ends(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeFailedError, match="within 3 s"):
            build(model(tmp_path, "hang"), timeout=3)

    def test_a_package_that_does_not_load_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RTX_DOES_NOT_LOAD", "1")
        with pytest.raises(SettingsError, match=r"does not load \(ImportError: libcudart"):
            build(model(tmp_path, "good"))


def test_without_the_package_its_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_rtx, "is_installed", lambda: False)
    with pytest.raises(SettingsError, match=r"not installed; pip install tensorrt-rtx"):
        build(model(tmp_path, "good"))


@pytest.mark.skipif(not INSTALLED, reason="TensorRT-RTX is not installed")
@pytest.mark.parametrize("zero_point", [0, 3])
def test_the_real_one_takes_symmetric_scales_only(tmp_path: Path, zero_point: int) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [
            numpy_helper.from_array(np.asarray(0.1, np.float32), "s"),
            numpy_helper.from_array(np.asarray(zero_point, np.int8), "z"),
        ],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    if zero_point == 0:
        assert build(path).engine_bytes > 0
    else:
        with pytest.raises(RuntimeFailedError, match="zero point"):
            build(path)
