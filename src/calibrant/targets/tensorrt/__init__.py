"""TensorRT: its calibration caches, and the tensors that its fused layers leave to calibrate."""
