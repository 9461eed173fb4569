"""Arrays are read from files one sample at a time."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from calibrant.core.errors import DataError
from calibrant.tasks.media.arrays import stored_arrays

VALUES = np.random.default_rng(0).normal(size=(7, 3, 4)).astype(np.float32)


def saved(folder: Path, kind: str) -> Path:
    path = folder / ("a.npy" if kind == "npy" else "a.npz")
    match kind:
        case "npy":
            np.save(path, VALUES)
        case "stored":
            np.savez(path, a=VALUES, other=np.arange(3))
        case "columns":
            np.savez(path, a=np.asfortranarray(VALUES))
        case "compressed":
            np.savez_compressed(path, a=VALUES)
    return path


@pytest.mark.parametrize("kind", ["npy", "stored", "columns", "compressed"])
def test_parts_are_what_was_saved_in_any_order(tmp_path: Path, kind: str) -> None:
    array = next(iter(stored_arrays(saved(tmp_path, kind)).values()))
    assert array.shape == VALUES.shape
    assert array.read(0, 1).flags.aligned
    assert array.dtype == VALUES.dtype
    for start, count in [(0, 1), (1, 2), (5, 1), (3, 1), (4, 1), (0, 1), (6, 5), (0, 7)]:
        np.testing.assert_array_equal(array.read(start, count), VALUES[start : start + count])


def test_names_are_those_that_were_saved(tmp_path: Path) -> None:
    assert list(stored_arrays(saved(tmp_path, "stored"))) == ["a", "other"]
    assert list(stored_arrays(saved(tmp_path, "npy"))) == ["a.npy"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_one_sample_takes_the_memory_of_one(tmp_path: Path, save: object) -> None:
    """64 MB of zeros, a few kilobytes in the file."""
    save(tmp_path / "big.npz", big=np.zeros((64, 250_000), np.float32))  # type: ignore[operator]
    tracemalloc.start()
    array = stored_arrays(tmp_path / "big.npz")["big"]
    for index in range(64):
        assert array.read(index, 1).shape == (1, 250_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and nothing", b"\x93NUMPY\x01\x00\x06\x00{'a': "])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as arrays.*numpy\.save"):
        stored_arrays(tmp_path / "bad.npz")


def test_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", o=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        stored_arrays(tmp_path / "o.npz")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        stored_arrays(tmp_path / "none.npz")


@pytest.mark.parametrize("kind", ["npy", "stored", "compressed"])
def test_arrays_can_be_sent_to_other_processes(tmp_path: Path, kind: str) -> None:
    array = next(iter(stored_arrays(saved(tmp_path, kind)).values()))
    array.read(0, 1)
    again = pickle.loads(pickle.dumps(array))
    np.testing.assert_array_equal(again.read(2, 1), VALUES[2:3])
    assert len(pickle.dumps(array)) < 1000, "the values stay in their file"


def test_damage_within_a_compressed_array_is_told(tmp_path: Path) -> None:
    path, many = tmp_path / "a.npz", np.random.default_rng(0).normal(size=(4, 50_000))
    np.savez_compressed(path, a=many)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged in a\.npy"):
        stored_arrays(path)["a"].read(0, 4)
