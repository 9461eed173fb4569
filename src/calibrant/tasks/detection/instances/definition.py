"""What each task of instances is, whatever the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.metrics import Metric
from calibrant.core.tasks import AUTO, MODEL, Reading, Recognition, SampleSet, TaskDefinition, option
from calibrant.core.types import ModelSignature
from calibrant.tasks.detection.classes import match_categories, remark_on_names
from calibrant.tasks.detection.decode.candidates import describe_shape
from calibrant.tasks.detection.evidence import MatchTable
from calibrant.tasks.detection.families import described_input
from calibrant.tasks.detection.inputs import image_input
from calibrant.tasks.detection.instances.differences import InstanceDifferences
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.labels import open_instances
from calibrant.tasks.detection.instances.rows import FINAL, Head
from calibrant.tasks.detection.instances.task import InstanceTask, Settings
from calibrant.tasks.detection.instances.types import InstanceSample
from calibrant.tasks.detection.looks import BRIGHTNESS, CLASS, SIZE, SIZES
from calibrant.tasks.detection.metadata import exporter_notes
from calibrant.tasks.detection.profile import family_named
from calibrant.tasks.detection.types import Category
from calibrant.tasks.media.appearance import BRIGHTNESS_BANDS, SAME_PICTURE_BITS
from calibrant.tasks.media.calibration import calibration_images, check_images, shared_images
from calibrant.tasks.media.contents import contents_sha256

_MOST_FINAL_ROWS = 1000
_GENERATIONS = {"columns": "yolov8", "objectness": "yolov5", "final": "yolo26"}
"""Which Ultralytics model first had a layout; a family is called after it, e.g. yolov8-segment."""


@dataclass(frozen=True)
class InstanceOptions:
    """What a user may say of how instances are read and labelled."""

    confidence: float = option(0.001, "Lowest score that counts.", low=0, high=1)
    iou: float = option(0.7, "Overlap above which the weaker of two boxes of a class goes.", low=0, high=1)
    max_detections: int = option(300, "Instances of an image that count.", low=1)
    images: str | None = option(
        None, "Folder of the images that a COCO JSON labels [default: near it].", metavar="DIR"
    )


class InstanceDefinition(TaskDefinition):
    """Instances of one kind, from the heads of YOLO."""

    options = InstanceOptions
    data: ClassVar[str] = "COCO JSON or Ultralytics data.yaml, with shapes"
    calibration: ClassVar[str] = "images: folder, glob, list file, .npy or .npz"
    few_labels: ClassVar[int] = 100
    differences = InstanceDifferences
    features: ClassVar[Mapping[str, Sequence[str]]] = {SIZE: SIZES, BRIGHTNESS: BRIGHTNESS_BANDS, CLASS: ()}
    same_bits: ClassVar[int] = SAME_PICTURE_BITS

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.name, self.title, self.words = kind.task, kind.title, kind.words  # type: ignore[misc]
        self.columns = {f"{kind.figure}_map50": "mAP50", "box_map50_95": "box mAP"}  # type: ignore[misc]

    @property
    def metric(self) -> Metric:
        """The kind's mean average precision."""
        return self.kind.metric

    @property
    def families(self) -> tuple[str, ...]:
        """A name for each layout."""
        return tuple(f"{generation}-{self.kind.told}" for generation in _GENERATIONS.values())

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """A head of this kind: by what the metadata says, or by prototypes beside the table.

        Raises ModelError where it is named so and its outputs are others.
        """
        told = signature.metadata.get("task")
        is_named = family in self.families
        if (family != AUTO and not is_named) or told not in (None, self.kind.told):
            return None
        if told is None and not is_named and self.kind.told != "segment":
            return None  # nothing but its word tells such a table from a detector's
        count = self.kind.numbers_beside(signature)
        head = None if count is None else _head(signature, count, self.kind.is_turned)
        if head is None:
            if told is None and not is_named:
                return None
            given = ", ".join(f"{info.name} {describe_shape(info.shape)}" for info in signature.outputs)
            raise ModelError(
                f"a model for {self.kind.told} gives other outputs than {given}; export it again"
            )
        return self._recognised(signature, head, family if is_named else None)

    def _recognised(self, signature: ModelSignature, head: Head, family: str | None) -> Recognition:
        notes = exporter_notes({**signature.metadata, "task": "detect"})
        if head.classes is not None and notes.class_names and head.classes != len(notes.class_names):
            raise ModelError(
                f"the outputs hold {head.classes} classes but the metadata names {len(notes.class_names)}; "
                f"name the model's --family, one of {', '.join(self.families)}"
            )
        name = f"{_GENERATIONS[head.layout]}-{self.kind.told}"
        if family is not None and family != name:
            raise ModelError(f"the outputs are not those of {family} but of {name}; leave --family out")
        title = f"{notes.title}, read as {name}; " if notes.title else ""
        profile = family_named("yolov8").input
        return Recognition(
            task=self.name,
            family=name,
            why=f"{title}{_evidence(head)}; assumes {described_input(profile)}, which no ONNX file shows",
            profile={"head": vars(head), "input": asdict(profile)},
            facts={"classes": head.classes or len(notes.class_names or ())},
            detail=(head, notes.class_names),
        )

    def open_test(
        self, source: str, found: Recognition, options: InstanceOptions, reading: Reading
    ) -> SampleSet:
        """Open labelled images and map the model's classes onto them.

        Raises DataError, ImageError or ClassMismatchError.
        """
        head, names = found.detail
        images = None if options.images is None else Path(options.images)
        dataset, labelled = open_instances(Path(source), self.kind, reading.limit, images)
        count = head.classes or (len(names) if names else len(dataset.categories))
        class_map = match_categories(dataset.categories, count, names)
        samples, warnings = check_images(labelled, reading.skip_bad)
        return SampleSet(
            source=str(dataset.source),
            samples=samples,
            warnings=(*dataset.warnings, *remark_on_names(dataset.categories, names), *warnings),
            facts={
                self.kind.words.labels: sum(int((~sample.ignored).sum()) for sample in samples),
                "classes": len(dataset.categories),
            },
            truth_sha256=self._truth_sha256(samples),
            content_sha256=hashlib.sha256(f"{contents_sha256(samples)} {class_map}".encode()).hexdigest(),
            detail=(dataset.categories, class_map),
        )

    def open_calibration(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        """Images, or arrays that are preprocessed already. Raises DataError or ImageError."""
        del found, options
        return calibration_images(source, reading)

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: InstanceOptions,
        test: SampleSet | None = None,
    ) -> InstanceTask:
        """The task for a model; without a test set classes are numbered as the model does."""
        head, names = found.detail
        count = head.classes or len(names or ()) or 1
        own = names if names and len(names) == count else [f"class {index}" for index in range(count)]
        numbered = tuple(Category(index, name) for index, name in enumerate(own)), tuple(range(count))
        categories, class_map = test.detail if test else numbered
        settings = Settings(options.confidence, options.iou, options.max_detections)
        profile = family_named("yolov8")
        return InstanceTask(self.kind, head, profile, signatures[MODEL], categories, class_map, settings)

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> MatchTable:
        """The matches of findings with labels."""
        return MatchTable.from_arrays(arrays)

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Test images whose file has the same bytes as a calibration image's."""
        return shared_images(calibration.samples, test.samples)

    def _truth_sha256(self, samples: Sequence[InstanceSample]) -> str:
        digest = hashlib.sha256()
        for sample in samples:
            packed = self.kind.packed(sample.shapes)
            for array in (sample.truth.xywh, sample.truth.classes, sample.ignored, *packed.values()):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def _head(signature: ModelSignature, extra: int, is_turned: bool) -> Head | None:
    """How the table is laid out; None: in no way that is known."""
    image_input(signature)
    tables = [info.shape for info in signature.outputs if len(info.shape) == 3]
    if not tables:
        return None
    _, first, second = tables[0]
    if second == FINAL + extra and (first is None or first <= _MOST_FINAL_ROWS):
        return Head("final", extra, None, is_turned)
    if first is not None and (second is None or second > first):
        return _counted("columns", first, 4 + extra, extra, is_turned)
    if second is not None:
        return _counted("objectness", second, 5 + extra, extra, is_turned)
    return None


def _counted(layout: Any, width: int, others: int, extra: int, is_turned: bool) -> Head | None:
    return Head(layout, extra, width - others, is_turned) if width > others else None


def _evidence(head: Head) -> str:
    table: dict[str, str] = {
        "columns": "candidates as columns",
        "objectness": "candidates as rows with objectness",
        "final": "final rows",
    }
    return f"{table[head.layout]}, {head.extra} numbers beside box and scores"
