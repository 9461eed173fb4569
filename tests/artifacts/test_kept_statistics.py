from pathlib import Path

import numpy as np
import pytest

from calibrant.artifacts.statistics import read_statistics, write_statistics
from calibrant.core.errors import DataError
from calibrant.core.statistics import statistics_of
from calibrant.core.types import Statistics


@pytest.fixture
def statistics() -> Statistics:
    rng = np.random.default_rng(0)
    values = {f"t{i}/ü": statistics_of(rng.normal(size=500).astype(np.float32)) for i in range(3)}
    return Statistics("sha", ("a.jpg", "b.jpg"), values)


def test_what_is_written_is_read_to_the_last_count(tmp_path: Path, statistics: Statistics) -> None:
    path = tmp_path / "statistics.npz"
    write_statistics(path, statistics)
    read = read_statistics(path)
    assert (read.model_sha256, read.sample_ids) == (statistics.model_sha256, statistics.sample_ids)
    assert list(read.tensors) == list(statistics.tensors)
    for name, expected in statistics.tensors.items():
        found = read.tensors[name]
        assert np.array_equal(found.histogram.counts, expected.histogram.counts)
        assert (found.histogram.anchor, found.histogram.limit) == (
            expected.histogram.anchor,
            expected.histogram.limit,
        )
        assert (found.low, found.high) == (expected.low, expected.high)


def test_no_tensors_at_all(tmp_path: Path) -> None:
    write_statistics(tmp_path / "s.npz", Statistics("sha", (), {}))
    assert read_statistics(tmp_path / "s.npz").tensors == {}


@pytest.mark.parametrize("keep", [0, 10, 1000])
def test_a_damaged_file_is_named(tmp_path: Path, statistics: Statistics, keep: int) -> None:
    path = tmp_path / "statistics.npz"
    write_statistics(path, statistics)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"statistics\.npz"):
        read_statistics(path)
