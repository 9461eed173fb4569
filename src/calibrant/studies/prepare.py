"""From paths and names to a checked Study: everything that can be wrong is found here, before work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import ModelError, NothingQuantizedError, SettingsError
from calibrant.core.own_metric import OwnMetric, ScoredBy
from calibrant.core.progress import Progress, Silent
from calibrant.core.schemes import scheme_named
from calibrant.core.scratch import ScratchFolder
from calibrant.core.tasks import (
    AUTO,
    MODEL,
    ModelFolder,
    Reading,
    Recognition,
    SampleSet,
    Task,
    TaskDefinition,
)
from calibrant.core.types import ModelSignature, QuantizingRuntime, Runtime, Scheme
from calibrant.models.onnx.model import (
    Model,
    dynamic_plane_input,
    load_model,
    needs_a_copy,
    opset_of,
    raised,
    save_model,
    signature_of,
    with_fixed_input,
)
from calibrant.models.onnx.model_folders import model_folder
from calibrant.models.onnx.points import pooling_ties, precision_map, quant_points, require_no_plugins
from calibrant.models.onnx.qdq import require_finite_weights
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.evaluate import predictions_of
from calibrant.stages.parts import KeptOutputs, OtherParts, PartTask, equipped
from calibrant.stages.same_function import require_same_function
from calibrant.stages.sessions import drive
from calibrant.studies.candidates import QuantPlan
from calibrant.studies.plan import StudySettings, TrialContext, ids_sha256, sides_of
from calibrant.studies.remarks import on_graph, on_scheme
from calibrant.studies.result import DataSummary, LayerSummary, ModelSummary
from calibrant.studies.run import Study
from calibrant.tasks.registry import (
    ANY_MODEL,
    input_shape_in,
    options_from,
    options_to_dict,
    recognised,
    recognised_folder,
    task_named,
)

_ARRAY_SUFFIXES = frozenset({".npy", ".npz"})


@dataclass(frozen=True)
class OpenedModel:
    """A model, what it was taken for, and the options of its task.

    whole, part: the model of several parts that it is a part of, and which one it is.
    """

    model: Model
    signature: ModelSignature
    recognition: Recognition
    options: Any
    whole: OpenedParts | None = None
    part: str = MODEL

    @property
    def definition(self) -> TaskDefinition:
        """What it is for."""
        return task_named(self.recognition.task)

    def test_set(self, source: str, reading: Reading) -> SampleSet:
        """Open a labelled test set. Raises DataError."""
        return self.definition.open_test(source, self.recognition, self.options, reading)

    def calibration_set(self, source: str, reading: Reading) -> SampleSet:
        """Open calibration samples, in order. Raises DataError."""
        return self.definition.open_calibration(source, self.recognition, self.options, reading)

    def task(self, test: SampleSet | None = None, runtime: str = REFERENCE) -> Task:
        """The task for this model; without a test set it can drive it and compare, but not score.

        runtime: what runs the other parts, of a model that has several.
        """
        if self.whole is None:
            bound = self.definition.bind({MODEL: self.signature}, self.recognition, self.options, test)
            return equipped(bound)
        return self.whole.task_of(self.part, test, runtime)


@dataclass(frozen=True)
class OpenedParts:
    """A model of several parts: each part's model, and what the whole was taken for.

    files: what a runtime opens of each part. outputs: what parts in float gave, kept for all that measure a
    part in this process.
    """

    folder: ModelFolder
    models: Mapping[str, Model]
    files: Mapping[str, Path]
    recognition: Recognition
    options: Any
    outputs: KeptOutputs

    @property
    def definition(self) -> TaskDefinition:
        """What it is for."""
        return task_named(self.recognition.task)

    def bound(self, test: SampleSet | None) -> Task:
        """The task for the whole."""
        signatures = {part: signature_of(model) for part, model in self.models.items()}
        return equipped(self.definition.bind(signatures, self.recognition, self.options, test))

    def part(self, part: str) -> OpenedModel:
        """One part as a model of its own, whose profile tells what the others are. Raises SettingsError."""
        if part not in self.models:
            raise SettingsError(f"{self.folder.path} has no part {part!r}; it has {', '.join(self.models)}")
        others = {name: model.sha256 for name, model in self.models.items() if name != part}
        profile = {**self.recognition.profile, "part": part, "others": others}
        model = self.models[part]
        found = replace(self.recognition, profile=profile)
        return OpenedModel(model, signature_of(model), found, self.options, self, part)

    def task_of(self, part: str, test: SampleSet | None = None, runtime: str = REFERENCE) -> PartTask:
        """The task of one part, while the others run in float."""
        whole = self.bound(test)
        beside = {name: file for name, file in self.files.items() if name != part}
        order = list(self.models)
        kept = [name for name in whole.kept_parts if order.index(name) < order.index(part)]
        return PartTask(whole, part, OtherParts(beside, runtime, kept, self.outputs))


def open_model(
    path: Path,
    task: str = AUTO,
    family: str = AUTO,
    input_shape: Sequence[int] | None = None,
    options: Mapping[str, Any] | None = None,
    part: str = "",
) -> OpenedModel:
    """Load a model and recognise what it is for, or take what is named.

    family: a name or a file that describes it. input_shape: height and width, for a model that leaves them
    open. options: the task's own, by name. part: which one, of a folder that holds several; "": the first.
    Raises ModelError, UnknownFamilyError or SettingsError.
    """
    given = options or {}
    folder = model_folder(path)
    if folder is not None:
        opened = open_parts(folder, task, family, given)
        return opened.part(part or next(iter(opened.models))) if len(opened.models) > 1 else _sole(opened)
    model = _fixed(load_model(path), input_shape or input_shape_in(given))
    signature = signature_of(model)
    found = _recognised(path, signature, task, family)
    return OpenedModel(model, signature, found, options_from(task_named(found.task), given))


def open_parts(
    folder: ModelFolder, task: str = AUTO, family: str = AUTO, options: Mapping[str, Any] | None = None
) -> OpenedParts:
    """Load the parts of a model and recognise what the whole is for, or take what is named.

    Raises ModelError, UnknownFamilyError or SettingsError.
    """
    models = {part: load_model(file) for part, file in folder.parts.items()}
    signatures = {part: signature_of(model) for part, model in models.items()}
    found = recognised_folder(signatures, folder, task, family)
    outputs = KeptOutputs()
    files = {part: _file_to_run(model, outputs.place(f"{part}.onnx")) for part, model in models.items()}
    chosen = options_from(task_named(found.task), options or {})
    return OpenedParts(folder, models, files, found, chosen, outputs)


def _file_to_run(model: Model, copy: Path) -> Path:
    if not needs_a_copy(model):
        return model.path
    save_model(model.ir, copy)
    return copy


def _sole(opened: OpenedParts) -> OpenedModel:
    """A model that is one file with others beside it."""
    model = opened.models[MODEL]
    return OpenedModel(model, signature_of(model), opened.recognition, opened.options)


def open_to_calibrate(
    path: Path,
    source: str,
    task: str = AUTO,
    family: str = AUTO,
    input_shape: Sequence[int] | None = None,
    options: Mapping[str, Any] | None = None,
    part: str = "",
) -> OpenedModel:
    """As open_model for what is not ranked: any model, where neither task nor family is named.

    Arrays (source: ``.npy``, ``.npz``) say what a model is fed, whatever it is for; a model that no task
    knows, or whose input none fills, is fed with images as they are. Raises as open_model.
    """
    if (task, family) != (AUTO, AUTO) or model_folder(path) is not None:
        return open_model(path, task, family, input_shape, options, part)
    given = options or {}
    model = _fixed(load_model(path), input_shape or input_shape_in(given))
    signature = signature_of(model)
    if Path(source).suffix.lower() not in _ARRAY_SUFFIXES:
        try:
            found = _recognised(path, signature, task, family)
            opened = OpenedModel(model, signature, found, options_from(task_named(found.task), given))
            opened.task()
            return opened
        except ModelError:
            pass
    return OpenedModel(model, signature, recognised(signature, ANY_MODEL), None)


def _fixed(model: Model, shape: Sequence[int] | None) -> Model:
    """The model with its image input of the given height and width; None: as it is."""
    return model if shape is None else replace(model, ir=with_fixed_input(model, *sides_of(shape)))


def _recognised(path: Path, signature: ModelSignature, task: str, family: str) -> Recognition:
    if not dynamic_plane_input(signature):
        return recognised(signature, task, family)
    try:
        found = recognised(signature, task, family)
    except ModelError:
        found = None
    if found is None or not task_named(found.task).takes_any_size:
        raise ModelError(f"{path.name} has a dynamic input shape; give its size, e.g. --input-shape 640x640")
    return found


@contextmanager
def runnable_file(model: Model) -> Iterator[Path]:
    """The model's file, or a copy for the time being where a runtime cannot open it as it is."""
    if not needs_a_copy(model):
        yield model.path
        return
    with ScratchFolder() as folder:
        copy = folder / model.path.name
        save_model(model.ir, copy)
        yield copy


