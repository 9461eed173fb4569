"""Names of formats as users type them, parsed in this one place.

``w4a16-g128``: weights of 4 bits in groups of 128, activations of 16 bits, which are left as they are.
``w8a8``: integers of 8 bits, a scale for each output channel and each token. ``-gN`` or ``-channel``,
``-asym`` and ``-static`` (one scale for all activations, from calibration) go with them; floats have names of
their own. ``+kv-fp8`` or ``+kv-int8`` behind any of them says how keys and values are cached;
``float+kv-fp8`` changes nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from calibrant.core.errors import SettingsError
from calibrant.core.formats import (
    BF16,
    E2M1,
    E4M3,
    E4M3_SCALE,
    E8M0,
    F16,
    INT3,
    INT4,
    INT8,
    UINT4,
    Format,
    PerBlock,
    PerChannel,
    PerTensor,
    PerTile,
    PerToken,
)


@dataclass(frozen=True)
class WeightActivation:
    """The formats of a layer's weights, of its inputs, and of cached keys and values; None: left so."""

    name: str
    weights: Format | None
    activations: Format | None = None
    cache: Format | None = None


def _along_inputs(size: int) -> PerBlock:
    return PerBlock(axis=-1, size=size)


_CHANNEL = PerChannel(axis=-2)  # weights are [..., outputs, inputs]
_TOKEN_INT8 = Format(INT8, PerToken(), dynamic=True)
_TOKEN_FP8 = Format(E4M3, PerToken(), dynamic=True)
_NVFP4 = Format(E2M1, _along_inputs(16), E4M3_SCALE, tensor_scale=True)
_MXFP4 = Format(E2M1, _along_inputs(32), E8M0)
_MXFP8 = Format(E4M3, _along_inputs(32), E8M0)

_FIXED = {
    "fp8": (Format(E4M3, _CHANNEL), _TOKEN_FP8),
    "fp8-static": (Format(E4M3), Format(E4M3)),
    "fp8-block": (Format(E4M3, PerTile(128, 128)), Format(E4M3, _along_inputs(128), dynamic=True)),
    "fp8-a16": (Format(E4M3, _CHANNEL), None),
    "nvfp4": (_NVFP4, replace(_NVFP4, dynamic=True)),
    "nvfp4-a16": (_NVFP4, None),
    "mxfp4": (_MXFP4, replace(_MXFP4, dynamic=True)),
    "mxfp4-a16": (_MXFP4, None),
    "mxfp8": (_MXFP8, replace(_MXFP8, dynamic=True)),
    "mxfp8-a16": (_MXFP8, None),
    "q4_0": (Format(INT4, _along_inputs(32), F16), None),
    "q4_1": (Format(UINT4, _along_inputs(32), F16, symmetric=False, minimum=True), None),
    "q8_0": (Format(INT8, _along_inputs(32), F16, narrow=True), None),
}
_WEIGHT_ELEMENTS = {"3": INT3, "4": INT4, "8": INT8}
_ACTIVATIONS = {"16": None, "8": _TOKEN_INT8}
_INTEGERS = re.compile(r"w(?P<weights>\d+)a(?P<activations>\d+)(?P<options>(-[a-z0-9]+)*)")
_GROUP = re.compile(r"g([1-9]\d*)")
_DEFAULT_GROUP = 128

FLOAT = "float"
KV_CACHES = {"fp8": Format(E4M3, PerTensor()), "int8": Format(INT8, PerTensor())}
"""Formats of a language model's cached keys and values, by name: one scale, from calibration."""

EXAMPLES = ("w8a8", "w8a16", "w4a16-g128", "w4a16-g32-asym", "w3a16-g32", *_FIXED)


def format_named(name: str) -> WeightActivation:
    """What a name means. Raises SettingsError with examples."""
    plain, plus, cache = name.strip().lower().partition("+kv-")
    if not plus:
        return _of_layers(name, plain)
    if cache not in KV_CACHES:
        raise SettingsError(
            f"{name!r}: keys and values are cached as {', '.join(KV_CACHES)}, e.g. fp8+kv-fp8, not {cache!r}"
        )
    found = WeightActivation(FLOAT, None, None) if plain == FLOAT else _of_layers(name, plain)
    return replace(found, name=f"{plain}+kv-{cache}", cache=KV_CACHES[cache])


def _of_layers(name: str, plain: str) -> WeightActivation:
    if plain in _FIXED:
        return WeightActivation(plain, *_FIXED[plain])
    found = _INTEGERS.fullmatch(plain)
    if found is None:
        raise SettingsError(f"no format is called {name!r}; known are e.g. {', '.join(EXAMPLES)}")
    bits, inputs = found["weights"], found["activations"]
    if bits not in _WEIGHT_ELEMENTS or inputs not in _ACTIVATIONS:
        raise SettingsError(
            f"{name!r} asks for weights of {bits} and activations of {inputs} bits; weights have 3, 4 or 8, "
            "activations 8 or 16, e.g. w4a16-g128"
        )
    options = found["options"].split("-")[1:]
    weights = _weights(name, bits, options)
    activations = _ACTIVATIONS[inputs]
    if "static" in options:
        if activations is None:
            raise SettingsError(f"{name!r} leaves activations as they are; leave '-static' out")
        activations = replace(activations, granularity=PerTensor(), dynamic=False)
    return WeightActivation(plain, weights, activations)


def _weights(name: str, bits: str, options: list[str]) -> Format:
    sizes = [size for size in map(_GROUP.fullmatch, options) if size]
    unknown = [
        each for each in options if each not in {"asym", "static", "channel"} and not _GROUP.fullmatch(each)
    ]
    if unknown or len(sizes) + ("channel" in options) > 1 or len(set(options)) < len(options):
        raise SettingsError(
            f"{name!r} cannot be read; behind w{bits}a16 or w{bits}a8 stand -g and a size or -channel, -asym "
            "and -static, each once, e.g. w4a16-g32-asym"
        )
    whole_rows = "channel" in options or (bits == "8" and not sizes)
    size = int(sizes[0].group(1)) if sizes else _DEFAULT_GROUP
    granularity = _CHANNEL if whole_rows else _along_inputs(size)
    element = _WEIGHT_ELEMENTS[bits]
    # Kernels multiply group scales in the activations' own type; one for a whole row costs nothing in F32.
    plain = Format(element, granularity) if whole_rows else Format(element, granularity, BF16)
    return replace(plain, symmetric="asym" not in options)
