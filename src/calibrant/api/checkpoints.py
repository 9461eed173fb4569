"""Checkpoints of language models: studied."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from calibrant.api.arguments import Calibrators, PathLike, chosen_calibrators, new_run_folder
from calibrant.artifacts.store import output_folder
from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress, Silent
from calibrant.models.checkpoint.folder import is_checkpoint as _is_checkpoint
from calibrant.models.checkpoint.folder import open_checkpoint
from calibrant.studies.checkpoints.inspection import CheckpointInspection, inspect_checkpoint_folder
from calibrant.studies.checkpoints.result import CheckpointStudy

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
    progress: Progress | None = None,
) -> CheckpointStudy:
    """Measure ways to quantize a transformer checkpoint on texts, in one reading of its weights.

    model: a folder with config.json, a tokenizer and safetensors files. calib, data: .jsonl files with
    ``messages``, ``prompt`` or ``text`` (and ``answer``, ``slice``, ``id``), .txt or .parquet; several with
    commas between. methods, formats: lists with commas between, e.g. ``"rtn,gptq"`` and
    ``"w4a16-g32,w8a8,fp8"``; None: a few worth a first look. calibrators: for formats whose activations have
    fixed ranges. candidates: checkpoints of the same model that other tools quantized, by the names that
    they are to have. tokens: of each document that are looked at. max_loss: KL (nats a token) that may be
    lost; the smallest candidate within it is recommended; None: the one of the least KL. seed: of the
    bootstrap. write: the recommended candidate as a checkpoint of compressed-tensors, which vLLM and SGLang
    load.
    Writes study.json and each candidate's evidence into ``out`` (default ``runs/<model>-<time>``).
    Raises CalibrantError.
    """
    try:
        from calibrant.studies.checkpoints.data import TextSettings, open_data
        from calibrant.studies.checkpoints.recipes import recipes_named
        from calibrant.studies.checkpoints.run import CheckpointStudyPlan, quantizable, run_checkpoint_study
    except ImportError as error:
        raise SettingsError(
            f"checkpoints need torch and transformers: pip install 'calibrant[llm]' ({error})"
        ) from error
    folder = Path(model)
    checkpoint = open_checkpoint(folder)
    layers = tuple(quantizable(checkpoint).values())
    recipes = recipes_named(methods, formats, chosen_calibrators(calibrators), layers)
    others = {name: open_checkpoint(Path(path)) for name, path in (candidates or {}).items()}
    if twice := others.keys() & {recipe.name for recipe in recipes}:
        raise SettingsError(f"{min(twice)!r} is a recipe's name; give the checkpoint another")
    wanted = TextSettings(str(calib), str(data), limit, calib_limit, tokens)
    settings = {
        "methods": methods,
        "formats": formats,
        "limit": limit,
        "calib_limit": calib_limit,
        "tokens": tokens,
        "max_loss": max_loss,
        "candidates": {name: str(path) for name, path in (candidates or {}).items()},
        "seed": seed,
    }
    plan = CheckpointStudyPlan(
        checkpoint, open_data(folder, wanted), recipes, others, settings, max_loss, seed, write
    )
    target = Path(out) if out is not None else new_run_folder(folder.resolve().name)
    with output_folder(target) as made:
        return run_checkpoint_study(plan, made, progress or Silent())
