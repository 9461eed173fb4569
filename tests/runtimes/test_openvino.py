"""What OpenVINO needs beyond the conformance cases: real integers, names, and a first run by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from test_ort_qdq import quantized_network

from calibrant.core.errors import RuntimeFailedError, SettingsError
from calibrant.core.types import ConcurrentSession, TimedSession
from calibrant.runtimes import runtime_named
from calibrant.runtimes.openvino import OpenVINO, OpenVINOSession

IMAGE = np.random.default_rng(3).normal(size=(1, 3, 12, 10)).astype(np.float32)


def test_convolutions_run_on_integers(tmp_path: Path) -> None:
    core = ov.Core()
    compiled = core.compile_model(core.read_model(quantized_network(tmp_path / "m.onnx")), "CPU")
    types = {
        str(node.get_rt_info()["runtimePrecision"].astype(str))
        for node in compiled.get_runtime_model().get_ops()
        if str(node.get_rt_info()["layerType"].astype(str)) == "Convolution"
    }
    assert types <= {"u8", "i8"}
    assert types


def test_it_is_timed_and_run_by_several_threads(tmp_path: Path) -> None:
    with OpenVINO(workers=2).open(quantized_network(tmp_path / "m.onnx")) as session:
        assert isinstance(session, ConcurrentSession)
        assert session.concurrency == 2
        assert isinstance(session, TimedSession)
        timed = session.latency({"image": IMAGE})
        assert 0 < timed.median_ms <= timed.p99_ms


def test_a_refused_run_says_what_does_not_fit(tmp_path: Path) -> None:
    with (
        OpenVINO().open(quantized_network(tmp_path / "m.onnx")) as session,
        pytest.raises(RuntimeFailedError, match=r"input 'image' is \[1,3,12,10\], not \[1, 3, 9, 9\]"),
    ):
        session.run({"image": IMAGE[:, :, :9, :9]})


def test_options_are_checked() -> None:
    assert runtime_named("openvino:workers=1,precision=bf16").name == "openvino"
    with pytest.raises(SettingsError, match="has no option 'streams'; known: workers, precision"):
        runtime_named("openvino:streams=3")


class SlowModel:
    """A compiled model that counts how many requests are under way at once."""

    inputs: tuple[Any, ...] = ()

    def __init__(self) -> None:
        self.under_way, self.most, self.guard = 0, 0, threading.Lock()

    def create_infer_request(self) -> SlowModel:
        return self

    def infer(self, feeds: Mapping[str, Any], share_inputs: bool) -> dict[int, NDArray[Any]]:
        with self.guard:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        time.sleep(0.05)
        with self.guard:
            self.under_way -= 1
        return {0: np.zeros(1)}


def test_first_runs_are_made_one_after_the_other() -> None:
    """OpenVINO's binding deadlocks when threads use it for the first time at once."""
    model = SlowModel()
    session = OpenVINOSession(model, ["out"], concurrency=4)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: session.run({}), range(4)))
        assert model.most == 1
        list(threads.map(lambda _: session.run({}), range(4)))
        assert model.most > 1
