"""Documents to calibrate and to test on, read from jsonl, txt or parquet files.

A row has ``messages``, or ``prompt``, or ``text``; with ``answer``, only the answer's tokens count. ``slice``
names the part of the set that it belongs to, ``id`` itself.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError
from calibrant.core.reading import is_regular, read_text, require_regular

FORMS = ".jsonl, .txt or .parquet"
_KINDS = ("messages", "prompt", "text")
_NOT_READ = ("images", "image", "audio", "videos")


@dataclass(frozen=True)
class Document:
    """One row. Exactly one of ``messages`` (role and content each), ``prompt`` and ``text`` is not None."""

    id: str
    text: str | None = None
    prompt: str | None = None
    messages: tuple[Mapping[str, Any], ...] | None = None
    answer: str | None = None
    slice: str | None = None

    @property
    def content(self) -> str:
        """All that decides its tokens, as one text: equal documents have equal contents."""
        return json.dumps([self.text, self.prompt, self.messages, self.answer], ensure_ascii=False)


def read_documents(paths: str, limit: int | None = None) -> tuple[Document, ...]:
    """Read one file, several with commas between, or all of a folder, in order.

    limit: only the first so many. Raises DataError in one line: no file, a row that is broken, a row without
    text, an id that occurs twice.
    """
    documents = [document for path in _files(paths) for document in _rows(path)][:limit]
    if not documents:
        raise DataError(f'{paths} holds no document; give one a line, e.g. {{"text": "..."}}')
    twice = [name for name, count in Counter(document.id for document in documents).items() if count > 1]
    if twice:
        raise DataError(f"{len(twice)} ids occur more than once, e.g. {twice[0]!r}; make them unique")
    return tuple(documents)


def in_both(calibration: Sequence[Document], test: Sequence[Document]) -> tuple[str, ...]:
    """Ids of test documents whose very content is in the calibration set."""
    known = {document.content for document in calibration}
    return tuple(document.id for document in test if document.content in known)


def contents_sha256(documents: Sequence[Document]) -> str:
    """A hash of all contents, in order."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.id}\0{document.content}\0".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _files(paths: str) -> list[Path]:
    found: list[Path] = []
    for part in filter(None, (piece.strip() for piece in paths.split(","))):
        path = Path(part)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in (".jsonl", ".txt", ".parquet"))
            if not inside:
                raise DataError(f"{path} holds no {FORMS} file")
            found += inside
        elif is_regular(path):
            found.append(path)
        else:
            raise DataError(f"{path} does not exist; give a {FORMS} file or a folder of them")
    if not found:
        raise DataError(f"no data was named; give a {FORMS} file or a folder of them")
    return found


def _rows(path: Path) -> Iterator[Document]:
    try:
        if path.suffix == ".jsonl":
            yield from _of_jsonl(path)
        elif path.suffix == ".parquet":
            yield from _of_parquet(path)
        elif path.suffix == ".txt":
            text = read_text(path)
            if text.strip():
                yield Document(path.name, text=text)
        else:
            raise DataError(f"{path} is no {FORMS} file")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason} at byte {error.start}; convert it") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _of_jsonl(path: Path) -> Iterator[Document]:
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        place = f"line {number} of {path}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is no JSON: {error}; mend it or delete the line") from error
        yield _document(row, place, f"{path.name}:{number}")


def _of_parquet(path: Path) -> Iterator[Document]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(f"{path} needs pyarrow: pip install pyarrow, or give a .jsonl file") from error
    try:
        require_regular(path)
        table = parquet.read_table(path).to_pylist()
    except Exception as error:
        raise DataError(f"{path} is no parquet file: {str(error).splitlines()[0]}") from error
    for number, row in enumerate(table, 1):
        yield _document(row, f"row {number} of {path}", f"{path.name}:{number}")


def _document(row: Any, place: str, default_id: str) -> Document:
    if not isinstance(row, dict):
        raise DataError(f"{place} is no object with text, prompt or messages")
    if unread := next((name for name in _NOT_READ if row.get(name)), None):
        raise DataError(f"{place} has {unread}, which are not read yet; leave them out to measure the text")
    given = [kind for kind in _KINDS if row.get(kind)]
    if len(given) != 1:
        has = f"{' and '.join(given)}" if given else f"only {', '.join(map(str, row)) or 'nothing'}"
        raise DataError(f"{place} has {has}; give one of {', '.join(_KINDS)}")
    values = {name: row.get(name) for name in ("text", "prompt", "answer", "slice")}
    for name, value in values.items():
        if value is not None and not isinstance(value, str):
            raise DataError(f"{place}: {name} is {value!r:.40}, no text")
    messages = _messages(row["messages"], place) if given == ["messages"] else None
    if values["text"] is not None and values["answer"] is not None:
        raise DataError(f"{place} has text and an answer; call what comes before the answer its prompt")
    return Document(str(row.get("id", default_id)), messages=messages, **values)


def _messages(found: Any, place: str) -> tuple[Mapping[str, Any], ...]:
    is_list = isinstance(found, list) and all(isinstance(message, dict) for message in found)
    if not is_list or not all(isinstance(message.get("role"), str) for message in found):
        raise DataError(f"{place}: messages is no list of objects with role and content")
    return tuple(found)
