"""Processes on this machine: results, deaths, stragglers, GPUs, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from concurrent.futures import CancelledError, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from calibrant.core.errors import CalibrantError, DataError, RuntimeFailedError, SettingsError
from calibrant.core.executor import Work, completed
from calibrant.executors import executor_named
from calibrant.executors.answers import answer_of, versions
from calibrant.executors.local import LocalExecutor, visible_gpus
from executor_works import Buggy, Dying, OnGpu, Refusing, Slow, Squaring


def test_each_result_comes_with_its_position_and_no_process_stays() -> None:
    with executor_named("local:2") as executor:
        assert executor.slots() == 2
        assert dict(completed(executor, [Squaring(n) for n in range(9)])) == {n: n * n for n in range(9)}
        assert len(multiprocessing.active_children()) == 2
    assert multiprocessing.active_children() == []


def test_errors_travel_and_the_process_goes_on() -> None:
    with LocalExecutor(1, ()) as executor:
        with pytest.raises(DataError, match="image 7 is torn"):
            executor.submit(Refusing()).result()
        with pytest.raises(ZeroDivisionError, match="our own bug"):
            executor.submit(Buggy()).result()
        assert executor.submit(Squaring(3)).result() == 9


def test_the_first_error_ends_it() -> None:
    with LocalExecutor(1, ()) as executor:
        found = completed(executor, [Refusing(), *(Squaring(n) for n in range(50))])
        with pytest.raises(DataError):
            list(found)


def test_what_a_killed_process_held_is_done_again(tmp_path: Path) -> None:
    works: list[Work] = [Squaring(2), Dying(str(tmp_path)), Squaring(3)]
    with LocalExecutor(2, ()) as executor:
        assert dict(completed(executor, works)) == {0: 4, 1: 1, 2: 9}


def test_work_that_kills_every_process_fails_alone_and_says_so(tmp_path: Path) -> None:
    with LocalExecutor(1, ()) as executor:
        deadly = executor.submit(Dying(str(tmp_path), times=99))
        harmless = executor.submit(Squaring(3))
        with pytest.raises(RuntimeFailedError, match=r"4 worker processes died .* signal 9; .* local:1"):
            deadly.result()
        assert harmless.result() == 9


def test_a_straggler_holds_little(tmp_path: Path) -> None:
    with LocalExecutor(2, ()) as executor:
        list(completed(executor, [Squaring(n) for n in range(2)]))  # both have started
        done = Counter(
            pid for _, pid in completed(executor, [Slow(str(tmp_path), n, 0.5) for n in range(30)])
        )
    straggler = int((tmp_path / "straggler").read_text())
    assert done[straggler] <= 3
    assert sum(done.values()) == 30


def test_one_gpu_has_one_piece_of_work_at_a_time() -> None:
    with LocalExecutor(3, ("5",)) as executor:
        found = sorted((result for _, result in completed(executor, [OnGpu(0.05)] * 4)), key=lambda r: r[1])
    assert {gpu for gpu, _, _ in found} == {"5"}
    assert all(end <= begun for (_, _, end), (_, begun, _) in pairwise(found))


def test_slots_are_processes_or_gpus() -> None:
    for gpus, expected in ((("0", "1"), 2), ((), 1), (tuple("01234"), 3)):
        with LocalExecutor(3, gpus) as executor:
            assert (executor.slots(), executor.slots(1)) == (3, expected)


def test_closing_does_not_wait_for_the_work() -> None:
    with LocalExecutor(1, ("0",)) as executor:
        under_way, waiting = executor.submit(OnGpu(60)), executor.submit(Squaring(2))
        while not under_way.running():
            time.sleep(0.01)
        begun = time.monotonic()
    assert time.monotonic() - begun < 30
    assert multiprocessing.active_children() == []
    with pytest.raises(CalibrantError):
        under_way.result()
    with pytest.raises(CancelledError):
        waiting.result()


def test_whoever_waits_for_results_learns_of_the_end() -> None:
    executor = LocalExecutor(1, ("0",))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(list, completed(executor, [OnGpu(60), *(Squaring(n) for n in range(3))]))
        while not multiprocessing.active_children():
            time.sleep(0.01)
        executor.close()
        with pytest.raises((CancelledError, CalibrantError)):
            waiting.result(30)


def test_a_worker_with_other_packages_is_refused() -> None:
    assert answer_of(Squaring(3), versions()).unwrap() == 9
    refused = answer_of(Squaring(3), {**versions(), "numpy": "1.0"})
    with pytest.raises(SettingsError, match=r"has numpy \S+ and the one that began the study 1.0; install"):
        refused.unwrap()


def test_gpus_are_those_that_this_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_gpus(tmp_path) == ("0", "1")
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "3, 5")
    assert visible_gpus(tmp_path) == ("3", "5")
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus(tmp_path) == ()


@pytest.mark.parametrize("name", ["local:0", "local:x", "local:-1", "dask", "", "dask:8"])
def test_a_wrong_name_says_what_to_write(name: str) -> None:
    with pytest.raises(SettingsError, match="local:2"):
        executor_named(name)
