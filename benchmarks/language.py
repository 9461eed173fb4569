"""Tables of methods x formats on trained models, as docs/results-language.md has them.

    python benchmarks/language.py MODEL... --out docs/results-language.md

Each MODEL is a folder with a testset/ of calib-*.jsonl and test-*.jsonl. Every domain takes part with as many
documents.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from calibrant.api.checkpoints import study_checkpoint
from calibrant.core.processor import processor_name
from calibrant.studies.checkpoints.result import CheckpointStudy, CheckpointTrial

ROUNDING = ("w4a16-g32,w4a16-g32-asym,w3a16-g32", "rtn,mse,gptq,mse+gptq,awq+mse+gptq")
FORMATS = ("w8a8,fp8,fp8+kv-fp8,w8a16+kv-int8,nvfp4-a16,mxfp4-a16", "rtn")
DOMAINS = ("python", "english", "chinese")


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument(
        "--documents", type=int, default=8, help="of each domain, for calibration and test each"
    )
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    lines = list(page(given.models, given.documents, given.tokens))
    text = "\n".join(lines) + "\n"
    if given.out is None:
        print(text)
    else:
        given.out.write_text(text)


def page(models: list[Path], documents: int, tokens: int) -> Iterator[str]:
    """The page's lines."""
    names = " ".join(f"MODELS/{model.name}" for model in models)
    yield from (
        "# Methods and formats on trained language models",
        "",
        f"Made by `python benchmarks/language.py {names} --documents {documents} --tokens {tokens}` on "
        f"{processor_name()}. KL: nats a scored token from the float model's next-token distribution,",
        "with its 95 % interval over documents (paired bootstrap); the models of 10 and 11 M weights were",
        "trained on code, English and Chinese. See [language models](language-models.md).",
    )
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            yield from tables(model, Path(folder), documents, tokens)


def tables(model: Path, folder: Path, documents: int, tokens: int) -> Iterator[str]:
    """Two tables of one model."""
    calib, test = (together(model, kind, folder, documents) for kind in ("calib", "test"))
    for place, (formats, methods) in enumerate((ROUNDING, FORMATS)):
        found = study_checkpoint(
            model, calib, test, formats=formats, methods=methods, tokens=tokens, write=False,
            out=folder / str(place),
        )  # fmt: skip
        if place == 0:
            yield from ("", f"## {model.name}", "", described(found))
        yield from ("", *table(found), "", cost(found))


def together(model: Path, kind: str, folder: Path, documents: int) -> str:
    """The first documents of each domain in one file."""
    rows: list[str] = []
    for domain in DOMAINS:
        rows += (model / "testset" / f"{kind}-{domain}.jsonl").read_text().splitlines()[:documents]
    path = folder / f"{kind}.jsonl"
    ids = [{**json.loads(row), "id": f"{kind}-{number}"} for number, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ids))
    return str(path)


def described(found: CheckpointStudy) -> str:
    """What was measured."""
    data, summary = found.data, found.model
    return (
        f"{summary.model_type}, {summary.weights / 1e6:.1f} M weights in {summary.blocks} blocks; "
        f"{data.calibration_documents} documents of calibration ({data.calibration_tokens} tokens), "
        f"{data.documents} of test ({data.tokens} scored tokens)."
    )


def table(found: CheckpointStudy) -> Iterator[str]:
    """Candidates by format, the best first."""
    slices = list(found.data.slices)
    heads = ["candidate", "bits", "KL", "95 % interval", "top-1", "NLL +", *slices]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for trial in sorted(found.trials, key=lambda each: (-each.bits, each.loss.value)):
        yield f"| {' | '.join(row(trial, slices))} |"


def row(trial: CheckpointTrial, slices: list[str]) -> list[str]:
    """One candidate."""
    loss = trial.loss
    return [
        trial.name, f"{trial.bits:.2f}", f"{loss.value:.4f}", f"{loss.low:.4f} to {loss.high:.4f}",
        f"{trial.figure('top1') or 0:.1f} %", f"{trial.figure('nll_change') or 0:+.4f}",
        *(f"{trial.slices[name]:.4f}" for name in slices),
    ]  # fmt: skip


def cost(found: CheckpointStudy) -> str:
    """What it took, and what more would tell."""
    told = (
        f"{found.cost.seconds:.0f} s on a shared machine, {found.cost.peak_memory / 1e9:.1f} GB; the model "
        f"was read {found.cost.bytes_read / found.model.bytes:.2f} times."
    )
    needed = "; ".join(f"{a} from {b}: {count}" for a, b, count in found.needed[:4])
    return f"{told} Documents that would tell neighbours apart: {needed}." if needed else told


if __name__ == "__main__":
    main()
