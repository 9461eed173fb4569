"""How a detector wants its input and gives its output: one YAML file per family, or the user's own.

The files in ``profiles/`` are the table of known families; docs/profiles.md explains every key.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.plain_yaml import MOST_BYTES, parsed_yaml
from calibrant.core.reading import read_text
from calibrant.core.types import Feeds
from calibrant.tasks.detection.decode import DECODERS, Decoder, Frame
from calibrant.tasks.detection.decode.candidates import shapes_of

T = TypeVar("T")


@dataclass(frozen=True)
class InputProfile:
    """How an image becomes the network's input: resized, padded, then (pixel / divide - mean) / std.

    ``interpolation`` is OpenCV's, or Pillow's bilinear filter, which torchvision applies to images;
    ``rounding`` is how a letterbox rounds the resized size; ``mean`` and ``std`` are in ``colour``'s order.
    """

    resize: Literal["letterbox", "stretch"] = "letterbox"
    interpolation: Literal["linear", "area", "cubic", "nearest", "pillow"] = "linear"
    align: Literal["centre", "top-left"] = "centre"
    rounding: Literal["nearest", "down"] = "nearest"
    pad: int = 114
    colour: Literal["rgb", "bgr"] = "rgb"
    divide: float = 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layout: Literal["nchw", "nhwc"] = "nchw"

    def __post_init__(self) -> None:
        if self.divide == 0 or 0 in self.std:
            raise SettingsError("divide and std divide the pixels, so they cannot be 0; use 1 to leave them")
        if not 0 <= self.pad <= 255:
            raise SettingsError(f"pad {self.pad} is no pixel value; use one from 0 to 255, e.g. 114")


@dataclass(frozen=True)
class OutputProfile:
    """How the outputs become boxes: a decoder with its parameters, and whether NMS is still to be done.

    ``class_agnostic``: boxes suppress each other whatever their classes.
    """

    decoder: Decoder
    nms: bool = True
    class_agnostic: bool = False


@dataclass(frozen=True)
class Profile:
    """A family of detectors. ``aliases`` are other families that share it; ``summary`` is one line.

    ``classes`` are the model's own, in its order: a user's profile may say what the file does not.
    """

    name: str
    input: InputProfile
    output: OutputProfile
    summary: str = ""
    aliases: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def load_profile(path: Path) -> Profile:
    """Read a user's profile.

    Raises SettingsError when the file is missing, is not YAML, or has an unknown key or value.
    """
    try:
        text = read_text(path, MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the profile '{path}' cannot be read ({error.__class__.__name__}); check the path"
        ) from error
    return parse_profile(text, path.name)


def parse_profile(text: str, source: str) -> Profile:
    """A profile from YAML text; ``source`` names it in errors. Raises SettingsError."""
    try:
        content = parsed_yaml(text)
    except ValueError as error:
        raise SettingsError(f"the profile '{source}' is not YAML: {error}; see docs/profiles.md") from error
    values = dict(_mapping(content, source))
    values.setdefault("name", Path(source).stem)
    values["input"] = _built(InputProfile, values.get("input", {}), f"{source}: input")
    values["output"] = _output(values.get("output", {}), f"{source}: output")
    return _built(Profile, values, source)


@cache
def packaged_profiles() -> Mapping[str, Profile]:
    """All families that come with Calibrant, by name."""
    folder = resources.files("calibrant.tasks.detection") / "profiles"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda f: f.name)
    parsed = [parse_profile(file.read_text(encoding="utf-8"), file.name) for file in files]
    return types.MappingProxyType({profile.name: profile for profile in parsed})


def family_named(name: str) -> Profile:
    """The packaged profile of a family, by its name or an alias (any case). Raises SettingsError."""
    wanted = name.strip().lower()
    profiles = packaged_profiles()
    for profile in profiles.values():
        if wanted in (profile.name, *profile.aliases):
            return profile
    known = [name for profile in profiles.values() for name in (profile.name, *profile.aliases)]
    raise SettingsError(
        f"no family is called '{name}'{_suggestion(wanted, known)}; known are {', '.join(profiles)}, "
        "or give a YAML profile"
    )


def is_family(name: str) -> bool:
    """Whether a packaged profile is of this name or has it as an alias, in any case."""
    wanted = name.strip().lower()
    return any(wanted in (profile.name, *profile.aliases) for profile in packaged_profiles().values())


def families_that_fit(outputs: Feeds, frame: Frame) -> list[str]:
    """The packaged families whose decoder reads these raw outputs and finds nothing against it."""
    return [name for name, profile in packaged_profiles().items() if _fits(profile, outputs, frame)]


def _fits(profile: Profile, outputs: Feeds, frame: Frame) -> bool:
    decoder = profile.output.decoder
    try:
        decoder.class_count(shapes_of(outputs), frame)
        return decoder.doubt(outputs, frame) is None
    except ModelError:
        return False


def _output(content: Any, where: str) -> OutputProfile:
    values = dict(_mapping(content, where))
    name = values.pop("decoder", None)
    if name not in DECODERS:
        raise SettingsError(
            f"{where}: no decoder is called '{name}'{_suggestion(str(name), DECODERS)}; choose one of "
            f"{', '.join(DECODERS)}"
        )
    flags = {
        key: _checked(bool, values.pop(key, default), f"{where}: {key}")
        for key, default in (("nms", True), ("class_agnostic", False))
    }
    return OutputProfile(_built(DECODERS[name], values, where), **flags)


def _built(kind: type[T], content: Any, where: str) -> T:
    """A dataclass from a mapping, refusing unknown keys and values of another type."""
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    values = _mapping(content, where)
    for key in values:
        if key not in known:
            raise SettingsError(
                f"{where}: unknown key '{key}'{_suggestion(str(key), known)}; known are {', '.join(known)}"
            )
    for name, field in known.items():
        if field.default is MISSING and name not in values:
            raise SettingsError(f"{where}: '{name}' is missing; see docs/profiles.md")
    checked = {key: _checked(hints[key], value, f"{where}: {key}") for key, value in values.items()}
    try:
        return kind(**checked)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from error


def _checked(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the type hint wants it. Raises SettingsError when it does not fit."""
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        choices = [str(choice) for choice in get_args(hint)]
        raise SettingsError(
            f"{where}: '{value}' is not possible{_suggestion(str(value), choices)}; choose one of "
            f"{', '.join(choices)}"
        )
    if get_origin(hint) is tuple:
        return _checked_tuple(get_args(hint), value, where)
    if hint not in _WORDS:  # already built
        return value
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint or (hint is float and not math.isfinite(value)):
        raise SettingsError(f"{where}: '{value}' is not {_WORDS[hint]}; see docs/profiles.md")
    return value


def _checked_tuple(items: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    open_ended = items[-1] is Ellipsis
    if not isinstance(value, list | tuple) or not (open_ended or len(value) == len(items)):
        length = "a list" if open_ended else f"a list of {len(items)}"
        raise SettingsError(f"{where}: '{value}' is not {length}; see docs/profiles.md")
    hints = [items[0]] * len(value) if open_ended else items
    return tuple(_checked(hint, item, where) for hint, item in zip(hints, value, strict=True))


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _mapping(content: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(content, Mapping):
        raise SettingsError(
            f"{where}: keys with values are needed, e.g. 'resize: letterbox'; see docs/profiles.md"
        )
    return content


def _suggestion(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
