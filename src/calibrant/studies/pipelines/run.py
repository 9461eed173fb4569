"""Running the studies of all parts of a model, and what they lose together.

Candidates are (part, recipe) with the other parts in float; then the best of each together, and all but each
one: the work grows with the sum of the parts and not with their product.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from calibrant.artifacts.cache import Cache
from calibrant.artifacts.checksums import CHECKSUMS, write_checksums
from calibrant.artifacts.store import json_bytes, remove, write_bytes
from calibrant.core.errors import CalibrantError, OutputError
from calibrant.core.executor import Executor
from calibrant.core.metrics import badness
from calibrant.core.progress import Progress, SayingOnce
from calibrant.core.types import Latency, Statistics
from calibrant.models.onnx.memory import footprint
from calibrant.stages.collect import Observed, collect_parts
from calibrant.stages.evaluate import Evaluation, FirstInputs, predictions_of
from calibrant.stages.remote.files import NamedFile
from calibrant.stages.remote.predicting import ModelToOpen
from calibrant.studies.cached_results import CachedResults
from calibrant.studies.deploy import format_for, observed_model
from calibrant.studies.environment import environment
from calibrant.studies.evidence import save_evidence
from calibrant.studies.pipelines.deliver import deliver
from calibrant.studies.pipelines.prepare import PipelineStudy, part_task
from calibrant.studies.pipelines.summary import whole_summary
from calibrant.studies.pipelines.verdict import ALL_PARTS, all_but, with_whole_verdict
from calibrant.studies.request import REQUEST
from calibrant.studies.result import (
    Baseline,
    PartSummary,
    ScoreValue,
    StudyResult,
    Trial,
    TrialFiles,
    figures_of,
)
from calibrant.studies.run import (
    RESULT,
    Beforehand,
    Study,
    evaluator_of,
    float_model_of,
    run_study,
    statistics_decided_by,
)
from calibrant.studies.run_files import written_files
from calibrant.studies.trial_evaluator import FAILED, OK, TrialEvaluator
from calibrant.studies.trials import cache_key
from calibrant.studies.verdict import BASELINE
from calibrant.studies.workers import ModelToMeasure, Shared


def run_pipeline(
    pipeline: PipelineStudy,
    out: Path,
    progress: Progress,
    cache: Cache | None = None,
    executor: Executor | None = None,
) -> StudyResult:
    """Run the study of every part, then measure the best of each together.

    Writes study.json into ``out``, a study of its own for each part into a folder of the part's name, and the
    files to deploy into ``deploy``. Arguments as for run_study.
    """
    notes = SayingOnce(progress)
    statistics, seconds = _collected(pipeline, cache, executor, notes)
    first = next(iter(pipeline.studies.values()))
    kept = CachedResults(cache, first.task, (first.runtime, first.collector))
    baseline = evaluator_of(first, kept, notes, executor).evaluation(float_model_of(first))
    results = {}
    for part, study in pipeline.studies.items():
        folder = out / part
        folder.mkdir(exist_ok=True)
        write_bytes(folder / REQUEST, json_bytes(pipeline.request_of(part).to_dict()))
        own = replace(baseline, latency=_latency(study))
        beforehand = Beforehand(statistics[part], own, seconds / len(statistics)) if statistics else None
        found = run_study(study, folder, notes, cache, executor, beforehand)
        results[part] = replace(found, out=str(folder))
    remove(out / RESULT)
    remove(out / CHECKSUMS)
    combiner = Combiner(pipeline, out, kept, notes, executor)
    chosen, together, evaluations = _together(_chosen(results), _best(results), combiner)
    result = _result(pipeline, results, chosen, baseline, together, out)
    result = with_whole_verdict(result, baseline, evaluations, pipeline.max_loss, first.settings.seed)
    finished, delivered = deliver(result, pipeline.opened, out)
    content = json_bytes(finished.to_dict())
    write_checksums(out, (*written_files(finished, out), *delivered), {RESULT: content})
    write_bytes(out / RESULT, content)
    return finished


def _collected(
    pipeline: PipelineStudy, cache: Cache | None, executor: Executor | None, progress: Progress
) -> tuple[dict[str, Statistics], float]:
    """All parts' statistics from one run of the float model, and its seconds.

    Empty with an executor, which shares out the samples of one part after the other.
    """
    if executor is not None:
        return {}, 0.0
    started = time.perf_counter()
    wanted = {part: _observed(study) for part, study in pipeline.studies.items()}
    first = next(iter(pipeline.studies.values()))
    whole, collected = part_task(first).whole, dict[str, Statistics]()

    def of(part: str) -> Statistics:
        if not collected:
            # Parts without a quantized layer run too, and are asked for nothing.
            beside = {
                name: Observed(model, ())
                for name, model in pipeline.opened.models.items()
                if name not in wanted
            }
            parts = {name: {**wanted, **beside}[name] for name in pipeline.opened.models}
            collected.update(collect_parts(parts, whole, first.collector, first.calibration, progress))
        return collected[part]

    found = {}
    for part, study in pipeline.studies.items():
        kept = CachedResults(cache, study.task, (study.runtime, study.collector))
        decided_by = statistics_decided_by(study, wanted[part].tensors)
        found[part] = kept.statistics(decided_by, partial(of, part))
    return found, time.perf_counter() - started


def _observed(study: Study) -> Observed:
    written_as = format_for(study.runtime, study.plan.model.as_given, study.plan.scheme)
    model = observed_model(study.runtime, study.plan.model, study.plan.scheme)
    return Observed(model, written_as.tensors(study.plan))


def _latency(study: Study) -> Latency | None:
    """How fast one part's float model is, on the inputs of its first run."""
    first = FirstInputs()
    with study.runtime.open(study.float_model) as session:
        for _ in predictions_of(session, study.task, study.test[:1], first.watch):
            pass
        return first.latency(session)


