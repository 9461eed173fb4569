"""How weights are rounded: pure functions of a weight, its format and statistics of its inputs."""

from calibrant.methods.registry import METHODS, method_named
from calibrant.methods.types import InputStatistics, Method, QuantizedWeight

__all__ = ["METHODS", "InputStatistics", "Method", "QuantizedWeight", "method_named"]
