"""The options that tasks bring: each field of a task's options is one of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import click

from calibrant.cli.exported import with_exported_model
from calibrant.core.auto import AUTO

if TYPE_CHECKING:
    from calibrant.core.tasks import TaskDefinition

_ARGUMENTS = "calibrant.arguments"
_RECTANGLE = re.compile(r"\d+x\d+")


class TaskCommand(click.Command):
    """A command about a model, which takes the options of the model's task, too.

    Named by ``--task`` these are that task's; else every task's are taken, and the API refuses what the
    recognised one does not have. ``--help`` shows those of the task that is named, or recognised.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse with the options that these arguments ask for, and with what they name exported to ONNX."""
        own = [param for param in self.params if isinstance(param, click.Option) and not param.is_flag]
        args = _with_shapes(args)
        args = with_exported_model(args, {name for option in own for name in option.opts})
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Where to find the options of tasks."""
        formatter.write_paragraph()
        formatter.write_text(
            f"Each task has options of its own: {ctx.command_path} MODEL --help, or --task NAME --help; "
            "calibrant tasks lists them."
        )

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, then the tasks'."""
        own = super().get_params(ctx)
        taken: set[str | None] = {name for param in own for name in (param.name, *param.opts)}
        given = ctx.meta.get(_ARGUMENTS, [])
        is_help = any(argument in ctx.help_option_names for argument in given)
        return [*own, *_options_of(_asked_for(given, recognise=is_help), taken)]


def _with_shapes(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--imgsz 48x320`` as the input shape that it stands for; a side stays as it is."""
    if not any(_RECTANGLE.fullmatch(text.rpartition("=")[2]) for text in arguments):
        return list(arguments)
    from calibrant.tasks.registry import option_flags

    flags, found = set(option_flags(sides_only=True).values()), list(arguments)
    for position, text in enumerate(arguments):
        flag, equals, value = text.partition("=")
        value = value if equals else "".join(arguments[position + 1 : position + 2])
        if flag in flags and _RECTANGLE.fullmatch(value):
            found[position] = f"--input-shape{equals}{value if equals else ''}"
    return found


def _asked_for(arguments: Sequence[str], *, recognise: bool) -> list[TaskDefinition]:
    from calibrant.core.errors import CalibrantError
    from calibrant.tasks.registry import definitions, task_named, task_names

    named = _named(arguments)
    if named is None and recognise:
        try:
            named = _recognised(arguments)
        except CalibrantError:
            named = None
    if named in task_names():
        return [task_named(named)]
    return [] if recognise else list(definitions())


def _named(arguments: Sequence[str]) -> str | None:
    for position, argument in enumerate(arguments):
        if argument.startswith("--task="):
            return argument.partition("=")[2]
        if argument == "--task" and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


def _recognised(arguments: Sequence[str]) -> str | None:
    """What the first model among the arguments is for."""
    models = [Path(text) for text in arguments if text.endswith(".onnx")]
    if not models or not models[0].is_file():
        return None
    from calibrant.models.onnx.model import load_model, signature_of
    from calibrant.tasks.registry import recognised

    return recognised(signature_of(load_model(models[0]))).task


def _options_of(tasks: Sequence[TaskDefinition], taken: set[str | None]) -> Iterator[click.Option]:
    """Each option once; where tasks share a name, the first one's words stand for all."""
    from calibrant.tasks.registry import flags_of

    for definition in tasks:
        hints = get_type_hints(definition.options)
        for field in fields(definition.options):
            if field.name in taken or taken & set(flags_of(field)):
                continue
            taken |= {field.name, *flags_of(field)}
            whose = "" if len(tasks) == 1 else f"[{definition.name}] "
            yield _option(field, hints[field.name], flags_of(field), whose)


def _option(field: Field[Any], hint: Any, flags: Sequence[str], whose: str) -> click.Option:
    told = field.metadata
    kind, is_many = _kind(hint)
    default = None if field.default is MISSING else field.default
    words = f"{whose}{told.get('help', '')}"
    if default not in (None, (), ""):
        words += f" [default: {default}]"
    names = [*flags, field.name]
    if kind is bool:
        names = [f"{flags[0]}/--no-{flags[0].removeprefix('--')}", field.name]
        return click.Option(names, default=None, help=words)
    return click.Option(
        names,
        type=_click_type(kind, told),
        multiple=is_many,
        default=None,
        metavar=told.get("metavar"),
        help=words,
    )


def _kind(hint: Any) -> tuple[Any, bool]:
    """The type of one value, and whether there may be several."""
    if get_origin(hint) is UnionType:
        hint = next(option for option in get_args(hint) if option is not NoneType)
    if get_origin(hint) is tuple:
        return get_args(hint)[0], True
    return hint, False


def _click_type(kind: Any, told: Any) -> Any:
    low, high, choices = told.get("low"), told.get("high"), told.get("choices")
    if choices:
        return click.Choice(list(choices))
    if kind is int:
        return click.IntRange(low, high) if (low, high) != (None, None) else int
    if kind is float:
        return click.FloatRange(low, high) if (low, high) != (None, None) else float
    return str


TASK = click.option(
    "--task",
    default=AUTO,
    show_default=True,
    metavar="NAME",
    help="What the model is for; see calibrant tasks.",
)
INPUT_SHAPE = click.option(
    "--input-shape", metavar="HxW", help="Height and width, for a model that leaves them open, e.g. 48x320."
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print only JSON.")
def tasks(as_json: bool) -> None:
    """List what models may be for: metrics, data and options of each task."""
    from calibrant.cli.output import print_json, say
    from calibrant.tasks.registry import default_options, definitions, flags_of

    found = [
        {
            "name": definition.name,
            "title": definition.title,
            "metric": definition.metric.name,
            "unit": definition.metric.unit,
            "direction": definition.metric.direction,
            "data": definition.data,
            "calibration": definition.calibration,
            "families": list(definition.families),
            "options": default_options(definition),
            "flags": {field.name: list(flags_of(field)) for field in fields(definition.options)},
            "is_named_only": definition.is_named_only,
        }
        for definition in definitions()
    ]
    if as_json:
        print_json({"tasks": found})
        return
    for task in found:
        less = ", less is better" if task["direction"] == "minimize" else ""
        taken = ", taken only with --task" if task["is_named_only"] else ""
        say(f"{task['name']}: {task['title']}{taken}")
        say(f"  metric       {task['metric']} ({task['unit'] or 'a number'}{less})")
        say(f"  data         {task['data']}")
        say(f"  calibration  {task['calibration']}")
        flags = [names[0] for names in task["flags"].values()]  # type: ignore[attr-defined]
        if flags:
            say(f"  options      {', '.join(flags)}")
