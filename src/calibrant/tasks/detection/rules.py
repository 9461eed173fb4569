"""The evidence by which families are told apart: one rule each, tried in the order of ``RULES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from calibrant.core.types import ModelSignature
from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.decode.candidates import Shape, describe_shape
from calibrant.tasks.detection.decode.distributions import is_paired
from calibrant.tasks.detection.decode.finished import TENSORFLOW, are_final_lists
from calibrant.tasks.detection.decode.grids import cell_count, level_shapes
from calibrant.tasks.detection.inputs import ImageInput
from calibrant.tasks.detection.metadata import ExporterNotes

_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))
_NANODET_SIDES = 32
_DETR_CLASSES = 92
_MOST_QUERIES = 1000
_PINTO_ORDER = "batchno_classid_score_x1y1x2y2"


@dataclass(frozen=True)
class Finding:
    """A family's name and the evidence for it."""

    family: str
    evidence: str


@dataclass(frozen=True)
class Clues:
    """What a signature shows: output shapes, and the operators behind them up to the last convolutions."""

    shapes: Mapping[str, Shape]
    operators: frozenset[str]
    inputs: frozenset[str]
    frame: Frame | None
    is_rtdetr: bool = False
    all_operators: frozenset[str] = frozenset()

    @classmethod
    def of(cls, signature: ModelSignature, image: ImageInput, notes: ExporterNotes) -> Clues:
        """The clues in a signature; exporters' notes give the input size where the input leaves it open."""
        height, width = (
            (image.height, image.width) if image.height and image.width else notes.input_size or (0, 0)
        )
        return cls(
            shapes={info.name: info.shape for info in signature.outputs},
            operators=frozenset(operator for tail in signature.tail_ops.values() for operator in tail),
            inputs=frozenset(info.name for info in signature.inputs),
            frame=Frame(height, width) if height and width else None,
            is_rtdetr=notes.is_rtdetr,
            all_operators=frozenset(signature.op_counts),
        )

    @property
    def all_shapes(self) -> list[Shape]:
        """The outputs' shapes, in order."""
        return list(self.shapes.values())

    @property
    def table(self) -> Shape | None:
        """The shape of the only output of rank 3 (YOLOv5's older exports give maps of rank 5 beside it)."""
        tables = [shape for shape in self.all_shapes if len(shape) == 3]
        others = [shape for shape in self.all_shapes if len(shape) != 3]
        return tables[0] if len(tables) == 1 and all(len(shape) == 5 for shape in others) else None

    def strides_with(self, rows: int | None, each: int) -> tuple[int, ...] | None:
        """The strides whose grid has ``rows`` candidates, ``each`` a cell."""
        if self.frame is None or rows is None:
            return None
        return next((s for s in _STRIDES if cell_count(self.frame, s) * each == rows), None)

    def grid(self, strides: tuple[int, ...], each: int) -> str:
        """The evidence in a number of rows."""
        assert self.frame is not None
        cells = cell_count(self.frame, strides)
        times = f"{each} anchors x {cells}" if each > 1 else str(cells)
        steps = ", ".join(map(str, strides))
        return f"{times} cells at strides {steps} of a {self.frame.width}x{self.frame.height} input"


Rule = Callable[[Clues], Finding | None]


def final_lists(clues: Clues) -> Finding | None:
    """RT-DETR by its authors, TensorFlow's object detection, or EfficientNMS."""
    if {name.partition(":")[0] for name in clues.shapes} >= TENSORFLOW:
        return Finding("tf-detection", "outputs detection_boxes, detection_classes and detection_scores")
    if not are_final_lists(clues.all_shapes):
        return None
    if "orig_target_sizes" in clues.inputs:
        return Finding("rtdetr", "labels, boxes and scores, and an input orig_target_sizes")
    return Finding("efficientnms", "lists of final boxes, scores and classes, so NMS is inside")


def paired_distributions(clues: Clues) -> Finding | None:
    """NanoDet with an output for scores and one for distances at each stride."""
    shapes = clues.all_shapes
    if len(shapes) not in (6, 8) or not is_paired(shapes) or shapes[-1][2] != _NANODET_SIDES:
        return None
    if len(shapes) == 8:
        return Finding("picodet", f"four outputs of {shapes[0][2]} class scores and four of 4 sides x 8 bins")
    return Finding("nanodet", f"three outputs of {shapes[0][2]} class scores and three of 4 sides x 8 bins")


