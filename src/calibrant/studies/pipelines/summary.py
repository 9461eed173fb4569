"""What a model of several files is, as results keep it."""

from __future__ import annotations

import hashlib

from calibrant.studies.pipelines.prepare import PipelineStudy
from calibrant.studies.result import ModelSummary


def whole_summary(pipeline: PipelineStudy) -> ModelSummary:
    """The whole: its layers are named with their parts, its hash is over those of the parts."""
    studies, opened = pipeline.studies, pipeline.opened
    models = [study.model for study in studies.values()]
    return ModelSummary(
        path=str(opened.folder.path),
        sha256=hashlib.sha256("".join(model.sha256 for model in opened.models.values()).encode()).hexdigest(),
        family=opened.recognition.family,
        family_reason=opened.recognition.why,
        opset=max(model.opset for model in models),
        quantized_nodes=sum(model.quantized_nodes for model in models),
        kept_float=tuple(f"{part}/{node}" for part in studies for node in studies[part].model.kept_float),
        profile=opened.recognition.profile,
        kept_float_reasons={
            f"{part}/{node}": reason
            for part in studies
            for node, reason in studies[part].model.kept_float_reasons.items()
        },
    )
