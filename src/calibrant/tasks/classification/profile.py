"""How a classifier's input is made from an image: by family, or as its trainer's own file says."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError, SettingsError
from calibrant.core.plain_yaml import parsed_yaml
from calibrant.tasks.media.files import text_of

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos", "opencv-linear", "opencv-lanczos")
"""Pillow's, which smooth where they shrink, and OpenCV's, which do not."""

FITS = ("shorter", "stretched", "square")

_TIMM_FITS = {"center": "shorter", "squash": "stretched"}


@dataclass(frozen=True)
class Preparation:
    """From an image to (pixel / 255 - mean) / std, three channels.

    crop_share: the input's shorter side as a share of the side to which the image's shorter side is resized
    before the middle is cut out; 0: the whole image is stretched to the input. rgb: red comes first. fit: the
    "shorter" side is resized, the shape kept; or the image is "stretched"; or stretched where the input is no
    "square".
    """

    crop_share: float = 0.875
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    rgb: bool = True
    fit: str = "shorter"

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise SettingsError(f"images are not fitted as '{self.fit}'; use one of {', '.join(FITS)}")
        if self.interpolation not in INTERPOLATIONS:
            raise SettingsError(
                f"images are not resized by '{self.interpolation}'; use one of {', '.join(INTERPOLATIONS)}"
            )
        if not 0 <= self.crop_share <= 1:
            raise SettingsError(f"a crop share of {self.crop_share} is not within 0 and 1; use e.g. 0.875")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(math.isfinite(x) and x > 0 for x in self.std):
            raise SettingsError("mean and std have three numbers each, std above 0; give e.g. 0.5, 0.5, 0.5")


FAMILIES: Mapping[str, Preparation] = {
    # torchvision.transforms.ImageClassification of the classic weights: 256, then 224
    "torchvision": Preparation(),
    # timm.data.create_transform's defaults: bicubic, crop_pct 0.875
    "timm": Preparation(interpolation="bicubic"),
    # ultralytics.data.augment.classify_transforms: shorter side, centre crop, no mean; no square: stretched
    "ultralytics": Preparation(1.0, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), fit="square"),
    # PaddleClas's ResizeImage(resize_short=256), CropImage(224) as RapidAI runs it on images of OpenCV
    "paddleclas": Preparation(interpolation="opencv-lanczos", rgb=False),
    # PaddleOCR's and many others': the image is stretched, (x - 0.5) / 0.5
    "stretched": Preparation(0.0, "opencv-linear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), rgb=False),
}

_PILLOW_CODES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


def read_preparation(path: Path) -> Preparation:
    """The preparation that a file tells.

    It is timm's ``config.json``, transformers' ``preprocessor_config.json``, or YAML with the fields of
    :class:`Preparation`. Raises DataError or SettingsError.
    """
    content = _content(path)
    if "pretrained_cfg" in content or "crop_pct" in content or "image_mean" in content:
        return preparation_in(content)
    unknown = set(content) - Preparation.__dataclass_fields__.keys()
    if unknown or not content:
        known = ", ".join(Preparation.__dataclass_fields__)
        raise DataError(
            f"'{path}' has {', '.join(map(repr, sorted(unknown))) or 'nothing'}; a preparation has {known}"
        )
    return _built(path, content)


def preparation_in(content: Mapping[str, Any]) -> Preparation:
    """The preparation in timm's pretrained_cfg or in transformers' image processor's configuration."""
    found = content.get("pretrained_cfg", content)
    if "image_mean" in found:
        return _of_transformers(found)
    start, mode = FAMILIES["timm"], str(found.get("crop_mode") or "center")
    if mode not in _TIMM_FITS:
        raise SettingsError(
            f"timm's crop_mode '{mode}' is not known here; prepare arrays (.npz), or use one of "
            f"{', '.join(_TIMM_FITS)}"
        )
    return replace(
        start,
        crop_share=float(found.get("crop_pct", start.crop_share)),
        interpolation=str(found.get("interpolation", start.interpolation)),
        mean=_three(found.get("mean", start.mean)),
        std=_three(found.get("std", start.std)),
        fit=_TIMM_FITS[mode],
    )


def _of_transformers(found: Mapping[str, Any]) -> Preparation:
    size, crop = found.get("size"), found.get("crop_size")
    short = size.get("shortest_edge") if isinstance(size, Mapping) else None
    wanted = crop.get("height") if isinstance(crop, Mapping) else crop
    share = float(wanted) / float(short) if short and wanted and found.get("do_center_crop", True) else 0.0
    if short and "crop_pct" in found:  # ConvNeXT: the side is already the input's
        share = float(found["crop_pct"])
    return Preparation(
        min(share, 1.0),
        _PILLOW_CODES.get(found.get("resample", 2), "bilinear"),
        _three(found["image_mean"]),
        _three(found["image_std"]),
    )


def _content(path: Path) -> Mapping[str, Any]:
    text = text_of(path)
    try:
        content = json.loads(text) if path.suffix.lower() == ".json" else parsed_yaml(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"'{path}' cannot be read ({error}); give timm's config.json or a YAML file"
        ) from error
    if not isinstance(content, Mapping):
        raise DataError(f"'{path}' holds no settings by name; give timm's config.json or a YAML file")
    return content


def _built(path: Path, content: Mapping[str, Any]) -> Preparation:
    try:
        given: dict[str, Any] = {
            name: _three(value) if name in {"mean", "std"} else value for name, value in content.items()
        }
        return Preparation(**given)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"'{path}' is no preparation ({error}); use numbers, and three of them for mean"
        ) from error


def _three(values: Any) -> tuple[float, float, float]:
    if not isinstance(values, Sequence) or len(values) != 3:
        raise SettingsError(f"{values!r} are not three numbers; give one for each colour")
    first, second, third = (float(value) for value in values)
    return first, second, third