def anchor_maps(clues: Clues) -> Finding | None:
    """The heads of YOLOv3 to YOLOv5 before their last step: Darknet's activations tell them apart."""
    shapes = clues.all_shapes
    each_anchor = all(len(shape) == 5 and shape[1] == 3 and (shape[4] or 0) > 5 for shape in shapes)
    together = all(len(shape) == 4 and (shape[1] or 1) % 3 == 0 and (shape[1] or 0) > 15 for shape in shapes)
    if len(shapes) not in (2, 3) or not (each_anchor or together):
        return None
    if len(shapes) == 2:
        sizes = {shape[2:4] for shape in shapes}
        if clues.frame is None or sizes != set(level_shapes(clues.frame, (16, 32))):
            return None
        return Finding("yolov3-tiny-raw", "two maps of 3 anchors each; takes YOLOv3-tiny's COCO anchors")
    if "Mish" in clues.all_operators or {"Softplus", "Tanh"} <= clues.all_operators:
        return Finding("yolov4-raw", "three maps of 3 anchors each behind Mish; takes YOLOv4's COCO anchors")
    if "LeakyRelu" in clues.all_operators:
        return Finding(
            "yolov3-raw", "three maps of 3 anchors each behind LeakyRelu; takes YOLOv3's COCO anchors"
        )
    return Finding(
        "yolov5-raw", "three maps of 3 anchors each; takes YOLOv5's COCO anchors (else --family yolov7-raw)"
    )


def queries(clues: Clues) -> Finding | None:
    """DETR and RT-DETR before their last step."""
    scores = _scores_beside_boxes(clues)
    if scores is None or (scores[1] or 0) > _MOST_QUERIES or clues.strides_with(scores[1], each=1):
        return None  # a box a grid cell, e.g. YOLO-NAS: no queries
    found = f"{describe_shape(scores)} class scores and as many boxes"
    if {"dets", "labels"} <= clues.shapes.keys():
        return Finding("rfdetr", f"{found}, called labels and dets")
    if scores[2] == _DETR_CLASSES or "pixel_mask" in clues.inputs:
        return Finding("detr", f"{found}, the last class being no object")
    return Finding("rtdetr-logits", found)


def ssd(clues: Clues) -> Finding | None:
    """SSD with softmax and decoded boxes inside, many more than queries."""
    scores = _scores_beside_boxes(clues)
    is_decoded = {"Softmax", "Exp"} <= clues.operators
    if scores is None or (scores[1] or 0) <= _MOST_QUERIES or not is_decoded:
        return None
    found = f"{describe_shape(scores)} scores behind a softmax, as many boxes with sizes by Exp"
    return Finding("ssd", f"{found}, the first class being no object")


def _scores_beside_boxes(clues: Clues) -> Shape | None:
    """The shape of class scores beside as many boxes of 4 numbers."""
    tables = [shape for shape in clues.all_shapes if len(shape) == 3]
    if len(tables) < 2 or 4 not in (tables[0][2], tables[1][2]) or tables[0][1] != tables[1][1]:
        return None
    return tables[1] if tables[0][2] == 4 else tables[0]


def scored_boxes(clues: Clues) -> Finding | None:
    """Mmdetection by mmdeploy."""
    shapes = clues.shapes
    if not {"dets", "labels"} <= shapes.keys() or len(shapes["dets"]) != 3 or shapes["dets"][2] != 5:
        return None
    evidence = f"dets {describe_shape(shapes['dets'])} with scores, and labels, as mmdeploy writes them"
    return Finding("mmdeploy", evidence) if len(shapes["labels"]) == 2 else None


def paddle(clues: Clues) -> Finding | None:
    """PaddleDetection with its NMS inside."""
    shapes = clues.all_shapes
    rows = [shape for shape in shapes if len(shape) == 2 and shape[1] == 6]
    if len(rows) != 1 or not all(len(shape) == 1 or shape in rows for shape in shapes):
        return None
    if "scale_factor" not in clues.inputs:
        return None
    return Finding("paddle", f"rows of 6 ({describe_shape(rows[0])}), and an input scale_factor")


