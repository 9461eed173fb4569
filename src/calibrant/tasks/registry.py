"""The table of tasks, which of them a model is for, and their options: all that other rooms know of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, fields
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, get_type_hints

from calibrant.core.errors import ModelError, SettingsError, UnknownFamilyError
from calibrant.core.from_json import checked_value
from calibrant.core.metrics import Metric
from calibrant.core.tasks import AUTO, ModelFolder, Reading, Recognition, SampleSet, Task, TaskDefinition
from calibrant.core.types import ModelSignature

ENTRY_POINT_GROUP = "calibrant.tasks"

PROFILE_FILES = frozenset({".yaml", ".yml"})
"""A family may also be a file that describes it."""

TASKS: Mapping[str, str] = {
    "detection": "calibrant.tasks.detection.definition:DETECTION",
    "segmentation": "calibrant.tasks.detection.instances.tasks:SEGMENTATION",
    "keypoints": "calibrant.tasks.detection.instances.tasks:KEYPOINTS",
    "oriented": "calibrant.tasks.detection.instances.tasks:ORIENTED",
    "classification": "calibrant.tasks.classification:ClassificationDefinition",
    "recognition": "calibrant.tasks.recognition:RecognitionDefinition",
    "text_detection": "calibrant.tasks.text_detection:TextDetectionDefinition",
    "semantic": "calibrant.tasks.semantic:SemanticDefinition",
    "speech": "calibrant.tasks.speech:SpeechDefinition",
    "page": "calibrant.tasks.page:PageDefinition",
    "synthesis": "calibrant.tasks.synthesis:SynthesisDefinition",
    "outputs": "calibrant.tasks.outputs.definition:OUTPUTS",
}
"""Where each task's definition is; it is imported when it is asked for."""

ANY_MODEL = "outputs"
"""The task that takes any model, where nothing is ranked."""


def task_names() -> tuple[str, ...]:
    """All tasks, ours first."""
    return (*TASKS, *(name for name in _plugins() if name not in TASKS))


@cache
def task_named(name: str) -> TaskDefinition:
    """The definition of a task. Raises SettingsError for a name that there is not."""
    if name in TASKS:
        module, _, attribute = TASKS[name].partition(":")
        found = getattr(import_module(module), attribute)
    elif name in _plugins():
        found = _loaded(_plugins()[name])
    else:
        raise SettingsError(f"no task is called {name!r}; known: {', '.join([*task_names(), AUTO])}")
    return found() if isinstance(found, type) else found  # type: ignore[no-any-return]


def presented(name: str) -> TaskDefinition:
    """The definition of a task, to tell its results; of one that is not installed here: plain words."""
    return task_named(name) if name in task_names() else _NotInstalled(name)


