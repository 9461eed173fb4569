"""A diagnosis on the terminal: the answer, the causes with their remedies, then the evidence in short."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from calibrant.stages.recommend import Drop, shown
from calibrant.studies.diagnosis.result import Cause, Diagnosis, Sensitivity, SwapTest
from calibrant.tasks.detection.differences import DetectionDifferences

_SHOWN_CAUSES = 6
_SHOWN_LAYERS = 8
_SHOWN_CLASSES = 3
_SHOWN_IMAGES = 3


def print_diagnosis(found: Diagnosis, console: Console) -> None:
    """Print what is known, the answer first."""
    title = f"{found.losing} against {found.winning}" if found.losing != found.winning else found.losing
    console.print(f"[bold]{escape(found.model)}[/bold]: {escape(title)}")
    for sentence in found.verdict:
        console.print(f"- {escape(sentence)}")
    for cause in found.causes[:_SHOWN_CAUSES]:
        for line in _told(cause):
            console.print(line)
    if found.swap is not None:
        console.print(_swap_table(found.swap))
    for sensitivity in found.sensitivity:
        console.print(_layer_table(sensitivity))
    for differences in found.detections:
        for line in _changes(differences):
            console.print(escape(line))
    for left in found.left_out:
        console.print(f"[dim]left out: {escape(left)}[/dim]")


def _told(cause: Cause) -> Iterator[str]:
    yield f"\n[bold]{escape(cause.title)}[/bold]{escape(_price(cause))}"
    yield f"  {escape(cause.text)}"
    for remedy in cause.remedies:
        yield f"  > {escape(remedy.text)}"
        if remedy.command:
            yield f"    [dim]{escape(remedy.command)}[/dim]"


def _price(cause: Cause) -> str:
    if cause.cost is not None:
        return f" ({shown(cause.cost)} points)"
    return f" ({cause.loss_alone:.1%} of agreement)" if cause.loss_alone is not None else ""


def _swap_table(swap: SwapTest) -> Table:
    table = _table(f"\nThe losing candidate with {swap.winning}'s ranges")
    for name in (
        "+ tensor",
        f"{swap.losing}",
        f"{swap.winning}",
        "clipped",
        "mAP50-95",
        "gained",
        "explained",
    ):
        table.add_column(name, justify="left" if name == "+ tensor" else "right")
    for step in swap.steps:
        table.add_row(
            escape(step.tensor),
            f"{step.losing:.3g}",
            f"{step.winning:.3g}",
            f"{step.clipped:.2%}",
            shown(step.map50_95),
            shown(step.gained),
            f"{step.explained:.0%}",
        )
    return table


def _layer_table(found: Sensitivity) -> Table:
    table = _table(
        f"\nLayers of {found.calibrator} by agreement with FP32 on {found.images} images "
        f"(all in INT8: {found.agreement_all:.3f})"
    )
    for name in ("layer", "only it", "all but it", "mAP lost by only it", "mAP lost by the rest"):
        table.add_column(name, justify="left" if name == "layer" else "right")
    for layer in found.worst[:_SHOWN_LAYERS]:
        table.add_row(
            escape(layer.node),
            f"{layer.agreement_alone:.3f}",
            "" if layer.agreement_without is None else f"{layer.agreement_without:.3f}",
            _drop(layer.drop_alone),
            _drop(layer.rest_drop),
        )
    return table


def _changes(found: DetectionDifferences) -> Iterator[str]:
    fp32, int8 = found.fp32, found.int8
    yield (
        f"\n{found.calibrator}: of {found.fp32_boxes} boxes above {fp32.threshold:.2f} (FP32's best F1) "
        f"{found.kept} stay, {found.moved} move, {found.lost} are lost, {found.gained} are new"
    )
    yield (
        f"best threshold {fp32.threshold:.2f} -> {int8.threshold:.2f}, F1 {fp32.f1:.3f} -> {int8.f1:.3f} "
        f"({int8.f1_at_fp32:.3f} at FP32's)"
    )
    if found.fp32_score is not None and found.int8_score is not None:
        yield f"mean score of the same boxes: {found.fp32_score:.3f} -> {found.int8_score:.3f}"
    sizes = [group for group in found.groups if group.kind == "size" and group.fp32 is not None]
    yield "AP: " + ", ".join(_group(group.name, group.fp32, group.int8) for group in sizes)
    classes = [group for group in found.groups if group.kind == "class"]
    worst = sorted(classes, key=lambda group: (group.int8 or 0) - (group.fp32 or 0))[:_SHOWN_CLASSES]
    yield "classes that lose most: " + ", ".join(
        f"{_group(group.name, group.fp32, group.int8)} ({group.boxes} boxes)" for group in worst
    )
    images = [image.image for image in found.worst_images[:_SHOWN_IMAGES]]
    yield f"images that differ most: {', '.join(images) or 'none'}"


def _group(name: str, fp32: float | None, int8: float | None) -> str:
    return f"{name} {shown(fp32 or 0.0)} -> {shown(int8 or 0.0)}"


def _drop(drop: Drop | None) -> str:
    return "" if drop is None else f"{shown(drop.points)} ({drop})"


def _table(title: str) -> Table:
    return Table(
        box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), title=escape(title),
        title_justify="left", title_style="",
    )  # fmt: skip
