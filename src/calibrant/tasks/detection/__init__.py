"""Object detection: datasets, input profiles, output decoders and the COCO score."""

from __future__ import annotations

from calibrant.tasks.detection.classes import fitted, match_categories, remark_on_names
from calibrant.tasks.detection.datasets import open_dataset
from calibrant.tasks.detection.evidence import MatchTable
from calibrant.tasks.detection.families import Recognition, recognise
from calibrant.tasks.detection.profile import Profile, family_named, load_profile
from calibrant.tasks.detection.task import DetectionTask
from calibrant.tasks.detection.types import (
    Category,
    Dataset,
    Detections,
    DetectionSample,
    GroundTruth,
)
from calibrant.tasks.media.calibration import calibration_samples, check_images, shared_images
from calibrant.tasks.media.contents import contents_sha256
from calibrant.tasks.media.samples import CalibrationSample

__all__ = [
    "CalibrationSample",
    "Category",
    "Dataset",
    "DetectionSample",
    "DetectionTask",
    "Detections",
    "GroundTruth",
    "MatchTable",
    "Profile",
    "Recognition",
    "calibration_samples",
    "check_images",
    "contents_sha256",
    "family_named",
    "fitted",
    "load_profile",
    "match_categories",
    "open_dataset",
    "recognise",
    "remark_on_names",
    "shared_images",
]
