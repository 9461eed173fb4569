"""A checkpoint's study on the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from calibrant.core.sizes import format_bytes
from calibrant.reports.tables import plain_table
from calibrant.studies.checkpoints.confirming import Decoding
from calibrant.studies.checkpoints.result import CheckpointStudy, CheckpointTrial
from calibrant.tasks.generation.evidence import DIVERGENCE


def print_checkpoint_study(result: CheckpointStudy, console: Console) -> None:
    """Print the ranking by KL, the recommendation, and what the measuring took."""
    console.print(_headline(result))
    console.print(_table(result))
    for better, other, count in result.needed:
        console.print(
            Text(
                f"About {count} such documents would tell {better} from {other}; "
                f"there are {result.data.documents}.",
                "dim",
            )
        )
    console.print(_verdict(result))
    if result.decoding is not None:
        console.print(_decoding(result.decoding))
    console.print(Text(_cost(result), "dim"))
    for trial in result.trials:
        if trial.files:
            console.print(f"Checkpoint of {escape(trial.name)}: {escape(f'{result.out}/{trial.files}')}")
    console.print(f"study.json: {escape(result.out)}")


def _headline(result: CheckpointStudy) -> str:
    model, data = result.model, result.data
    share = 100 * model.quantized_weights / model.weights
    return (
        f"[bold]{escape(model.path)}[/bold], {escape(model.model_type)}: {model.blocks} blocks, "
        f"{share:.1f} % of {model.weights / 1e6:.1f} M weights are quantized; "
        f"{data.calibration_documents} calibration documents ({data.calibration_tokens} tokens), "
        f"{data.documents} test documents ({data.tokens} scored tokens)"
    )


def _table(result: CheckpointStudy) -> Table:
    table = plain_table()
    table.add_column("", width=1)
    table.add_column("candidate", no_wrap=True)
    for title in ("size", "bits", "KL", "95 % interval", "top-1", "NLL +", "worst KL"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row("", "float", format_bytes(result.model.bytes), *_blank(6))
    for row in _rows(result):
        table.add_row(*row)
    return table


def _blank(count: int) -> tuple[str, ...]:
    return ("",) * count


def _rows(result: CheckpointStudy) -> Iterator[list[str | Text]]:
    chosen = result.recommended.name if result.recommended else None
    for trial in result.ranking:
        style = "bold green" if trial.name == chosen else ""
        yield [
            Text("*" if trial.name == chosen else "", style=style),
            Text(trial.name, style=style),
            format_bytes(trial.bytes),
            f"{trial.bits:.2f}",
            DIVERGENCE.text(trial.loss.value),
            trial.loss.interval(DIVERGENCE),
            _figure(trial, "top1", "{:.1f} %"),
            _figure(trial, "nll_change", "{:+.4f}"),
            _figure(trial, "kl_worst_document", "{:.4f}"),
        ]


def _figure(trial: CheckpointTrial, name: str, form: str) -> str:
    value = trial.figure(name)
    return "" if value is None else form.format(value)


def _verdict(result: CheckpointStudy) -> Text:
    chosen = result.recommended
    if chosen is None:
        return Text("No candidate is within the loss that you allow.", style="bold red")
    text = Text("Use ").append(chosen.name, style="bold green").append(f": {chosen.reason}.")
    held_out = DIVERGENCE.amount(chosen.held_out_loss)
    return text.append(
        f" Choosing on one half of the documents and measuring on the other gives KL {held_out}.", style="dim"
    )


def _decoding(found: Decoding) -> Table:
    """What the best wrote, against the float model."""
    table = plain_table(f"Written answers of {found.documents} documents, by {found.scorer}")
    table.add_column("candidate", no_wrap=True)
    titles = ("right", "lost", "95 % interval", "broken", "fixed", "p", "tokens", "unclosed", "needed")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_row(
        "float", f"{100 * found.score:.1f} %", *_blank(5), f"{found.tokens:.1f}", str(found.unclosed), ""
    )
    for each in found.confirmations:
        table.add_row(
            each.name, f"{100 * each.score:.1f} %", f"{100 * each.loss:+.1f} %",
            f"{100 * each.low:+.1f} to {100 * each.high:+.1f}", str(each.broken), str(each.fixed),
            f"{each.p_value:.2g}", f"{each.tokens:.1f}", str(each.unclosed),
            "" if each.needed is None else str(each.needed),
        )  # fmt: skip
    return table


def _cost(result: CheckpointStudy) -> str:
    cost = result.cost
    share = cost.bytes_read / result.model.bytes
    return (
        f"{cost.seconds:.1f} s, at most {format_bytes(cost.peak_memory)} of memory; the model's "
        f"{format_bytes(result.model.bytes)} were read {share:.2f} times"
    )
