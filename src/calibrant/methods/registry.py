"""Methods by name: a sum of parts, ``awq+mse+gptq``: what is scaled, which grid, how it is rounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from calibrant.core.elements import FloatArray
from calibrant.core.errors import SettingsError
from calibrant.core.formats import Encoded, Format, decode, encode
from calibrant.methods.grids import least_squares, widest
from calibrant.methods.rounding import descent, gptq, nearest, require_along_inputs
from calibrant.methods.transforms import awq, smoothquant
from calibrant.methods.types import NOTHING, GridOf, InputStatistics, QuantizedWeight

Rounding: TypeAlias = Callable[[FloatArray, Format, GridOf, InputStatistics], Encoded]
Transform: TypeAlias = Callable[[FloatArray, InputStatistics, Callable[[FloatArray], FloatArray]], FloatArray]

TRANSFORMS: Mapping[str, Transform] = {"awq": awq, "smoothquant": smoothquant}
GRIDS: Mapping[str, GridOf] = {"rtn": widest, "mse": least_squares}
ROUNDINGS: Mapping[str, Rounding] = {"gptq": gptq, "descent": descent}


@dataclass(frozen=True)
class SumOfParts:
    """A method: scale the inputs' columns, choose a grid, round. Each part by its name."""

    name: str
    transform: str | None = None
    grid: str = "rtn"
    rounding: str | None = None

    @property
    def needs_amax(self) -> bool:
        """Whether it needs the inputs' largest magnitudes."""
        return self.transform == "smoothquant"

    @property
    def needs_moments(self) -> bool:
        """Whether it needs the inputs' second moments."""
        return self.rounding is not None or self.transform == "awq"

    @property
    def scales_inputs(self) -> bool:
        """Whether what makes the inputs has to be changed, too."""
        return self.transform is not None

    def __call__(
        self,
        weight: FloatArray,
        format: Format,  # noqa: A002
        inputs: InputStatistics = NOTHING,
    ) -> QuantizedWeight:
        """Round a weight (out, K). Raises SettingsError where things do not fit, NumericsError for NaN."""
        given = _checked(weight, inputs)
        if self.transform is None:
            return QuantizedWeight(self._rounded(given, format, inputs))
        scale = TRANSFORMS[self.transform](given, inputs, lambda tried: _stored(self, tried, format))
        scaled = InputStatistics(
            None if inputs.amax is None else inputs.amax / scale,
            None if inputs.second_moments is None else inputs.second_moments / np.outer(scale, scale),
        )
        return QuantizedWeight(self._rounded(given * scale, format, scaled), scale)

    def _rounded(self, weight: FloatArray, format: Format, inputs: InputStatistics) -> Encoded:  # noqa: A002
        require_along_inputs(format)
        rounded = nearest if self.rounding is None else ROUNDINGS[self.rounding]
        return rounded(weight, format, GRIDS[self.grid], inputs)


def _stored(method: SumOfParts, weight: FloatArray, format: Format) -> FloatArray:  # noqa: A002
    return decode(encode(weight, format, GRIDS[method.grid](weight, format, None)))


METHODS = (
    "rtn", "mse", "gptq", "mse+gptq", "mse+descent", "awq", "awq+mse", "awq+mse+gptq", "smoothquant",
    "smoothquant+gptq",
)  # fmt: skip
"""Names worth a try; other sums work as well."""


def method_named(name: str) -> SumOfParts:
    """A method by its name. Raises SettingsError with the parts that there are."""
    method = SumOfParts(name.strip().lower())
    taken: set[str] = set()
    for part in method.name.split("+"):
        for kind, known in (("transform", TRANSFORMS), ("grid", GRIDS), ("rounding", ROUNDINGS)):
            if part in known and kind not in taken:
                taken.add(kind)
                method = replace(method, **{kind: part})
                break
        else:
            raise SettingsError(
                f"{part!r} of the method {name!r} is unknown, or a second of its kind; a method is a sum "
                f"of at most one of {', '.join(TRANSFORMS)}, one of {', '.join(GRIDS)} and one of "
                f"{', '.join(ROUNDINGS)}, e.g. mse+gptq"
            )
    return method


def _checked(weight: FloatArray, inputs: InputStatistics) -> FloatArray:
    given = np.ascontiguousarray(weight, np.float32)
    if given.ndim != 2:
        raise SettingsError(
            f"a weight has the shape (outputs, inputs), not {given.shape}; give experts one by one"
        )
    count = given.shape[1]
    shapes = [
        (None if inputs.amax is None else inputs.amax.shape, (count,), "largest magnitudes"),
        (
            None if inputs.second_moments is None else inputs.second_moments.shape,
            (count, count),
            "second moments",
        ),
    ]
    for found, wanted, what in shapes:
        if found is not None and found != wanted:
            raise SettingsError(
                f"a weight of shape {given.shape} needs {what} of shape {wanted}, not {found}; "
                "calibrate this layer"
            )
    return given
