"""ONNX models: loading, what to quantize, and inserting Q/DQ."""