class _NotInstalled(TaskDefinition):
    """Stands for a task whose results are read where it is not installed."""

    title = "not installed here"

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    @property
    def metric(self) -> Metric:
        """Nothing is known of it."""
        raise self._error()

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """Nothing is recognised."""
        del signature, family
        return None

    def open_test(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        """Nothing is read."""
        del source, found, options, reading
        raise self._error()

    def open_calibration(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        """Nothing is read."""
        del source, found, options, reading
        raise self._error()

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: Any,
        test: SampleSet | None = None,
    ) -> Task:
        """Nothing is driven."""
        del signatures, found, options, test
        raise self._error()

    def _error(self) -> SettingsError:
        return SettingsError(f"task {self.name} is not installed here; install the package that has it")


def definitions() -> Iterator[TaskDefinition]:
    """Every task's definition."""
    return map(task_named, task_names())


def recognised(signature: ModelSignature, task: str = AUTO, family: str = AUTO) -> Recognition:
    """What a model is for: by its looks (auto), or as the user names it.

    Raises UnknownFamilyError or ModelError where no task knows it, SettingsError where several do.
    """
    if task != AUTO:
        require_family(family, task)
        found = task_named(task).recognise(signature, family)
        if found is None:
            raise UnknownFamilyError(_not_of(task, family, signature))
        return found
    require_family(family)
    answers, refusals = _asked(signature, family)
    if len(answers) > 1:
        names = " and ".join(answer.task for answer in answers)
        raise SettingsError(f"the model may be for {names}; say which, e.g. --task {answers[0].task}")
    if answers:
        return answers[0]
    if refusals:
        raise refusals[0]
    raise UnknownFamilyError(_not_of(AUTO, family, signature))


def recognised_folder(
    signatures: Mapping[str, ModelSignature], folder: ModelFolder, task: str = AUTO, family: str = AUTO
) -> Recognition:
    """What a model of several files is for: by its parts (auto), or as the folder or the user names it.

    Raises as :func:`recognised`.
    """
    named = folder.task if task == AUTO else task
    require_family(family, named)
    asked = [d for d in definitions() if not d.is_named_only] if named == AUTO else [task_named(named)]
    answers, refusals = [], []
    for definition in asked:
        try:
            found = definition.recognise_folder(signatures, folder, family)
        except ModelError as error:
            refusals.append(error)
        else:
            answers += [found] if found else []
    if len(answers) > 1:
        names = " and ".join(answer.task for answer in answers)
        raise SettingsError(f"{folder.path} may be for {names}; say which, e.g. --task {answers[0].task}")
    if answers:
        return answers[0]
    if refusals:
        raise refusals[0]
    whose = "no task knows" if named == AUTO else f"task {named} does not know"
    raise UnknownFamilyError(
        f"{whose} a model of these parts: {', '.join(signatures)} ({folder.layout}); see calibrant tasks"
    )


def require_family(family: str, task: str = AUTO) -> None:
    """Raise SettingsError where no task, or not this one, has a family of this name.

    Files are not looked at.
    """
    asked = definitions() if task == AUTO else [task_named(task)]
    is_file = Path(family).suffix in PROFILE_FILES
    if family != AUTO and not is_file and not any(family.lower() in d.families for d in asked):
        raise SettingsError(_no_such_family(family, task))


def _asked(signature: ModelSignature, family: str) -> tuple[list[Recognition], list[ModelError]]:
    """What every task says to a model, and why those refuse it that might know it."""
    answers, refusals = [], []
    for definition in definitions():
        if definition.is_named_only:
            continue
        try:
            found = definition.recognise(signature, family)
        except ModelError as error:
            refusals.append(error)
        else:
            answers += [found] if found else []
    return answers, refusals


def _not_of(task: str, family: str, signature: ModelSignature) -> str:
    outputs = ", ".join(f"{info.name} {_shape(info.shape)}" for info in signature.outputs)
    if family != AUTO:
        return f"family {family!r} does not fit a model with these outputs: {outputs}; see calibrant tasks"
    if task != AUTO:
        return f"the model is not one that task {task} knows (its outputs: {outputs}); see calibrant tasks"
    named_only = [definition.name for definition in definitions() if definition.is_named_only]
    remedy = f"name its task with --task (calibrant tasks lists them){_or_any(named_only)}"
    return f"no task knows a model with these outputs: {outputs}; {remedy}"


def _no_such_family(family: str, task: str) -> str:
    """That there is no family of this name, with the one that it may have been meant to be."""
    asked = list(definitions()) if task == AUTO else [task_named(task)]
    known = [name for definition in asked for name in definition.families]
    near = get_close_matches(family.lower(), known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return (
        f"no family is called {family!r}{meant}; known are {', '.join(known) or 'none'}, or give a YAML "
        "profile"
    )


def _or_any(names: list[str]) -> str:
    return f"; --task {names[0]} takes any model" if names else ""


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if side is None else str(side) for side in shape) or "scalar"


# --- options ---------------------------------------------------------------------------------------


def options_from(definition: TaskDefinition, given: Mapping[str, Any]) -> Any:
    """A task's options with the values that were given, by the fields' names; the others have their defaults.

    Raises SettingsError for an option that the task does not have, and for a value that it does not allow.
    """
    kind = definition.options
    known = {field.name: field for field in fields(kind)}
    for name in given:
        if name not in known:
            raise SettingsError(_no_such_option(name, definition, tuple(known)))
    hints = get_type_hints(kind)
    values = {}
    for name, value in given.items():
        try:
            values[name] = checked_value(hints[name], value, name)
        except TypeError as error:
            raise SettingsError(
                f"option {error}; see calibrant study --task {definition.name} --help"
            ) from error
        _require_allowed(name, values[name], known[name].metadata)
    return kind(**values)


def calibration_of(source: str) -> str | None:
    """Calibration samples that a labelled set names itself; None: no task knows of any. Raises DataError."""
    found = (definition.calibration_of(source) for definition in definitions())
    return next((samples for samples in found if samples is not None), None)


def option_names() -> tuple[str, ...]:
    """The names of every task's options."""
    names = (field.name for definition in definitions() for field in fields(definition.options))
    return tuple(dict.fromkeys(names))


def option_flags(task: str = AUTO, *, sides_only: bool = False) -> dict[str, str]:
    """The command line's flag of each option of a task, or of all tasks.

    Of those for an input's sides alone.
    """
    asked = definitions() if task == AUTO else [task_named(task)]
    return {
        field.name: flags_of(field)[0]
        for definition in asked
        for field in fields(definition.options)
        if field.metadata.get("is_side") or not sides_only
    }


def flags_of(field: Field[Any]) -> tuple[str, ...]:
    """An option's flags of the command line."""
    return tuple(field.metadata.get("flags") or (f"--{field.name.replace('_', '-')}",))


def require_option(name: str, value: Any) -> None:
    """Raise SettingsError where no task that has an option of this name allows the value."""
    having = [d for d in definitions() if name in {field.name for field in fields(d.options)}]
    errors = []
    for definition in having:
        try:
            options_from(definition, {name: value})
        except SettingsError as error:
            errors.append(error)
    if having and len(errors) == len(having):
        raise errors[0]


def input_shape_in(given: Mapping[str, Any]) -> tuple[int, int] | None:
    """The input shape that an option of some task stands for, e.g. ``imgsz``; None.

    No such option is given.
    """
    for definition in definitions():
        for field in fields(definition.options):
            side = given.get(field.name) if field.metadata.get("is_side") else None
            if side is not None:
                return side, side
    return None


def options_to_dict(options: Any) -> dict[str, Any]:
    """Options as files hold them: JSON types only."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()
    }


def default_options(definition: TaskDefinition) -> dict[str, Any]:
    """Every option of a task with its default."""
    return {field.name: field.default for field in fields(definition.options) if field.default is not MISSING}


def _require_allowed(name: str, value: Any, told: Mapping[str, Any]) -> None:
    low, high, choices = told.get("low"), told.get("high"), told.get("choices") or ()
    if choices and value is not None and value not in choices:
        raise SettingsError(f"{name} {value!r} is not known; use {' or '.join(choices)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if low is not None and high is not None and not low <= value <= high:
            raise SettingsError(f"{name} {value} is not between {low:g} and {high:g}")
        if low is not None and not value >= low:
            raise SettingsError(f"{name} {value} is below {low:g}, the least it may be")
        if high is not None and not value <= high:
            raise SettingsError(f"{name} {value} is above {high:g}, the most it may be")


def _no_such_option(name: str, definition: TaskDefinition, known: tuple[str, ...]) -> str:
    has = f"it has {', '.join(known)}" if known else "it has none"
    return f"task {definition.name} has no option {name!r}; {has}"


# --- tasks of other packages -----------------------------------------------------------------------


@cache
def _plugins() -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        raise SettingsError(
            f"task {entry.name} of {entry.value} cannot be loaded: {type(error).__name__}: {error}; "
            "update or remove the package"
        ) from error