def require_readable(opened: OpenedModel, plan: QuantPlan, task: Task, sample: Any, runtime: Runtime) -> None:
    """Run the float model on one sample: hold what it gives against what it was taken for, and the raised one
    against it.

    Raises ModelError where one contradicts the other, DataError for a sample that does not fit.
    """
    with runnable_file(opened.model) as file, runtime.open(file) as session:
        task.check(drive(task, session, sample), sample)
    require_same_function(plan.model, runtime, lambda session: drive(task, session, sample))


def quant_plan(opened: OpenedModel, settings: StudySettings) -> QuantPlan:
    """Where the scheme quantizes this model, which is raised to the opset that the scheme needs.

    Raises NothingQuantizedError when it quantizes nothing, NumericsError when a weight is not finite, and
    ModelError when it cannot be run here or its opset not be raised.
    """
    scheme = scheme_named(settings.scheme)
    require_no_plugins(opened.model)
    model = raised(opened.model, scheme.min_opset)
    points = quant_points(model, scheme, settings.exclude, settings.keep_head_float)
    if not points.weights:
        raise NothingQuantizedError(
            f"nothing in {opened.model.path.name} is quantized by scheme {scheme.name}: "
            f"no {', '.join(scheme.weight_axis)} with a constant weight is left"
        )
    require_finite_weights(model, points)
    ties = pooling_ties(model) if scheme.ties_pooling else {}
    return QuantPlan(model, scheme, points, ties)


