"""Builds and runs TensorRT engines in a process of its own, under whatever Python has TensorRT.

This package stands alone: Python 3.8 or newer, numpy, tensorrt 8.5 or newer, and CUDA's driver library
through ctypes. It imports nothing of Calibrant, which starts it by its path and talks to it over stdin and
stdout (:mod:`messages`). Read :mod:`service` first.
"""

from .service import main

__all__ = ["main"]
