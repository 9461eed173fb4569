"""ONNX models: loading, what to quantize, and inserting Q/DQ."""

from __future__ import annotations

from calibrant.models.onnx.ir_without_sympy import import_onnx_ir

import_onnx_ir()