def faces(clues: Clues) -> Finding | None:
    """BlazeFace, YuNet of 2021, RetinaFace: prior boxes and landmarks."""
    shapes = clues.all_shapes
    widths = sorted((shape[1] or 0, shape[2] or 0) for shape in shapes if len(shape) == 3)
    if widths == [(384, 1), (384, 16), (512, 1), (512, 16)]:
        return Finding("blazeface", "512 and 384 priors with scores, boxes and six landmarks")
    if [*clues.shapes] == ["loc", "conf", "iou"] and [shape[-1] for shape in shapes] == [14, 2, 1]:
        return Finding("yunet", f"loc, conf and iou of {shapes[0][-2]} priors")
    rows = {shape[1] for shape in shapes if len(shape) == 3}
    if len(shapes) == 3 and len(rows) == 1 and sorted(shape[-1] or 0 for shape in shapes) == [2, 4, 10]:
        return Finding("retinaface", f"boxes, two scores and five landmarks of {rows.pop()} priors")
    return None


def scrfd(clues: Clues) -> Finding | None:
    """SCRFD: two points a cell at three strides, with distances and maybe landmarks."""
    if clues.frame is None or len(clues.shapes) not in (6, 9):
        return None
    points = [2 * rows * columns for rows, columns in level_shapes(clues.frame, (8, 16, 32))]
    kinds = (1, 4, 10)[: len(clues.shapes) // 3]
    wanted = sorted((count, width) for count in points for width in kinds)
    if sorted((shape[-2] or 0, shape[-1] or 0) for shape in clues.all_shapes if len(shape) >= 2) != wanted:
        return None
    return Finding("scrfd", f"scores and distances of {sum(points)} points, two a cell at strides 8, 16, 32")


def maps_of_distances(clues: Clues) -> Finding | None:
    """RTMDet before its last step: at three strides a map of scores and one of distances."""
    shapes = clues.all_shapes
    if clues.frame is None or len(shapes) != 6 or any(len(shape) != 4 for shape in shapes):
        return None
    levels = level_shapes(clues.frame, (8, 16, 32))
    if any(4 not in [shape[1] for shape in shapes if shape[2:] == level] for level in levels):
        return None
    return Finding("rtmdet", "at strides 8, 16, 32 a map of class scores and one of 4 distances")


def centres(clues: Clues) -> Finding | None:
    """CenterNet: at stride 4 a map of scores, one of sizes and one of offsets."""
    shapes = clues.all_shapes
    if clues.frame is None or len(shapes) != 3 or any(len(shape) != 4 for shape in shapes):
        return None
    (level,) = level_shapes(clues.frame, (4,))
    pairs = sum(shape[1] == 2 for shape in shapes)
    if pairs < 2 or any(shape[2:] != level for shape in shapes):
        return None
    family = "centernet-sigmoid" if "Sigmoid" in clues.operators else "centernet"
    return Finding(family, "at stride 4 a map of scores and two of sizes and offsets")


def named_rows(clues: Clues) -> Finding | None:
    """PINTO's exports, whose output's name tells the order of its columns."""
    name = next(iter(clues.shapes), "")
    if len(clues.shapes) != 1 or name.lower() != _PINTO_ORDER or "Exp" not in clues.operators:
        return None
    return Finding("yolox-nms", f"rows called {name}, so NMS is inside, and sizes by Exp as in YOLOX")


def fastestdet(clues: Clues) -> Finding | None:
    """One map at stride 16, softmax over the classes."""
    shapes = clues.all_shapes
    if (
        len(shapes) != 1
        or len(shapes[0]) != 4
        or (shapes[0][1] or 6) <= 5
        or "Softmax" not in clues.operators
        or (clues.frame is not None and shapes[0][2:] != level_shapes(clues.frame, (16,))[0])
    ):
        return None
    return Finding("fastestdet", f"one map of {describe_shape(shapes[0])} behind a softmax")


def yolov7_end_to_end(clues: Clues) -> Finding | None:
    """Rows of image, corners, class and score."""
    shapes = clues.all_shapes
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] != 7:
        return None
    if next(iter(clues.shapes)).lower().startswith("batchno"):  # PINTO's, in an order that the name tells
        return None
    return Finding("yolov7-end2end", f"rows of 7 ({describe_shape(shapes[0])}), so NMS is inside")


