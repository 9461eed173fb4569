"""TensorRT: its calibration caches, and the tensors that its fused layers leave to calibrate."""

from __future__ import annotations

from calibrant.models.onnx.ir_without_sympy import import_onnx_ir

import_onnx_ir()  # before any file here does
