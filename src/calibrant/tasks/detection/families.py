"""Which family a detector belongs to, from what its graph shows, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from calibrant.core.errors import ModelError, UnknownFamilyError
from calibrant.core.types import ModelSignature
from calibrant.tasks.detection.decode.candidates import describe_shape
from calibrant.tasks.detection.inputs import ImageInput, image_input
from calibrant.tasks.detection.metadata import ExporterNotes, exporter_notes
from calibrant.tasks.detection.profile import InputProfile, Profile, family_named
from calibrant.tasks.detection.rules import RULES, Clues


@dataclass(frozen=True)
class Recognition:
    """What a model was taken for. ``class_count`` is None where neither outputs nor metadata tell it.

    ``why`` names the evidence, and what the profile assumes because no file can show it.
    """

    profile: Profile
    class_count: int | None
    class_names: tuple[str, ...] | None
    why: str


def recognise(signature: ModelSignature, profile: Profile | None = None) -> Recognition:
    """Recognise a detector's family, or check that the given profile fits it.

    Raises UnknownFamilyError when no family fits, and ModelError when the model is no detector, takes no
    image, or has outputs that the profile's decoder cannot read.
    """
    _refuse_plugins(signature)
    image = image_input(signature)
    notes = exporter_notes(signature.metadata)
    if profile is None:
        _refuse_whole_numbers(signature)
        profile, evidence = _family_of(signature, image, notes)
    else:
        evidence = f"profile '{profile.name}' was given"
    profile, remark = _as_the_input_shows(profile, image)
    shapes = {info.name: info.shape for info in signature.outputs}
    counted = profile.output.decoder.class_count(shapes, image.known_frame)
    names = profile.classes or notes.class_names
    if counted is not None and profile.classes and counted != len(profile.classes):
        raise ModelError(
            f"profile '{profile.name}' names {len(profile.classes)} classes but the outputs hold {counted}; "
            "name them all, in the model's order"
        )
    if counted is not None and names is not None and counted != len(names):
        raise ModelError(
            f"the outputs hold {counted} classes by profile '{profile.name}' but the metadata names "
            f"{len(names)}, e.g. '{names[0][:40]}'; export a detector (not segmentation or pose) or choose "
            "another --family"
        )
    count = len(names) if counted is None and names else counted
    title = f"{notes.title}, read as {profile.name}; " if notes.title else ""
    why = f"{title}{evidence}; assumes {described_input(profile.input)}{remark}, which no ONNX file shows"
    return Recognition(profile, count, names, why)


def described_input(profile: InputProfile) -> str:
    """An input profile in a few words, e.g. "letterbox centre padded with 114, RGB, divided by 255"."""
    return ", ".join(_words(profile))


def _words(profile: InputProfile) -> Iterator[str]:
    if profile.resize == "stretch":
        yield f"a stretched image ({profile.interpolation})"
    else:
        yield f"a letterbox ({profile.align}, padded with {profile.pad})"
    yield profile.colour.upper()
    yield "values 0..255" if profile.divide == 1 else f"values divided by {profile.divide:g}"
    if any(profile.mean) or set(profile.std) != {1.0}:
        yield "normalised by mean and std"


def _family_of(signature: ModelSignature, image: ImageInput, notes: ExporterNotes) -> tuple[Profile, str]:
    clues = Clues.of(signature, image, notes)
    for rule in RULES:
        finding = rule(clues)
        if finding is not None:
            return family_named(finding.family), finding.evidence
    outputs = ", ".join(f"{info.name} {describe_shape(info.shape)}" for info in signature.outputs)
    raise UnknownFamilyError(
        f"no known detector family has these outputs: {outputs}{_remark_on_maps(clues)}; "
        "name one with --family, or describe the "
        "model in a YAML profile (docs/profiles.md) and pass it as --family model.yaml"
    )


def _remark_on_maps(clues: Clues) -> str:
    """Where the only output is a map as large as the input: that is segmentation."""
    shapes = clues.all_shapes
    if len(shapes) != 1 or len(shapes[0]) != 4 or clues.frame is None:
        return ""
    sides = (clues.frame.height, clues.frame.width)
    return " (a map as large as the input segments it)" if sides in (shapes[0][1:3], shapes[0][2:]) else ""


def _refuse_whole_numbers(signature: ModelSignature) -> None:
    """A detector has scores: whole numbers alone are, say, a map of classes."""
    if signature.outputs and all(info.dtype.startswith(("int", "uint")) for info in signature.outputs):
        given = ", ".join(f"{info.name} ({info.dtype})" for info in signature.outputs)
        raise UnknownFamilyError(f"no detector gives whole numbers only: {given}; name the model's task")


def _refuse_plugins(signature: ModelSignature) -> None:
    plugins = [operator for operator in signature.op_counts if operator.endswith("_TRT")]
    if plugins:
        raise ModelError(
            f"the model holds {plugins[0]}, a plugin that only TensorRT runs; export it without "
            "TensorRT's NMS: its raw outputs are read, and NMS is done here"
        )


def _as_the_input_shows(profile: Profile, image: ImageInput) -> tuple[Profile, str]:
    """The profile with what the model's own input tells: its axis order, and bytes for pixels as they are."""
    shown: InputProfile = replace(profile.input, layout=image.layout)
    if image.dtype == "uint8":
        shown = replace(shown, divide=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    found = {
        image.layout.upper(): shown.layout != profile.input.layout,
        "unscaled pixels": (shown.divide, shown.mean, shown.std)
        != (profile.input.divide, profile.input.mean, profile.input.std),
    }
    told = " and ".join(word for word, is_new in found.items() if is_new)
    adapted: Profile = replace(profile, input=shown)
    return adapted, f", {told} as the input shows" if told else ""