def prepare_study(
    opened: OpenedModel,
    calibration: SampleSet,
    test: SampleSet,
    calibrators: Sequence[NamedCalibrator],
    runtime: Runtime,
    settings: StudySettings,
    progress: Progress | None = None,
    *,
    is_dry: bool = False,
    metric: OwnMetric | None = None,
) -> Study:
    """Check everything that a study needs and describe it; is_dry: it will not be run.

    metric: the user's own that candidates are scored by; None: the task's.
    """
    shape = settings.input_shape or input_shape_in(settings.options)
    settings = replace(settings, input_shape=shape, options=options_to_dict(opened.options))
    definition, listener = opened.definition, progress or Silent()
    shared = definition.in_both(calibration, test)
    found = (*test.warnings, *calibration.warnings, *_on_shared(shared, test, definition))
    warnings = [*dict.fromkeys(found)]  # both sets may say the same of the model that reads them
    plan = quant_plan(opened, settings)
    _require_runnable(plan.scheme, runtime)
    warnings += on_scheme(plan.scheme, runtime)
    for remark in on_graph(plan.model, plan.points):
        listener.note(remark)
    for warning in warnings:
        listener.note(warning)
    task = opened.task(test, settings.runtime)
    if metric is not None:
        task = ScoredBy(task, metric)
    collector = runtime if runtime.name == REFERENCE else runtime_named(REFERENCE)
    require_readable(opened, plan, task, calibration.samples[0], collector)
    if task.needs_reference and not is_dry:
        task = referring(opened, task, test.samples, runtime)
    data = _data_summary(test, calibration, len(shared))
    return Study(
        plan=plan,
        float_model=opened.model.path,
        task=task,
        collector=collector,
        runtime=runtime,
        calibration=calibration.samples,
        test=test.samples,
        calibrators=calibrators,
        settings=settings,
        context=TrialContext(
            task=task.name,
            model_sha256=opened.model.sha256,
            profile=opened.recognition.profile,
            settings=settings,
            test_ids_sha256=data.test_ids_sha256,
            truth_sha256=test.truth_sha256,
            test_sha256=test.content_sha256,
            runtime_version=runtime.version,
        ),
        model=model_summary(opened, plan),
        data=data,
        warnings=tuple(warnings),
        calibration_sha256=calibration.content_sha256,
    )


def referring(opened: OpenedModel, task: Task, samples: Sequence[Any], runtime: Runtime) -> Task:
    """The task, knowing what the float model predicts for these samples on the runtime that measures."""
    with runnable_file(opened.model) as file, runtime.open(file) as session:
        return task.referring_to(samples, list(predictions_of(session, task, samples)))


def _on_shared(shared: Sequence[str], test: SampleSet, definition: TaskDefinition) -> list[str]:
    if not shared:
        return []
    samples = definition.words.samples
    return [
        f"{len(shared)} of {len(test.samples)} test {samples} are calibration {samples} too, e.g. "
        f"{shared[0]}; "
        "the loss will look smaller than it is: take them out of --calib"
    ]


def _require_runnable(scheme: Scheme, runtime: Runtime) -> None:
    if isinstance(runtime, QuantizingRuntime) and not scheme.has_caches:
        raise SettingsError(
            f"scheme {scheme.name} has {scheme.activations.dtype} activations with zero points, which "
            f"{runtime.name} refuses; use --scheme tensorrt"
        )


def model_summary(opened: OpenedModel, plan: QuantPlan) -> ModelSummary:
    """Which model it is and what it was taken for, as results keep it."""
    return ModelSummary(
        path=str(opened.model.path),
        sha256=opened.model.sha256,
        family=opened.recognition.family,
        family_reason=opened.recognition.why,
        opset=opset_of(opened.model),
        quantized_nodes=len({point.node for point in plan.points.weights}),
        kept_float=plan.points.kept_float,
        profile=opened.recognition.profile,
        kept_float_reasons=plan.points.why_float,
        layers=tuple(
            LayerSummary(" + ".join(layer.nodes), layer.computes, layer.writes, len(layer.reformatted))
            for layer in precision_map(plan.model, plan.scheme, plan.points)
        ),
    )


def _data_summary(test: SampleSet, calibration: SampleSet, in_both: int) -> DataSummary:
    return DataSummary(
        dataset=test.source,
        test_samples=len(test.samples),
        facts=dict(test.facts),
        test_ids_sha256=ids_sha256(sample.id for sample in test.samples),
        calibration=calibration.source,
        calibration_samples=len(calibration.samples),
        calibration_ids_sha256=ids_sha256(sample.id for sample in calibration.samples),
        samples_in_both=in_both,
    )
