"""Checkpoints of language models: studied."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.api.arguments import Calibrators, PathLike, chosen_calibrators, new_run_folder
from calibrant.artifacts.store import output_folder
from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.reading import read_text
from calibrant.models.checkpoint.folder import is_checkpoint as _is_checkpoint
from calibrant.models.checkpoint.folder import open_checkpoint
from calibrant.studies.checkpoints.inspection import CheckpointInspection, inspect_checkpoint_folder
from calibrant.studies.checkpoints.recipes import (
    default_formats,
    mixed_formats,
    quantized_layers,
    recipes_named,
)
from calibrant.studies.checkpoints.result import CheckpointStudy
from calibrant.studies.replacing import require_free
from calibrant.tasks.generation.scoring import scorer_named

if TYPE_CHECKING:
    from calibrant.studies.checkpoints.coverage import CheckpointCoverage
    from calibrant.studies.checkpoints.diagnosis import CheckpointDiagnosis
    from calibrant.studies.checkpoints.run import CheckpointStudyPlan
    from calibrant.studies.estimate import Estimate

MOST_TOKENS = 2048


def is_checkpoint(model: PathLike) -> bool:
    """Whether a path is a folder with config.json and safetensors files in it."""
    return _is_checkpoint(Path(model))


def inspect_checkpoint(model: PathLike) -> CheckpointInspection:
    """Describe a checkpoint from the headers of its files: layers, experts, what each format would take.

    model: a folder with config.json and safetensors files. Raises ModelError.
    """
    return inspect_checkpoint_folder(Path(model))


def study_checkpoint(
    model: PathLike,
    calib: str,
    data: str,
    *,
    out: PathLike | None = None,
    methods: str | None = None,
    formats: str | None = None,
    calibrators: Calibrators = "minmax",
    candidates: Mapping[str, PathLike] | None = None,
    limit: int | None = None,
    calib_limit: int | None = None,
    tokens: int = MOST_TOKENS,
    max_loss: float | None = None,
    seed: int = 0,
    write: bool = True,
    device: str = "cpu",
    max_memory: str | None = None,
    decode: str | None = None,
    metric: str | None = None,
    checker: str | None = None,
    confirm: int = 2,
    new_tokens: int = 256,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> CheckpointStudy:
    """Measure ways to quantize a transformer checkpoint on texts, in one reading of its weights.

    model: a folder with config.json, a tokenizer and safetensors files. calib, data: .jsonl files with
    ``messages``, ``prompt`` or ``text`` (and ``answer``, ``slice``, ``id``), .txt or .parquet; several with
    commas between. methods, formats: lists with commas between, e.g. ``"rtn,gptq"`` and
    ``"w4a16-g32,w8a8,fp8"``; None: a few worth a first look. calibrators: for formats whose activations have
    fixed ranges. candidates: checkpoints of the same model that other tools quantized, by the names that they
    are to have. tokens: of each document that are looked at. max_loss: KL (nats a token) that may be lost;
    the smallest candidate within it is recommended; None: the one of the least KL. seed: of the bootstrap.
    write: the recommended candidate as a checkpoint of compressed-tensors, which vLLM and SGLang load.
    device: where blocks are computed, e.g. ``"cuda"``. max_memory: what the process may use, e.g. ``"8GB"``;
    where more is needed streams are kept on disk. decode: how written answers are compared, ``exact``,
    ``numeric``, ``choice``, ``lean`` or ``regex:PATTERN``; metric: ``module:function`` of (written, answer,
    document) that gives 0 to 1; checker: a program that is given a JSON line for each document and gives one
    with ``score`` back; with one of these the float model and the ``confirm`` best candidates write greedily,
    at most ``new_tokens`` each, and are in memory as a whole. Writes study.json and each candidate's evidence
    into ``out`` (default ``runs/<model>-<time>``). A study that was cut off goes on from the last finished
    block when it is asked for again; overwrite: a finished run in ``out`` is replaced. Raises CalibrantError.
    """
    with needing_llm():
        from calibrant.studies.checkpoints.confirming import DecodingSettings
        from calibrant.studies.checkpoints.run import run_checkpoint_study
    plan = _plan(
        Path(model), calib, data, methods, formats, calibrators, candidates, limit, calib_limit, tokens, seed
    )
    plan = replace(plan, max_loss=max_loss, write=write, settings={**plan.settings, "max_loss": max_loss})
    plan = replace(plan, device=device, memory=_allowed_bytes(max_memory))
    scorer = scorer_named(decode, metric, checker)
    if scorer is not None:
        name = decode or metric or str(checker)
        plan = replace(plan, decoding=DecodingSettings(scorer, name, confirm, new_tokens))
    target = _target(model, out, plan)
    require_free(target, None, overwrite)
    with output_folder(target) as made:
        return run_checkpoint_study(plan, made, progress or Silent())


def optimize_checkpoint(
    model: PathLike,
    calib: str,
    data: str,
    *,
    bits: float | None = None,
    gb: float | None = None,
    out: PathLike | None = None,
    methods: str | None = None,
    formats: str | None = None,
    limit: int | None = None,
    calib_limit: int | None = None,
    tokens: int = MOST_TOKENS,
    seed: int = 0,
    max_kl: float | None = None,
    write: bool = True,
    device: str = "cpu",
    max_memory: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> CheckpointStudy:
    """Give each layer the format that helps most within a budget, by measurement.

    bits: a quantized weight may take, scales and zero points included; gb: the whole model may take, 10**9
    bytes; max_kl: nats a token that may be lost, within which the smallest is looked for; one of the three.
    methods, formats: what layers may have (default ``mse+gptq`` and INT3, INT4 and INT8
    weights). Costs of groups of layers are measured on calibration texts; a shortlist of allocations and
    every uniform recipe are measured end to end, the best within the budget is chosen on one half of the test
    documents and reported on the other; the best uniform one is delivered where it is better there, so that
    half is not wholly held out. Other arguments, what is written and raised: as for study_checkpoint.
    """
    with needing_llm():
        from calibrant.studies.checkpoints.optimizing import Budget, optimize_checkpoint_bits
    folder = Path(model)
    chosen = formats or mixed_formats(folder)
    wanted = methods or "mse+gptq"
    plan = _plan(folder, calib, data, wanted, chosen, "minmax", None, limit, calib_limit, tokens, seed)
    plan = replace(
        plan,
        write=write,
        settings={**plan.settings, "bits": bits, "gb": gb, "max_kl": max_kl},
        device=device,
        memory=_allowed_bytes(max_memory),
    )
    budget = Budget(bits, None if gb is None else int(gb * 1e9), max_kl)
    target = _target(model, out, plan)
    require_free(target, None, overwrite)
    with output_folder(target) as made:
        return optimize_checkpoint_bits(plan, budget, made, progress or Silent())


def diagnose_checkpoint(
    model: PathLike,
    calib: str,
    data: str,
    *,
    out: PathLike | None = None,
    methods: str | None = None,
    formats: str | None = None,
    calibrators: Calibrators = "minmax",
    limit: int | None = None,
    calib_limit: int | None = None,
    tokens: int = MOST_TOKENS,
    seed: int = 0,
    write: bool = True,
    device: str = "cpu",
    max_memory: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> CheckpointDiagnosis:
    """Say why a way to quantize a checkpoint loses, and measure what may mend it.

    methods, formats: one of each (default ``rtn`` and INT4). Loss by block, layer, expert and channel;
    outlier channels; rounding against clipping; what a block adds against what it was handed; weights, inputs
    and cached keys and values apart. Remedies are measured end to end beside it; the best is recommended and
    written. Writes diagnosis.json and study.json into ``out`` (default ``runs/<model>-diagnosis-<time>``).
    Other arguments and what is raised: as for study_checkpoint.
    """
    with needing_llm():
        from calibrant.studies.checkpoints.diagnosis import diagnose_checkpoint_plan
    folder = Path(model)
    chosen = formats or default_formats(quantized_layers(folder))[0]
    plan = _plan(
        folder, calib, data, methods or "rtn", chosen, calibrators, None, limit, calib_limit, tokens, seed
    )
    plan = replace(plan, write=write, device=device, memory=_allowed_bytes(max_memory))
    target = Path(out) if out is not None else new_run_folder(f"{folder.resolve().name}-diagnosis")
    require_free(target, None, overwrite)
    with output_folder(target) as made:
        return diagnose_checkpoint_plan(plan, made, progress or Silent())


def is_checkpoint_study(run: PathLike) -> bool:
    """Whether a folder holds the study of a checkpoint."""
    return _study_of(Path(run)).get("kind") == "checkpoint"


def diagnosed_in(run: PathLike, losing: str | None = None) -> dict[str, Any]:
    """Arguments of diagnose_checkpoint for a candidate of a checkpoint's study: ``losing``, or the worst.

    Raises SettingsError for a name that is none of its recipes'.
    """
    found = _study_of(Path(run))
    recipes = {
        trial["name"]: trial for trial in found.get("trials", ()) if "format" in trial.get("recipe", {})
    }
    name = losing or max(recipes, key=lambda each: recipes[each]["loss"]["value"], default="")
    if name not in recipes:
        raise SettingsError(f"{run} has no recipe called {name!r}; there are {', '.join(recipes) or 'none'}")
    recipe, settings = recipes[name]["recipe"], found["settings"]
    told = {
        "model": Path(found["model"]["path"]),
        "calib": found["data"]["calibration"],
        "data": found["data"]["dataset"],
        "methods": recipe["method"],
        "formats": recipe["format"],
        "calibrators": recipe.get("calibrator"),
        **{key: settings.get(key) for key in ("limit", "calib_limit", "tokens")},
    }
    return {key: value for key, value in told.items() if value is not None}


def _study_of(run: Path) -> dict[str, Any]:
    """study.json of a run; empty where there is none that can be read."""
    try:
        found = json.loads(read_text(run / "study.json"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def cover_checkpoint(
    model: PathLike,
    calib: str,
    data: str,
    *,
    out: PathLike | None = None,
    limit: int | None = None,
    calib_limit: int | None = None,
    tokens: int = MOST_TOKENS,
    device: str = "cpu",
    progress: Progress | None = None,
) -> CheckpointCoverage:
    """Say what calibration texts reach of what test texts use: experts, slices, ranges of inputs.

    Experts that were never or hardly reached are weighted by the test set's traffic; the fewest calibration
    documents that reach all of them as well are written as calib-covering.jsonl. Writes coverage.json into
    ``out`` (default ``runs/<model>-coverage-<time>``). Arguments and what is raised: as for study_checkpoint.
    """
    with needing_llm():
        from calibrant.studies.checkpoints.coverage import cover_checkpoint as cover
        from calibrant.studies.checkpoints.data import TextSettings, open_data
    folder = Path(model)
    checkpoint = open_checkpoint(folder)
    texts = open_data(folder, TextSettings(str(calib), str(data), limit, calib_limit, tokens))
    target = Path(out) if out is not None else new_run_folder(f"{folder.resolve().name}-coverage")
    with output_folder(target) as made:
        return cover(checkpoint, texts, device, made, progress or Silent())


def plan_checkpoint(
    model: PathLike,
    calib: str,
    data: str,
    *,
    out: PathLike | None = None,
    methods: str | None = None,
    formats: str | None = None,
    calibrators: Calibrators = "minmax",
    candidates: Mapping[str, PathLike] | None = None,
    limit: int | None = None,
    calib_limit: int | None = None,
    tokens: int = MOST_TOKENS,
    seed: int = 0,
    write: bool = True,
    is_optimization: bool = False,
    progress: Progress | None = None,
    **others: Any,
) -> Estimate:
    """What study_checkpoint, or optimize_checkpoint, would do and take; nothing is written.

    others: their arguments that change nothing of that. Raises CalibrantError as they do.
    """
    with needing_llm():
        from calibrant.studies.checkpoints.estimate import checkpoint_estimate
    del progress, others
    folder = Path(model)
    if is_optimization:
        methods, formats = methods or "mse+gptq", formats or mixed_formats(folder)
    plan = _plan(
        folder, calib, data, methods, formats, calibrators, candidates, limit, calib_limit, tokens, seed
    )
    plan = replace(plan, write=write)
    return checkpoint_estimate(plan, str(_target(model, out, plan)), is_optimization=is_optimization)


@contextmanager
def needing_llm() -> Iterator[None]:
    """Say in a line what to install where torch or transformers are absent."""
    try:
        yield
    except ImportError as error:
        raise SettingsError(
            f"checkpoints need torch and transformers: pip install 'calibrant[llm]' ({error})"
        ) from error


def _target(model: PathLike, out: PathLike | None, plan: CheckpointStudyPlan) -> Path:
    """Where a run goes: as named, where this very study was cut off, or a new folder."""
    from calibrant.studies.checkpoints.resources import unfinished_run

    if out is not None:
        return Path(out)
    fresh = new_run_folder(Path(model).resolve().name)
    begun = sorted(fresh.parent.glob(f"{Path(model).resolve().name}-*"), reverse=True)
    return unfinished_run(begun, plan.fingerprint) or fresh


def _allowed_bytes(text: str | None) -> int | None:
    from calibrant.studies.memory import allowed_bytes

    return allowed_bytes(text)


def _plan(
    folder: Path,
    calib: str,
    data: str,
    methods: str | None,
    formats: str | None,
    calibrators: Calibrators,
    candidates: Mapping[str, PathLike] | None,
    limit: int | None,
    calib_limit: int | None,
    tokens: int,
    seed: int,
) -> CheckpointStudyPlan:
    with needing_llm():
        from calibrant.studies.checkpoints.data import TextSettings, open_data
        from calibrant.studies.checkpoints.run import CheckpointStudyPlan, quantizable
    checkpoint = open_checkpoint(folder)
    layers = tuple(quantizable(checkpoint).values())
    recipes = recipes_named(methods, formats, chosen_calibrators(calibrators), layers)
    others = {name: open_checkpoint(Path(path)) for name, path in (candidates or {}).items()}
    if twice := others.keys() & {recipe.name for recipe in recipes}:
        raise SettingsError(f"{min(twice)!r} is a recipe's name; give the checkpoint another")
    settings = {
        "methods": methods,
        "formats": formats,
        "candidates": {name: str(path) for name, path in (candidates or {}).items()},
        "limit": limit,
        "calib_limit": calib_limit,
        "tokens": tokens,
        "seed": seed,
    }
    texts = open_data(folder, TextSettings(str(calib), str(data), limit, calib_limit, tokens))
    return CheckpointStudyPlan(checkpoint, texts, recipes, {}, others, settings, seed=seed)
