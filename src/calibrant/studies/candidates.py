"""Candidates: what each calibrator makes of a model, as files to deploy."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from calibrant.artifacts.encodings import write_encodings
from calibrant.artifacts.store import write_bytes
from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import CalibrantError, OutputError
from calibrant.core.recipes import Recipe
from calibrant.core.types import Encoding, Range, Scheme, Statistics
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import QuantPoints
from calibrant.models.onnx.qdq_variants import QdqVariants
from calibrant.stages.calibrate import RangeChoices, encodings_from
from calibrant.studies.tensorrt_scales import tensorrt_scales, with_unobserved
from calibrant.targets.tensorrt.cache import DEFAULT_TENSORRT, TensorRTCache, Version, dumps, header_for
from calibrant.targets.tensorrt.tensors import CalibratedTensors

UNSEEN = "what it reads is empty for every calibration sample"


@dataclass(frozen=True)
class QuantPlan:
    """A model, the scheme it is quantized under, and where: everything but the numbers."""

    model: Model
    scheme: Scheme
    points: QuantPoints
    ties: Mapping[str, str]

    @property
    def tensors(self) -> tuple[str, ...]:
        """The activations whose statistics the plan needs: quantized ones and those they are tied to."""
        wanted: dict[str, None] = {}
        for point in self.points.activations:
            tensor: str | None = point.encoded_as
            while tensor is not None and tensor not in wanted:
                wanted[tensor] = None
                tensor = self.ties.get(tensor)
        return tuple(wanted)

    def observed(self, seen: Container[str]) -> QuantPlan:
        """The same without the activations of which nothing was seen: they have no range, and stay in float.

        Such are those that are empty for every calibration sample, as what a spline leaves alone in a voice.
        """
        unseen = [tensor for tensor in self.tensors if tensor not in seen]
        if not unseen:
            return self
        return replace(self, points=self.points.without(unseen, UNSEEN))


@dataclass(frozen=True)
class Candidate:
    """A calibrator's encodings and files, or the reason why it has none.

    ``weights``: what several candidates' Q/DQ models read their large weights from.
    """

    calibrator: NamedCalibrator
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    cache: Path | None = None
    qdq: Path | None = None
    encodings_file: Path | None = None
    weights: Path | None = None
    failure: str | None = None
    exclude: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """How it is made."""
        return Recipe(self.calibrator.name, exclude=self.exclude)


@dataclass(frozen=True)
class CandidateFormat:
    """How candidates' files are written.

    ``tensorrt``: the version that the caches say they are of. ``calibrated``: what TensorRT's own caches of
    the model name, to name just that; None: the tensors of the statistics.
    """

    tensorrt: Version = DEFAULT_TENSORRT
    calibrated: CalibratedTensors | None = None

    def tensors(self, plan: QuantPlan) -> tuple[str, ...]:
        """The activations whose statistics candidates written so need."""
        named = self.calibrated.sources.values() if self.calibrated else ()
        return tuple(dict.fromkeys((*named, *plan.tensors)))


def write_candidates(
    plan: QuantPlan,
    statistics: Statistics,
    calibrators: Sequence[NamedCalibrator],
    out: Path,
    written_as: CandidateFormat = CandidateFormat(),
) -> tuple[Candidate, ...]:
    """Write ``<calibrator>.cache``, ``.encodings.json`` and ``.qdq.onnx`` into ``out`` for every calibrator.

    Schemes whose activations are not symmetric int8 have no cache.
    A calibrator that fails costs its own candidate only. Raises OutputError when a file cannot be
    written.
    """
    if written_as.calibrated is not None:
        statistics = with_unobserved(statistics, written_as.calibrated)
    choices = RangeChoices(statistics, plan.scheme.activations, plan.ties)
    models = QdqVariants(plan.model, plan.points, plan.scheme)
    writer = _Writer(plan, statistics, choices, models, out, written_as)
    return tuple(writer.candidate(calibrator) for calibrator in calibrators)


@dataclass(frozen=True)
class _Writer:
    """What all candidates of a plan share."""

    plan: QuantPlan
    statistics: Statistics
    choices: RangeChoices
    models: QdqVariants
    out: Path
    written_as: CandidateFormat

    def candidate(self, calibrator: NamedCalibrator) -> Candidate:
        """A calibrator's files, or why there are none. Raises OutputError."""
        scheme = self.plan.scheme
        try:
            ranges = self.choices.of(calibrator)
            encodings = encodings_from(ranges, scheme.activations)
            content = self._cache(calibrator, ranges, encodings) if scheme.has_caches else None
            save_to = self.models.saver(encodings)
            # All are made before any is written: a candidate has all its files or none.
            cache, qdq, encodings_file = (
                self.out / f"{calibrator.file_stem}{suffix}"
                for suffix in (".cache", ".qdq.onnx", ".encodings.json")
            )
            if content is not None:
                write_bytes(cache, content)
            write_encodings(encodings_file, encodings, scheme.name, self.plan.model.sha256)
            weights = save_to(qdq)
        except OutputError:
            raise
        except CalibrantError as error:
            return Candidate(calibrator, failure=str(error))
        return Candidate(calibrator, encodings, cache if content else None, qdq, encodings_file, weights)

    def _cache(
        self, calibrator: NamedCalibrator, ranges: Mapping[str, Range], encodings: Mapping[str, Encoding]
    ) -> bytes:
        calibrated = self.written_as.calibrated
        scales = _cached_scales(self.statistics, ranges, encodings, calibrator, calibrated)
        return dumps(cache_of(scales, calibrator, self.written_as.tensorrt)).encode()


def cache_of(
    scales: Mapping[str, float], calibrator: NamedCalibrator, version: Version = DEFAULT_TENSORRT
) -> TensorRTCache:
    """The calibration cache that carries per-tensor scales to a TensorRT up to 10."""
    return TensorRTCache(header_for(calibrator.algorithm, version, calibrator.quantile), scales)


def _cached_scales(
    statistics: Statistics,
    ranges: Mapping[str, Range],
    encodings: Mapping[str, Encoding],
    calibrator: NamedCalibrator,
    calibrated: CalibratedTensors | None,
) -> dict[str, float]:
    if calibrated is not None:
        return tensorrt_scales(statistics, ranges, calibrated.for_algorithm(calibrator.algorithm))
    return {tensor: float(encoding.scale) for tensor, encoding in encodings.items()}
