"""What a user should know before trusting a study's figures: one line each, for the notes and study.json."""

from __future__ import annotations

from collections.abc import Sequence

from calibrant.core.schemes import OPENVINO
from calibrant.core.types import Latency, Runtime, Scheme, Statistics
from calibrant.graph.kept_float import ASKED_FOR, reasons_in_words
from calibrant.graph.model import Model
from calibrant.graph.points import QuantPlan
from calibrant.studies.result import Trial
from calibrant.studies.verdict import BASELINE

FEW_IMAGES = 30
LITTLE = 1.0
"""mAP points below which a float model finds next to nothing."""


def on_count(test_images: int) -> list[str]:
    """Too few test images for intervals that can be believed."""
    if test_images >= FEW_IMAGES:
        return []
    return [f"the test set has {test_images} images; intervals need {FEW_IMAGES} or more, better 200"]


def on_graph(model: Model, points: QuantPlan) -> list[str]:
    """How a model's file was read, and what of it stays float without being asked to, with the reason."""
    unasked = {node: reason for node, reason in points.why_float.items() if reason != ASKED_FOR}
    return [*model.remarks, *reasons_in_words(unasked)]


def on_scheme(scheme: Scheme, runtime: Runtime) -> list[str]:
    """A runtime that computes another target's models wrongly (measured: docs/runtimes.md)."""
    if runtime.name != OPENVINO.name or scheme.activations.dtype != "int8":
        return []
    return [
        f"OpenVINO's CPU plugin computes int8 activations behind a Concat wrongly, and scheme {scheme.name} "
        f"has them; use --scheme {OPENVINO.name}"
    ]


def on_activations(statistics: Statistics, tensors: Sequence[str]) -> list[str]:
    """Quantized tensors that were zero throughout: any scale fits them, so none was measured."""
    dead = [tensor for tensor in tensors if statistics.tensors[tensor].amax == 0]
    if not dead:
        return []
    return [
        f"{len(dead)} of {len(tensors)} quantized tensors are zero in all {len(statistics.sample_ids)} "
        f"calibration images, e.g. {dead[0]!r}, so any scale fits; calibrate with more varied images"
    ]


def on_score(points: float, family: str) -> list[str]:
    """A model that finds nothing: its input, its output or the labels are misread."""
    if points >= LITTLE:
        return []
    return [
        f"the model scores {points:.1f} mAP: if it is better than that, something is misread; check that "
        f"{family} is its family (--family) and that the labels are its classes, in its order"
    ]


def on_builds(baseline: Latency | None, trials: Sequence[Trial]) -> list[str]:
    """What the runtime warned of while building, each warning once, with the models that had it."""
    built = [(BASELINE, baseline), *((trial.calibrator, trial.latency) for trial in trials)]
    warned: dict[str, list[str]] = {}
    for name, latency in built:
        for warning in latency.build_warnings if latency else ():
            warned.setdefault(warning, []).append(name)
    return [f"building {', '.join(names)}: {warning}" for warning, names in warned.items()]
