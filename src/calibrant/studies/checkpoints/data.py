"""The documents of a checkpoint's study: read, rendered, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.models.checkpoint.rendering import Tokenizer, Tokens
from calibrant.studies.checkpoints.result import TextSummary
from calibrant.tasks.generation.documents import Document, contents_sha256, in_both, read_documents
from calibrant.tasks.generation.features import labels_of, telling

MOST_TOKENS = 2048
"""Of a document that are looked at, unless the user says otherwise."""

FEW_DOCUMENTS = 20


@dataclass(frozen=True, eq=False)
class TextData:
    """Calibration and test documents as tokens, with what results keep of them, and remarks of one line.

    labels, calibration_labels: the slices that each document belongs to. documents: the test documents
    themselves, by id.
    """

    calibration: tuple[Tokens, ...]
    test: tuple[Tokens, ...]
    summary: TextSummary
    warnings: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    calibration_labels: tuple[tuple[str, ...], ...]
    documents: Mapping[str, Document]
    calibration_documents: Mapping[str, Document]


@dataclass(frozen=True)
class TextSettings:
    """calib, data: as read_documents takes them. limit, calib_limit: only the first so many documents.

    tokens: of each document that are looked at.
    """

    calib: str
    data: str
    limit: int | None = None
    calib_limit: int | None = None
    tokens: int = MOST_TOKENS


def open_data(folder: Path, settings: TextSettings) -> TextData:
    """Read and render both sets with the model's own tokenizer. Raises DataError, ModelError."""
    tokenizer = Tokenizer(folder)
    calibration, test = (
        read_documents(settings.calib, settings.calib_limit),
        read_documents(settings.data, settings.limit),
    )
    rendered = _rendered(tokenizer, test, settings)
    scored = tuple(tokens for tokens in rendered if len(tokens.numbers) > tokens.scored_from)
    if not scored:
        raise DataError(
            f"no document of {settings.data} has a token to be predicted within {settings.tokens} tokens; "
            "give longer texts or raise --tokens"
        )
    fed = tuple(tokens for tokens in _rendered(tokenizer, calibration, settings) if len(tokens.numbers))
    shared = in_both(calibration, test)
    labels, calibration_labels = _labels(test, scored), _labels(calibration, fed)
    summary = TextSummary(
        dataset=settings.data,
        documents=len(scored),
        tokens=sum(len(tokens.numbers) - tokens.scored_from for tokens in scored),
        test_sha256=contents_sha256(test),
        calibration=settings.calib,
        calibration_documents=len(fed),
        calibration_tokens=sum(len(tokens.numbers) for tokens in fed),
        calibration_sha256=contents_sha256(calibration),
        in_both=len(shared),
        cut=sum(tokens.is_cut for tokens in scored),
        slices=telling(labels),
    )
    remarks = _remarks(summary, shared, calibration, test, len(rendered), labels, calibration_labels)
    by_id = [{document.id: document for document in each} for each in (test, calibration)]
    return TextData(fed, scored, summary, remarks, labels, calibration_labels, *by_id)


def _labels(documents: Sequence[Document], rendered: Sequence[Tokens]) -> tuple[tuple[str, ...], ...]:
    """Of each document as it was rendered; the pieces of a long text have none."""
    known = dict(zip((document.id for document in documents), labels_of(documents), strict=True))
    return tuple(known.get(tokens.id, ()) for tokens in rendered)


def _rendered(tokenizer: Tokenizer, documents: Sequence[Document], settings: TextSettings) -> list[Tokens]:
    """One long text is cut into documents, so that there is something to resample."""
    if len(documents) == 1 and documents[0].text is not None:
        return tokenizer.pieces(documents[0], settings.tokens)
    return [tokenizer.tokens(document, settings.tokens) for document in documents]


def _remarks(
    summary: TextSummary,
    shared: Sequence[str],
    calibration: Sequence[Document],
    test: Sequence[Document],
    rendered: int,
    labels: Sequence[Sequence[str]],
    calibration_labels: Sequence[Sequence[str]],
) -> tuple[str, ...]:
    found = []
    if shared:
        found.append(
            f"{len(shared)} test documents are in the calibration set too, e.g. {shared[0]!r}: "
            "take them out of one"
        )
    if summary.documents < FEW_DOCUMENTS:
        found.append(f"only {summary.documents} test documents: intervals over so few are rough")
    if rendered > summary.documents:
        found.append(
            f"{rendered - summary.documents} test documents have no token that counts; they are left out"
        )
    if summary.cut:
        found.append(f"{summary.cut} test documents are longer than is looked at; raise --tokens")
    kinds = [{_kind(document) for document in documents} for documents in (calibration, test)]
    words = [" and ".join(sorted(kind)) for kind in kinds]
    if kinds[0] != kinds[1]:
        found.append(
            f"calibration has {words[0]}, the test set {words[1]}; calibrate on what the model will see"
        )
    lengths = [
        tokens / count
        for tokens, count in (
            (summary.calibration_tokens, summary.calibration_documents),
            (summary.tokens, summary.documents),
        )
    ]
    if max(lengths) > 4 * min(lengths):
        found.append(
            f"calibration documents have {lengths[0]:.0f} tokens on average, test documents {lengths[1]:.0f}"
        )
    known = {label for each in calibration_labels for label in each}
    missing = sorted({label for each in labels for label in each} - known)
    if missing and known:
        found.append(f"calibration has nothing of the slices {', '.join(missing)} of the test set")
    return tuple(found)


def _kind(document: Document) -> str:
    return (
        "messages" if document.messages is not None else "prompts" if document.prompt is not None else "texts"
    )
