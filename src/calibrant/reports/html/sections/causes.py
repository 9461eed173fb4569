"""Why: the causes that the diagnosis found, with their evidence and remedies."""

from __future__ import annotations

from calibrant.core.metrics import Metric
from calibrant.reports.html.blocks import Block, Command, Finding, Findings, Paragraph, Section
from calibrant.reports.material import Material
from calibrant.reports.words import listed, percent
from calibrant.studies.diagnosis.result import Cause


def causes(material: Material) -> Section:
    """The causes, the gravest first; without a diagnosis the command that makes one."""
    return Section("causes", "Why", _without_diagnosis(material) or _with_diagnosis(material))


def _without_diagnosis(material: Material) -> tuple[Block, ...]:
    if material.diagnosis is not None:
        return ()
    told = (
        "Why candidates lose, which tensors cost the accuracy and which predictions change is not known yet:"
    )
    return (Paragraph(told), Command(f"calibrant diagnose {material.run.folder}"))


def _with_diagnosis(material: Material) -> tuple[Block, ...]:
    assert material.diagnosis is not None
    found = material.diagnosis
    blocks: list[Block] = []
    if found.causes:
        told: set[str] = set()
        blocks.append(Findings(tuple(_finding(cause, material.metric, told) for cause in found.causes)))
    else:
        blocks.append(Paragraph("The evidence supports no particular cause."))
    if found.left_out:
        blocks.append(Paragraph(f"Left out: {'; '.join(found.left_out_in_words)}.", is_note=True))
    return tuple(blocks)


def _finding(cause: Cause, metric: Metric, told: set[str]) -> Finding:
    """``told``: commands that stand in earlier findings; those that this one adds are added."""
    nodes = [node for node in cause.nodes if node != cause.tensor]
    where = [f"tensor `{cause.tensor}`"] if cause.tensor else []
    where += [f"read by `{listed(nodes)}`"] if nodes else []
    where += [f"under {listed(cause.calibrators)}"] if cause.calibrators else []
    return Finding(
        cause.title,
        cause.text,
        tuple(where),
        _cost(cause, metric),
        tuple((remedy.text, _once(remedy.command, told)) for remedy in cause.remedies),
    )


def _once(command: str | None, told: set[str]) -> str | None:
    if command is None or command in told:
        return None
    told.add(command)
    return command


def _cost(cause: Cause, metric: Metric) -> str:
    if cause.cost is not None:
        return metric.amount(cause.cost)
    return f"{percent(cause.loss_alone)} of agreement" if cause.loss_alone is not None else ""
