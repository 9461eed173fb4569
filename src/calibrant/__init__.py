"""Calibrant: choose how to quantize a trained model, by measurement."""

__version__ = "0.1.0"