class Combiner:
    """Measures several parts' candidates together: the last of them as the candidate, beside the others."""

    def __init__(
        self,
        pipeline: PipelineStudy,
        out: Path,
        kept: CachedResults,
        progress: Progress,
        executor: Executor | None,
    ) -> None:
        self._pipeline, self._out, self._kept = pipeline, out, kept
        self._progress, self._executor = progress, executor

    def measured(self, name: str, chosen: Mapping[str, Trial]) -> tuple[Trial, Evaluation | None]:
        """What becomes of the whole where these parts are quantized so, and the others in float."""
        recipe = {part: trial.calibrator for part, trial in chosen.items()}
        key = hashlib.sha256(
            json.dumps({part: trial.key for part, trial in chosen.items()}).encode()
        ).hexdigest()
        try:
            found = self._evaluation(name, chosen, key)
        except OutputError:
            raise
        except CalibrantError as error:
            return Trial(name, key, FAILED, str(error), recipe=recipe), None
        evidence = save_evidence(found.score.evidence, self._out, key[:16])
        trial = Trial(
            name,
            key,
            OK,
            score=ScoreValue.of(found.score),
            figures=figures_of(found.score),
            samples=len(found.predictions),
            seconds=round(found.seconds, 3),
            files=TrialFiles(evidence=evidence),
            recipe=recipe,
        )
        return trial, found

    def _evaluation(self, name: str, chosen: Mapping[str, Trial], key: str) -> Evaluation:
        files = {part: self._out / part / trial.files.qdq for part, trial in chosen.items() if trial.files}
        last = list(files)[-1]
        study, model = self._pipeline.studies[last], files.pop(last)
        task = part_task(study).beside(files)
        workers = Shared(self._executor, task, study.test) if self._executor else None
        evaluator = TrialEvaluator(task, study.test, self._kept, self._progress, workers)
        sent = partial(_sent, study.settings.runtime, model)
        try:
            return evaluator.evaluation(
                ModelToMeasure(name, partial(study.runtime.open, model), sent, cache_key(study.context, key))
            )
        finally:
            task.others.close()


def _sent(runtime: str, file: Path) -> ModelToOpen:
    return ModelToOpen(runtime, NamedFile.of(file))


def _chosen(results: Mapping[str, StudyResult]) -> dict[str, Trial]:
    """The candidate that each part has where it is quantized: the recommended one, or else the best."""
    best = _best(results)
    named = {part: found.recommended for part, found in results.items()}
    return {
        part: results[part].trial(recommended.calibrator) if recommended else best[part]
        for part, recommended in named.items()
        if recommended or part in best
    }


