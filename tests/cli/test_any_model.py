"""``calibrant calibrate`` takes any model: no family is needed where nothing is ranked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from outcomes import Run

from calibrant.tasks.media.images import read_image

RANDOM = np.random.default_rng(0)
SCHEMES = ("tensorrt", "onnxruntime", "openvino")


def encoder(folder: Path, batch: int | str, dtype: int = TensorProto.FLOAT) -> Path:
    """Two inputs, no image: token features (batch, length, 8) and a mask (batch, length, 1)."""
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["tokens", "w"], ["a"], name="first"),
            helper.make_node("Mul", ["a", "mask"], ["b"], name="masked"),
            helper.make_node("MatMul", ["b", "v"], ["y"], name="second"),
        ],
        "encoder",
        [
            helper.make_tensor_value_info("tokens", dtype, [batch, "length", 8]),
            helper.make_tensor_value_info("mask", dtype, [batch, "length", 1]),
        ],
        [helper.make_tensor_value_info("y", dtype, [batch, "length", 4])],
        [
            numpy_helper.from_array(RANDOM.normal(size=(8, 16)).astype(kind), "w"),
            numpy_helper.from_array(RANDOM.normal(size=(16, 4)).astype(kind), "v"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "encoder.onnx")
    return folder / "encoder.onnx"


def calibrated(run: Run, *arguments: str) -> tuple[int, str]:
    answer = run("calibrate", *arguments, "--calibrators", "minmax", "--out", "out")
    return answer.code, answer.out + answer.err


def opens(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])


@pytest.mark.parametrize("batch", ["N", 1, 4, -1])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_several_inputs_come_from_an_npz(run: Run, work: Path, batch: int | str, scheme: str) -> None:
    encoder(work, batch)
    np.savez(
        work / "calib.npz",
        tokens=RANDOM.normal(size=(6, 5, 8)).astype(np.float32),
        mask=np.ones((6, 5, 1), np.float32),
    )
    code, told = calibrated(run, "encoder.onnx", "--calib", "calib.npz", "--scheme", scheme)
    assert code == 0, told
    assert told.startswith(f"{2 if batch == 4 else 6} samples, ")
    rows = batch if isinstance(batch, int) and batch > 0 else 2
    feeds = {"tokens": np.ones((rows, 3, 8), np.float32), "mask": np.ones((rows, 3, 1), np.float32)}
    (found,) = opens(work / "out/minmax.qdq.onnx").run(None, feeds)
    assert found.shape == (rows, 3, 4)


def test_half_exports_are_fed_with_float16_or_float32(run: Run, work: Path) -> None:
    encoder(work, "N", TensorProto.FLOAT16)
    for kind in (np.float16, np.float32):
        tokens, mask = RANDOM.normal(size=(6, 5, 8)).astype(kind), np.ones((6, 5, 1), kind)
        np.savez(work / "calib.npz", tokens=tokens, mask=mask)
        code, told = calibrated(run, "encoder.onnx", "--calib", "calib.npz")
        assert code == 0, told
        assert "16-bit floats (half=True), which are taken as float32" in told
        shutil.rmtree(work / "out")


def test_what_is_missing_is_named(run: Run, work: Path) -> None:
    encoder(work, "N")
    np.savez(work / "calib.npz", tokens=np.ones((6, 5, 8), np.float32))
    code, told = calibrated(run, "encoder.onnx", "--calib", "calib.npz")
    assert code == 2
    assert "the model has the inputs 'tokens', 'mask'; save a .npz with these names" in told
    code, told = calibrated(run, "encoder.onnx", "--calib", "calib")
    assert code == 2
    assert "give arrays by the inputs' names (.npz)" in told


@pytest.mark.parametrize("shape", ["24x40", "32"])
def test_images_of_any_shape_go_into_a_model_without_a_family(run: Run, work: Path, shape: str) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name="only"),
            helper.make_node("GlobalAveragePool", ["a"], ["y"]),
        ],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5, 1, 1])],
        [numpy_helper.from_array(RANDOM.normal(size=(5, 3, 3, 3)).astype(np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=6), work / "any.onnx")
    code, told = calibrated(run, "any.onnx", "--calib", "calib")
    assert code == 2
    assert "--input-shape 640x640" in told
    code, told = calibrated(run, "any.onnx", "--calib", "calib", "--input-shape", shape)
    assert code == 0, told
    assert "no family is known: images are stretched to" in told
    assert "fed as RGB in 0..1" in told


class TestCases:
    """Small inputs on which Calibrant failed once."""

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize(
        "name",
        [
            "O08-upsample8-linear", "O10-resize10-linear", "G16-ai.onnx-domain12", "G02-cast-weight",
            "G02b-all-cast", "G03-reshape-weight", "G05-unsqueeze-weight",
        ],
    )  # fmt: skip
    def test_every_scheme_writes_a_model_that_runs(
        self, run: Run, work: Path, shared: Path, name: str, scheme: str
    ) -> None:
        path = shared / "cases" / f"{name}.onnx"
        code, told = calibrated(run, str(path), "--calib", "calib", "--scheme", scheme)
        assert code == 0, told
        assert "float" not in told, "every layer is quantized"
        pixels = read_image(next((work / "calib").iterdir()))[..., ::-1].transpose(2, 0, 1)
        image = pixels[np.newaxis].astype(np.float32) / np.float32(255)
        floats, integers = (opens(file) for file in (path, work / "out/minmax.qdq.onnx"))
        expected, found = (session.run(None, {"images": image})[0] for session in (floats, integers))
        noise = np.square(expected - found).mean() / np.square(expected).mean()
        assert -10 * np.log10(noise) > 15, "dB"

    def test_a_plugin_of_tensorrts_is_refused_in_our_words(self, run: Run, shared: Path) -> None:
        path = shared / "cases" / "G28-efficientnms-TRT-domain.onnx"
        code, told = calibrated(run, str(path), "--calib", "calib")
        assert code == 2
        assert "a plugin that only TensorRT runs; export the model without it" in told


def test_without_labels_the_float_model_is_the_reference_everywhere(run: Run, work: Path) -> None:
    """Coverage and evaluate did not ask it for anything, and failed."""
    task = ("--task", "outputs")
    sets = ("--calib", "calib", "--data", "test/images", "--limit", 6)
    how = ("--calibrators", "minmax", "--shuffles", 2, "--budget", "20s", "--out", "cov")
    covered = run("coverage", "m.onnx", *sets, *how, *task)
    assert covered.code == 0, covered.err
    assert (work / "cov" / "coverage.json").is_file()
    scored = run("evaluate", "m.onnx", "--data", "test/images", "--limit", 6, "--json", *task)
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["score"] == {"metric": "output_error", "value": 0.0}
