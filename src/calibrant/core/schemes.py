"""Targets as data: what each one quantizes, and how. A new target is a new row."""

from __future__ import annotations

from calibrant.core.errors import SettingsError
from calibrant.core.types import PerChannel, QuantSpec, Scheme

TENSORRT = Scheme(
    name="tensorrt",
    activations=QuantSpec("int8", symmetric=True),
    # The axis is the operator's own (weight_axis); the spec's axis is replaced by it.
    weights=QuantSpec("int8", symmetric=True, granularity=PerChannel(0), narrow=True),
    weight_axis={"Conv": 0, "ConvTranspose": 1, "Gemm": 0, "MatMul": -1},
    min_opset=13,
)

SCHEMES = {scheme.name: scheme for scheme in (TENSORRT,)}


def scheme_named(name: str) -> Scheme:
    """Look a scheme up. Raises SettingsError with the known names."""
    try:
        return SCHEMES[name]
    except KeyError:
        raise SettingsError(f"no scheme is called {name!r}; known: {', '.join(sorted(SCHEMES))}") from None
