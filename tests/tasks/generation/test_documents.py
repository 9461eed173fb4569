"""Documents are read from jsonl, txt and folders; what is broken is named by its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibrant.core.errors import DataError
from calibrant.tasks.generation.documents import in_both, read_documents


def lines(path: Path, *rows: object) -> str:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return str(path)


def test_each_kind_of_row_is_read(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "a.jsonl",
        {"id": "t", "text": "one", "slice": "en", "licence": "mine"},
        "",
        {"prompt": "2+2=", "answer": "4"},
        {"messages": [{"role": "user", "content": "hi"}], "answer": "hello"},
    )
    text, prompt, chat = read_documents(file)
    assert (text.id, text.text, text.slice) == ("t", "one", "en")
    assert (prompt.id, prompt.prompt, prompt.answer) == ("a.jsonl:3", "2+2=", "4")
    assert chat.messages == ({"role": "user", "content": "hi"},)
    assert len(read_documents(file, limit=2)) == 2


def test_several_files_and_a_folder_are_read_in_order(tmp_path: Path) -> None:
    b, a = lines(tmp_path / "b.jsonl", {"text": "b"}), lines(tmp_path / "a.jsonl", {"text": "a"})
    (tmp_path / "c.txt").write_text("c")
    assert [d.text for d in read_documents(f"{b},{a}")] == ["b", "a"]
    assert [d.text for d in read_documents(str(tmp_path))] == ["a", "b", "c"]


BROKEN = {
    "no JSON": ('{"text": ', "line 1 of .* is no JSON"),
    "no object": ("[1]", "line 1 of .* is no object"),
    "nothing to read": ('{"body": "x"}', "line 1 of .* has only body; give one of messages, prompt, text"),
    "two kinds": ('{"text": "x", "prompt": "y"}', "has prompt and text"),
    "no text": ('{"text": 3}', "text is 3, no text"),
    "messages without role": ('{"messages": [{"content": "x"}]}', "no list of objects with role"),
    "text with answer": ('{"text": "x", "answer": "y"}', "has text and an answer"),
    "empty": ("", "holds no document"),
}


@pytest.mark.parametrize(("row", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_row_is_named(row: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_documents(lines(tmp_path / "a.jsonl", row))


def test_what_is_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_documents(str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match=r"is no .jsonl, .txt or .parquet file"):
        read_documents(lines(tmp_path / "a.csv", "x"))
    with pytest.raises(DataError, match=r"occur more than once, e.g. 'x'"):
        read_documents(lines(tmp_path / "a.jsonl", {"id": "x", "text": "a"}, {"id": "x", "text": "b"}))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match="is not UTF-8"):
        read_documents(str(tmp_path / "latin.txt"))


def test_documents_of_both_sets_are_found_by_content(tmp_path: Path) -> None:
    first = read_documents(lines(tmp_path / "a.jsonl", {"id": "x", "text": "a"}, {"id": "y", "text": "b"}))
    second = read_documents(lines(tmp_path / "b.jsonl", {"id": "z", "text": "b"}))
    assert in_both(first, second) == ("z",)


@pytest.mark.parametrize("name", ["images", "image", "audio"])
def test_what_is_not_read_is_no_plain_text(tmp_path: Path, name: str) -> None:
    file = lines(tmp_path / "a.jsonl", {"prompt": "what is this?", "answer": "a cat", name: ["a.png"]})
    with pytest.raises(DataError, match=f"line 1 .* has {name}, which are not read yet"):
        read_documents(file)