def _best(results: Mapping[str, StudyResult]) -> dict[str, Trial]:
    """The candidate of each part that lost least."""
    best = {
        part: next((trial for trial in result.ranking if trial.value is not None), None)
        for part, result in results.items()
    }
    return {part: trial for part, trial in best.items() if trial is not None}


def _together(
    chosen: Mapping[str, Trial], best: Mapping[str, Trial], combiner: Combiner
) -> tuple[Mapping[str, Trial], tuple[Trial, ...], dict[str, Evaluation]]:
    """What all parts have, what was measured of them together, and its evaluations.

    Parts whose simplest candidate is indistinguishable from their best may lose more together than each by
    itself shows: where the two differ both are measured, and what scores better counts. Then all but each
    one; of two parts these are measured already.
    """
    if len(chosen) < 2:
        return chosen, (), {}
    measured = [(chosen, *combiner.measured(ALL_PARTS, chosen))]
    if any(best[part].key != trial.key for part, trial in chosen.items() if part in best):
        measured.append((best, *combiner.measured(ALL_PARTS, best)))
    measured.sort(key=lambda found: _badness(found[2]))  # of equals the simplest, which comes first
    kept, *others = measured
    names = {ALL_PARTS: kept, **{f"{ALL_PARTS}, other candidates": other for other in others}}
    found = {name: (replace(trial, calibrator=name), of) for name, (_, trial, of) in names.items()}
    chosen = kept[0]
    if len(chosen) > 2:
        for part in chosen:
            rest = {name: trial for name, trial in chosen.items() if name != part}
            found[all_but(part)] = combiner.measured(all_but(part), rest)
    evaluations = {name: of for name, (_, of) in found.items() if of is not None}
    return chosen, tuple(trial for trial, _ in found.values()), evaluations


def _badness(evaluation: Evaluation | None) -> float:
    """What orders wholes, the best first; one that failed comes last."""
    if evaluation is None or math.isnan(evaluation.score.value):
        return math.inf
    return badness(evaluation.score.value, evaluation.score.metric)


def _of_part(part: str, trial: Trial) -> Trial:
    """A part's trial as one of the whole's."""
    files = trial.files
    if files is not None:
        named = {kind: f"{part}/{path}" for kind, path in asdict(files).items() if path}
        files = TrialFiles(**named)
    return replace(
        trial,
        calibrator=f"{part}/{trial.calibrator}",
        files=files,
        same_as=trial.same_as and f"{part}/{trial.same_as}",
        recipe={"part": part, **trial.recipe},
    )


def _result(
    pipeline: PipelineStudy,
    results: Mapping[str, StudyResult],
    chosen: Mapping[str, Trial],
    baseline: Evaluation,
    together: Sequence[Trial],
    out: Path,
) -> StudyResult:
    first = next(iter(results.values()))
    own = next(iter(pipeline.studies.values()))
    return StudyResult(
        out=str(out),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=whole_summary(pipeline),
        environment=environment(own.runtime),
        settings={**own.settings.to_dict(), "max_loss": pipeline.max_loss},
        data=first.data,
        metric=first.metric,
        baseline=Baseline(
            ScoreValue.of(baseline.score),
            figures_of(baseline.score),
            round(baseline.seconds, 3),
            None,
            save_evidence(baseline.score.evidence, out, BASELINE),
        ),
        trials=(
            *(_of_part(part, trial) for part, result in results.items() for trial in result.trials),
            *together,
        ),
        recommended=None,
        calibration_seconds=round(sum(result.calibration_seconds for result in results.values()), 3),
        warnings=tuple(dict.fromkeys(line for result in results.values() for line in result.warnings)),
        task=first.task,
        parts=tuple(_part(pipeline, part, chosen.get(part)) for part in pipeline.opened.models),
    )


def _part(pipeline: PipelineStudy, part: str, chosen: Trial | None) -> PartSummary:
    model, study = pipeline.opened.models[part], pipeline.studies.get(part)
    return PartSummary(
        name=part,
        file=model.path.name,
        weights=footprint(model).weights,
        quantized_nodes=study.model.quantized_nodes if study else 0,
        chosen=chosen.calibrator if chosen else None,
        reason=pipeline.stays_float.get(part) or (None if chosen else "no candidate could be measured"),
        loss=chosen.loss if chosen else None,
        folder=part if study else None,
    )
