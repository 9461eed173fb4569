from __future__ import annotations

import threading
import time

import pytest

from calibrant.stages.parallel import in_order


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_come_in_the_samples_order(workers: int) -> None:
    def slow_first(sample: int) -> int:
        time.sleep(0.02 if sample == 0 else 0)
        return sample * sample

    assert list(in_order(slow_first, range(50), workers)) == [n * n for n in range(50)]


def test_as_many_samples_as_workers_are_under_way_at_once() -> None:
    meeting = threading.Barrier(3, timeout=10)
    assert len(list(in_order(lambda _: meeting.wait(), range(6), 3))) == 6


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_ends_it_before_the_rest_begins(workers: int) -> None:
    begun: list[int] = []

    def fail_early(sample: int) -> None:
        begun.append(sample)
        if sample == 2:
            raise ValueError("two")

    with pytest.raises(ValueError, match="two"):
        list(in_order(fail_early, range(1000), workers))
    assert len(begun) < 20


def test_a_slow_reader_is_not_overrun() -> None:
    begun: list[int] = []
    results = in_order(begun.append, range(1000), 2)
    next(results)
    time.sleep(0.05)
    assert len(begun) < 10
    results.close()  # type: ignore[attr-defined]
