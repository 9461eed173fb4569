"""Every runtime that is installed fits in."""

from __future__ import annotations

from calibrant.runtimes.openvino import OpenVINO
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.testing import RuntimeConformance


class TestOnnxRuntime(RuntimeConformance):
    runtime = OnnxRuntime()


class TestOneWorker(RuntimeConformance):
    runtime = OnnxRuntime(workers=1)


class TestFused(RuntimeConformance):
    runtime = OnnxRuntime(qdq="fused")


class TestOpenVINO(RuntimeConformance):
    runtime = OpenVINO()
