"""How one model's detections differ from another's on the same images: what its users will notice.

Scores, precision, recall, F1 and IoU are fractions 0..1; AP figures are points, 0..100.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GroupAccuracy:
    """AP of one class or size group, points; None where it has no labelled box.

    ``kind`` is "class" or "size"; sizes are COCO's "small", "medium" and "large". ``boxes``: labelled ones.
    """

    kind: str
    name: str
    boxes: int
    fp32: float | None
    int8: float | None


@dataclass(frozen=True)
class OperatingPoint:
    """The score threshold with the best F1 at IoU 0.5, over all classes together, and what it gives (0..1).

    ``f1_at_fp32`` is what FP32's threshold gives: the same as ``f1`` for FP32 itself. Without any detection
    the threshold is 1 and the rest 0.
    """

    threshold: float
    precision: float
    recall: float
    f1: float
    f1_at_fp32: float


@dataclass(frozen=True)
class Box:
    """One predicted box: corners in pixels of the original image, and what became of it.

    ``fate``: "kept" (matched with a box of the other model, IoU at least 0.9), "moved" (matched, IoU 0.5 to
    0.9), "lost" (an FP32 box that INT8 does not have) or "gained" (the other way round). ``iou`` with the
    matched box; None: there is none.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    label: str
    fate: str
    iou: float | None


@dataclass(frozen=True)
class ImageDifference:
    """One test image, worst first: FP32's and INT8's boxes above FP32's best-F1 threshold.

    ``path`` is the image file; ``disagreement`` counts what either model finds and the other does not, in
    boxes of score 1: squared scores, less twice the IoU x both scores of matched boxes (agreement.py).
    """

    image: str
    path: str
    disagreement: float
    lost: int
    gained: int
    moved: int
    fp32: tuple[Box, ...]
    int8: tuple[Box, ...]


@dataclass(frozen=True)
class DetectionDifferences:
    """One candidate's detections against FP32's, over all ``images`` test images.

    Boxes are compared above FP32's best-F1 threshold (``fp32.threshold``); ``fp32_boxes`` and ``int8_boxes``
    count them: ``kept`` + ``moved`` + ``lost`` = fp32_boxes, ``kept`` + ``moved`` + ``gained`` = int8_boxes.
    ``fp32_score`` and ``int8_score``: mean score of the same FP32 boxes in both models, over the ``matched``
    ones that INT8 still has at any score (None: there is none). ``mean_iou``: of those pairs.
    ``groups``: sizes first, then classes, most labelled boxes first.
    """

    calibrator: str
    images: int
    fp32: OperatingPoint
    int8: OperatingPoint
    fp32_boxes: int
    int8_boxes: int
    kept: int
    moved: int
    lost: int
    gained: int
    matched: int
    fp32_score: float | None
    int8_score: float | None
    mean_iou: float | None
    groups: tuple[GroupAccuracy, ...]
    worst_images: tuple[ImageDifference, ...]

    def sentence(self) -> str:
        """What a user of the candidate notices."""
        return (
            f"Of the {self.fp32_boxes} boxes that FP32 shows above {self.fp32.threshold:.2f}, "
            f"{self.calibrator} loses {self.lost}, moves {self.moved} and adds {self.gained}"
        )
