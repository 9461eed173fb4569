"""A small run's folder, made up: every file that a report reads, with names of the test's choice."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibrant.artifacts.encodings import write_encodings
from calibrant.artifacts.statistics import write_statistics
from calibrant.artifacts.store import write_json
from calibrant.core.metrics import Loss
from calibrant.core.quantize import encoding_of
from calibrant.core.statistics import TensorStatistics, statistics_of
from calibrant.core.types import Encoding, QuantSpec, Range, Statistics
from calibrant.studies.coverage.result import (
    Contents,
    CoverageResult,
    Enough,
    Feature,
    Learning,
    LearningPoint,
    OrderScore,
    OrderSpread,
    Representation,
    SimilarPair,
    TensorCoverage,
)
from calibrant.studies.diagnosis.files import write_diagnosis
from calibrant.studies.diagnosis.result import (
    Cause,
    Diagnosis,
    LayerSensitivity,
    NoiseGrowth,
    NoisePoint,
    Peaks,
    RangeError,
    Remedy,
    Sensitivity,
    SwapStep,
    SwapTest,
    TensorDiagnosis,
)
from calibrant.studies.optimization.result import (
    Ablation,
    OptimizationFiles,
    OptimizationResult,
    PartResult,
    Point,
)
from calibrant.studies.plan import StudySettings
from calibrant.studies.request import REQUEST, StudyRequest
from calibrant.studies.result import (
    Baseline,
    DataSummary,
    ModelSummary,
    Recommended,
    ScoreValue,
    StudyResult,
    Trial,
    TrialFiles,
)
from calibrant.studies.run import RESULT, STATISTICS
from calibrant.tasks.detection.differences import (
    Box,
    DetectionDifferences,
    GroupAccuracy,
    ImageDifference,
    OperatingPoint,
)
from calibrant.tasks.registry import task_named

METRIC = task_named("detection").metric
SHARES = {"minmax": 1.0, "mse": 0.82, "entropy2": 0.41}
DROPS = {"minmax": 0.9, "mse": 1.1, "entropy2": 10.7}


def scored(value: float, map50: float) -> dict[str, Any]:
    """A score with its figures, in points."""
    figures = {"map50": map50, "map_small": 10.0, "map_medium": 30.0, "map_large": None}
    return {"score": ScoreValue(METRIC.name, value), "figures": figures}


@dataclass(frozen=True)
class Names:
    """Names that come from files."""

    model: str = "models/detector.onnx"
    tensors: tuple[str, ...] = tuple(f"/model.{n}/conv/Conv_output_0" for n in range(12))
    classes: tuple[str, ...] = ("person", "bicycle", "traffic light")
    image: str = "000139.jpg"


def made_run(folder: Path, names: Names = Names(), *, diagnosed: bool = True) -> Path:
    """Write a run into ``folder``: a study of three calibrators, and ``diagnosed``, all that can follow."""
    folder.mkdir(parents=True, exist_ok=True)
    statistics = _statistics(names)
    write_statistics(folder / STATISTICS, statistics)
    for calibrator, share in SHARES.items():
        encodings = {tensor: _encoding(seen, share) for tensor, seen in statistics.tensors.items()}
        write_encodings(folder / f"{calibrator}.encodings.json", encodings, "tensorrt", "0" * 64)
    write_json(folder / RESULT, made_study(folder, names).to_dict())
    request = StudyRequest(names.model, "calibration images", "labels.json", tuple(SHARES))
    write_json(folder / REQUEST, request.to_dict())
    if diagnosed:
        write_diagnosis(made_diagnosis(folder, names, statistics), folder)
        write_json(folder / "coverage.json", made_coverage(folder, names).to_dict())
        write_json(folder / "optimization.json", made_optimization(folder, names).to_dict())
    return folder


def _statistics(names: Names) -> Statistics:
    rng = np.random.default_rng(0)
    seen = {
        tensor: statistics_of((rng.standard_t(3, 20_000) * (position + 1)).astype(np.float32))
        for position, tensor in enumerate(names.tensors)
    }
    return Statistics("0" * 64, ("a", "b"), seen)


def _encoding(seen: TensorStatistics, share: float) -> Encoding:
    return encoding_of(Range(-share * seen.amax, share * seen.amax), QuantSpec())


def made_study(folder: Path, names: Names) -> StudyResult:
    """A study in which minmax wins, mse ties and entropy2 loses."""
    return StudyResult(
        out=str(folder),
        created="2026-01-02T03:04:05+00:00",
        model=made_model(names),
        environment={"python": "3.11.7", "onnxruntime": "1.22.0"},
        settings=StudySettings().to_dict(),
        data=DataSummary(
            "labels.json",
            300,
            {"boxes": 2323, "classes": len(names.classes)},
            "1" * 64,
            "calib",
            128,
            "2" * 64,
            0,
        ),
        metric=METRIC,
        baseline=Baseline(**scored(30.4, 48.4), seconds=12.0),
        trials=tuple(_trial(calibrator, drop) for calibrator, drop in DROPS.items()),
        recommended=Recommended(
            "minmax", "it loses 0.9 points of mAP; mse is indistinguishable from it", ("mse",), 1.2
        ),
        calibration_seconds=3.0,
        warnings=("only 300 test images: differences below about a point may be chance",),
    )


def made_model(names: Names) -> ModelSummary:
    return ModelSummary(names.model, "0" * 64, "yolov5", "1x25200x85", 13, 60, ())


def _trial(calibrator: str, drop: float) -> Trial:
    return Trial(
        calibrator,
        calibrator,
        "ok",
        **scored(30.4 - drop, 48.0 - drop),
        loss=Loss(drop, drop - 0.8, drop + 0.9),
        seconds=3.0,
        files=TrialFiles(f"{calibrator}.qdq.onnx", f"{calibrator}.cache", f"{calibrator}.encodings.json"),
    )


def made_diagnosis(folder: Path, names: Names, statistics: Statistics) -> Diagnosis:
    """A diagnosis of the losing entropy2 against minmax."""
    return Diagnosis(
        model=names.model,
        losing="entropy2",
        winning="minmax",
        verdict=(
            "Use minmax: it loses 0.9 points.",
            f"entropy2 loses 10.7 points; 2 tensors account for 9.5 of them: `{names.tensors[3]}`.",
            "Keep the head in float, or take minmax.",
        ),
        causes=(_cause(names),),
        tensors=tuple(_tensor(name, seen, names) for name, seen in statistics.tensors.items()),
        weights=(),
        sensitivity=(_sensitivity("entropy2", names), _sensitivity("minmax", names)),
        growth=tuple(
            _growth(calibrator, depth, names) for calibrator, depth in (("entropy2", 2.4), ("minmax", 1.1))
        ),
        swap=_swap(names),
        differences=tuple(_differences(folder, calibrator, names) for calibrator in ("entropy2", "minmax")),
        left_out=(),
        budget_seconds=None,
        seconds={},
        metric=METRIC,
    )


def _cause(names: Names) -> Cause:
    return Cause(
        kind="clipped",
        title=f"{names.tensors[3]} is clipped",
        text=f"entropy2 keeps 41 % of the range of `{names.tensors[3]}` and clips 0.4 % of its values.",
        tensor=names.tensors[3],
        nodes=("/model.3/conv/Conv",),
        calibrators=("entropy2",),
        evidence={"clipped": 0.004},
        remedies=(
            Remedy("take minmax's range for it", f"calibrant study {names.model!r}"),
            Remedy("more images"),
        ),
        cost=5.2,
    )


def _tensor(name: str, seen: TensorStatistics, names: Names) -> TensorDiagnosis:
    errors = tuple(
        RangeError(
            c,
            -share * seen.amax,
            share * seen.amax,
            share,
            (1 - share) / 100,
            1 - share,
            30 * share,
            40.0,
            35.0,
            0.1,
        )
        for c, share in SHARES.items()
    )
    peaks = Peaks(names.image, None, 17, 3.0, 0.1, 64, 2.0, 0.05)
    return TensorDiagnosis(name, None, ("/reader",), seen.count, seen.low, seen.high, 9.0, 4.0, peaks, errors)


def _sensitivity(calibrator: str, names: Names) -> Sensitivity:
    layers = tuple(
        LayerSensitivity(tensor.replace("_output_0", ""), (tensor,), 1 - 0.2 / (1 + abs(position - 3)))
        for position, tensor in enumerate(names.tensors)
    )
    return Sensitivity(calibrator, 60, 0.62, layers)


def _growth(calibrator: str, depth: float, names: Names) -> NoiseGrowth:
    points = tuple(
        NoisePoint(
            position, tensor, tensor, 36 - depth * position - (6 if position == 4 else 0) + math.sin(position)
        )
        for position, tensor in enumerate(names.tensors)
    )
    return NoiseGrowth(calibrator, 16, points)


def _swap(names: Names) -> SwapTest:
    gained, left, steps = (5.2, 2.9, 0.9), 9.8, []
    for position, points in enumerate(gained):
        left -= points
        steps.append(
            SwapStep(
                names.tensors[3 + position],
                ("/reader",),
                4.1,
                10.0,
                0.004,
                0.8,
                29.5 - left,
                Loss(left, left - 0.5, left + 0.5),
                points,
                1 - left / 9.8,
            )
        )
    sentence = f"3 tensors account for 9.0 of 9.8 points: `{names.tensors[3]}` first."
    return SwapTest(
        "entropy2", "minmax", 300, Loss(9.8, 8.4, 11.3), Loss(9.0, 8.0, 10.0), True, tuple(steps), sentence
    )


def _differences(folder: Path, calibrator: str, names: Names) -> DetectionDifferences:
    loss = DROPS[calibrator]
    return DetectionDifferences(
        calibrator,
        300,
        OperatingPoint(0.31, 0.6, 0.5, 0.55, 0.55),
        OperatingPoint(0.27, 0.58, 0.45, 0.5, 0.48),
        1000,
        900,
        700,
        150,
        150,
        50,
        900,
        0.62,
        0.55,
        0.9,
        groups=(
            GroupAccuracy("size", "small", 900, 11.0, 11.0 - loss),
            *(
                GroupAccuracy("class", name, 900 - 100 * n, 40.0 - n, 40.0 - n - loss)
                for n, name in enumerate(names.classes)
            ),
        ),
        worst_images=(_image(folder, names),),
    )


def _image(folder: Path, names: Names) -> ImageDifference:
    path = folder / "photo.png"
    cv2.imwrite(str(path), np.full((240, 320, 3), 120, np.uint8))
    kept = Box(20, 30, 120, 200, 0.81, names.classes[0], "kept", 0.95)
    lost = Box(150, 60, 260, 180, 0.55, names.classes[1], "lost", None)
    gained = Box(200, 20, 300, 100, 0.4, names.classes[2], "gained", None)
    return ImageDifference(names.image, str(path), 0.7, 1, 1, 0, (kept, lost), (kept, gained))


def made_coverage(folder: Path, names: Names) -> CoverageResult:
    """A coverage study with every part of it."""
    tensor = TensorCoverage(
        names.tensors[0], -9.0, 9.0, -12.0, 11.0, 0.2, 0.001, 0.3, 0.1, 0.05, 0.07, ("outside",), {}
    )
    points = tuple(
        LearningPoint(
            c,
            size,
            seed,
            0.4 / size * (1 + seed / 5),
            0.8 / size,
            28.0 + math.log2(size) / 8 if size < 9 else None,
        )
        for c in SHARES
        for size in (2, 4, 8, 16, 32, 64)
        for seed in (0, 1)
    )
    return CoverageResult(
        str(folder),
        "2026-01-02T03:04:05+00:00",
        made_model(names),
        {},
        {},
        (),
        30.4,
        Representation(
            "test", "does not represent", ("1 tensor leaves its range beyond chance.",), 0.008, (tensor,)
        ),
        Learning(
            (2, 4, 8, 16, 32, 64), (0, 1), 0.02, 0.2, points, (), tuple(Enough(c, 32, None) for c in SHARES)
        ),
        (
            OrderSpread(
                "entropy2",
                6,
                0.02,
                0.1,
                0.3,
                names.tensors[1],
                (OrderScore(0, "a", 19.0), OrderScore(1, "b", 20.5)),
            ),
        ),
        (SimilarPair("near-duplicate", names.image, "b.jpg", "calibration", 3),),
        (),
        Contents("labels", "labels", "test", (Feature("class", names.classes[2], 0, 0, 40, 12),)),
        None,
        {},
        METRIC,
    )


def made_optimization(folder: Path, names: Names) -> OptimizationResult:
    """A front of three models."""
    losses = (
        PartResult(29.6, Loss(0.8, 0.2, 1.5)),
        PartResult(30.0, Loss(0.4, -0.1, 0.9)),
        PartResult(30.3, Loss(0.1, -0.3, 0.5)),
    )
    front = tuple(
        Point(
            f"model {n}",
            f"{n} layers in float",
            {},
            share,
            0.9,
            part.loss.value,
            part.loss.high,
            part,
            part,
            12.0,
        )
        for n, (share, part) in enumerate(zip((1.0, 0.93, 0.71), losses, strict=True))
    )
    score = ScoreValue(METRIC.name, 30.4)
    return OptimizationResult(
        str(folder),
        "2026-01-02T03:04:05+00:00",
        made_model(names),
        {},
        {},
        150,
        150,
        128,
        0.5,
        METRIC,
        score,
        score,
        14.0,
        front[1],
        replace(front[0], name="minmax"),
        Loss(0.4, 0.1, 0.8),
        front,
        (Ablation("float layers", 29.7, Loss(0.3, 0.0, 0.6)),),
        OptimizationFiles("best.onnx", "best.json", "recipe.json"),
        20,
        100.0,
        False,
    )