def anchors_with_objectness(clues: Clues) -> Finding | None:
    """YOLOv5 and YOLOv7, or Darknet's YOLOs: three candidates a cell."""
    strides = clues.strides_with(clues.table[1], each=3) if clues.table else None
    if not clues.table or not strides:
        return None
    evidence = f"{describe_shape(clues.table)}: {clues.grid(strides, 3)}"
    if "Exp" in clues.operators:
        return Finding("yolo-fastest", f"{evidence}, sizes by Exp as in Darknet")
    return Finding("yolov5", f"{evidence}, no Exp behind it")


def one_box_a_cell(clues: Clues) -> Finding | None:
    """NanoDet-Plus, YOLOv6, and YOLOX with and without its last step."""
    strides = clues.strides_with(clues.table[1], each=1) if clues.table else None
    if not clues.table or not strides:
        return None
    evidence = f"{describe_shape(clues.table)}: {clues.grid(strides, 1)}"
    arithmetic = clues.operators & {"Exp", "Sub", "Mul"}
    if "Split" in clues.operators and not arithmetic and (clues.table[2] or 0) > _NANODET_SIDES:
        return Finding("nanodet-plus", f"{evidence}, scores and distances split and not yet decoded")
    if "Exp" in arithmetic:
        return Finding("yolox-decoded", f"{evidence}, sizes by Exp")
    if {"Sub", "Mul"} <= arithmetic:
        return Finding("yolov6", f"{evidence}, decoded without Exp")
    return Finding("yolox", f"{evidence}, boxes not decoded")


def end_to_end_rows(clues: Clues) -> Finding | None:
    """YOLOv10, YOLO26, and Ultralytics exports with NMS."""
    if not clues.table or clues.table[2] != 6 or (clues.table[1] or 0) > 1000:
        return None
    if clues.is_rtdetr:
        return Finding("rtdetr-end2end", f"{describe_shape(clues.table)} of an RT-DETR, as its metadata says")
    if clues.table[1] is None and not clues.operators & {"NonMaxSuppression", "TopK"}:
        return None
    return Finding("yolov10", f"{describe_shape(clues.table)}: final corners, score and class")


def columns(clues: Clues) -> Finding | None:
    """YOLOv8 and after: a candidate is a column."""
    if not clues.table or (clues.table[1] or 0) <= 4:
        return None
    strides = clues.strides_with(clues.table[2], each=1)
    if strides:
        return Finding("yolov8", f"{describe_shape(clues.table)}: {clues.grid(strides, 1)}, as columns")
    if clues.table[2] is None:
        return Finding("yolov8", f"{describe_shape(clues.table)}: candidates as columns")
    return None


def open_rows(clues: Clues) -> Finding | None:
    """Rows whose number the file leaves open: the operators behind them decide."""
    if not clues.table or clues.table[1] is not None or (clues.table[2] or 0) <= 5:
        return None
    shape = describe_shape(clues.table)
    if "Exp" in clues.operators:
        return Finding("yolox-decoded", f"{shape}, sizes by Exp")
    if "Pow" in clues.operators:
        return Finding("yolov5", f"{shape}, sizes by Pow")
    return None


def queries_with_scores(clues: Clues) -> Finding | None:
    """RT-DETR by Ultralytics: few rows of box and scores."""
    if not clues.table or (clues.table[2] or 0) <= 4 or (clues.table[1] or 1001) > 1000:
        return None
    return Finding(
        "rtdetr-ultralytics", f"{describe_shape(clues.table)}: {clues.table[1]} queries of box and scores"
    )


RULES: tuple[Rule, ...] = (
    final_lists,
    scored_boxes,
    paddle,
    faces,
    scrfd,
    maps_of_distances,
    centres,
    paired_distributions,
    anchor_maps,
    queries,
    ssd,
    fastestdet,
    named_rows,
    yolov7_end_to_end,
    anchors_with_objectness,
    one_box_a_cell,
    end_to_end_rows,
    columns,
    open_rows,
    queries_with_scores,
)
